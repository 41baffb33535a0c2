# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an image's ``data.qpdata`` is whole, told from its two ends and without Java.

QuPath begins the file with Java's mark of serialised objects and the words "Data file version", and
ends it with the string "EOF" (``PathIO.writeImageData``, the same from 0.2 to 0.7). A file whose
writing was cut short by a crash, a full disk or a broken copy lacks the end. This matters: QuPath
shows such an image as empty, and its next save overwrites what could have been rescued.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from qupath_bridge._summary import Summary

__all__ = ["DataCheck", "DataState", "check_data"]

_JAVA = b"\xac\xed\x00\x05"
_TITLE = b"Data file version"
_END = b"t\x00\x03EOF"  # a new Java string (0x74) of 3 bytes
_REMEDY = (
    "Do not save this image in QuPath, which would replace the file by an empty one: put a backup "
    "copy of the file in its place."
)


class DataState(StrEnum):
    """What there is of an image's objects."""

    ABSENT = "absent"  #: no folder: QuPath never saved the image
    EMPTY = "empty"  #: a folder without saved objects
    SAVED = "saved"  #: a file that is whole as far as its ends tell
    SAVING = "saving"  #: QuPath's backup stands beside it: a save is under way, or was cut off
    DAMAGED = "damaged"  #: not to be opened, and by no means to be written to


@dataclass(frozen=True)
class DataCheck:
    """The state of an image's objects, with the reason and the remedy where it is not fine."""

    state: DataState
    message: str = ""


def check_data(folder: Path, summary: Summary | None) -> DataCheck:
    """Look at an image's folder ``data/<id>``; reads less than 100 bytes.

    What lies between the ends of the file is not looked at: only QuPath can read that.

    Parameters
    ----------
    folder : Path
    summary : Summary or None
        What QuPath counted at its last save.
    """
    data, backup = folder / "data.qpdata", folder / "data.qpdata.bkp"
    wrong = _wrong_with(data) if data.exists() else _missing(summary)
    if backup.exists() and (wrong is None or _wrong_with(backup) is None):
        return DataCheck(DataState.SAVING, _saving(data, backup, wrong))
    if wrong is not None:
        return DataCheck(DataState.DAMAGED, f"{data} {wrong}. {_REMEDY}")
    if data.exists():
        return DataCheck(DataState.SAVED)
    return DataCheck(DataState.EMPTY if folder.is_dir() else DataState.ABSENT)


def _missing(summary: Summary | None) -> str | None:
    if summary is None or not summary.n_objects:
        return None
    return f"is missing, though QuPath saved {summary.n_objects} objects in it"


def _wrong_with(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            head = file.read(64)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - len(_END)))
            tail = file.read()
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    if size == 0:
        return "is empty (0 bytes)"
    if not head.startswith(_JAVA) or _TITLE not in head:
        return "does not begin like QuPath's data"
    if tail != _END:
        return f"is cut short: after {size} bytes the mark of its end is not there"
    return None


def _saving(data: Path, backup: Path, wrong: str | None) -> str:
    """QuPath moves the old data to the backup, writes the new, and deletes the backup."""
    to_do = (
        "open the image in QuPath, look at it and save it"
        if wrong is None
        else f"close QuPath, keep a copy of both files, and rename the backup to {data.name}"
    )
    return (
        f"QuPath is saving {data} just now, or was stopped while it did: {backup.name} stands "
        f"beside it{'' if wrong is None else f', and the file {wrong}'}. Wait and look again; if "
        f"it stays so, {to_do}."
    )
