# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes what the project file says of images, without Java.

Only the values asked for are changed: what newer versions of QuPath keep in the file stays, which a
save by an older QuPath would drop. The text is that of QuPath's own writer, byte for byte where
nothing is different.

QuPath reads the file when it opens the project and never again. Whenever an image is saved there it
writes what it remembers, so changes made meanwhile are lost: whoever writes here must be able to
tell that, and to write once more.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from napari_histo.errors import BridgeError, TargetChangedError, WriteError
from qupath_bridge._json_files import read_json_object
from qupath_bridge.changes import FileFacts
from qupath_bridge.project import QuPathProject
from qupath_bridge.safety import OWN_FOLDER, check_may_write, make_folder, project_lock

__all__ = ["keep_project_file", "set_metadata"]

_N_KEPT = 5


def set_metadata(
    project: QuPathProject, values: Mapping[str, Mapping[str, str | None]]
) -> tuple[str, ...]:
    """Set metadata of images, which QuPath's list of images is sorted by.

    Parameters
    ----------
    project : QuPathProject
    values : mapping of str to mapping
        By the image's id: the keys to set, and None for a key to remove. Others are left alone.

    Returns
    -------
    tuple of str
        Ids of the images whose metadata changed. Without any the file is not touched.

    Raises
    ------
    TargetChangedError
        QuPath saved the project meanwhile; nothing was written.
    WriteError
        The project is read-only, or the disk is full.
    BridgeError
        An image is not in the project any more, or the file is damaged.
    """
    check_may_write(project.file, project.folder)
    with project_lock(project.folder):
        before = FileFacts.of(project.file)
        words = read_json_object(project.file, what="QuPath project", remedy="Try again.")
        changed = _change(words, values, project.file)
        if changed:
            keep_project_file(project)
            _replace(project.file, words, before)
    return changed


def keep_project_file(project: QuPathProject, n_kept: int = _N_KEPT) -> Path:
    """Copy the project file aside; the oldest copies beyond `n_kept` go."""
    place = make_folder(project.folder / OWN_FOLDER / "before" / "project")
    copy = place / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.qpproj"
    try:
        shutil.copy2(project.file, copy)
    except OSError as error:
        copy.unlink(missing_ok=True)
        raise _not_written(copy, error) from error
    for old in sorted(place.glob("*Z.qpproj"), reverse=True)[n_kept:]:
        old.unlink(missing_ok=True)
    return copy


def _change(
    words: dict[str, Any], values: Mapping[str, Mapping[str, str | None]], file: Path
) -> tuple[str, ...]:
    entries = {str(int(e["entryID"])): e for e in words.get("images", [])}
    missing = sorted(values.keys() - entries.keys())
    if missing:
        raise BridgeError(
            f"{file} has no image with the id {', '.join(missing)}. It may have been removed in "
            "QuPath since."
        )
    return tuple(key for key, wanted in values.items() if _set(entries[key], wanted))


def _set(entry: dict[str, Any], wanted: Mapping[str, str | None]) -> bool:
    before = dict(entry.get("metadata") or {})
    after = before | {key: value for key, value in wanted.items() if value is not None}
    after = {key: value for key, value in after.items() if wanted.get(key, "") is not None}
    if after == before:
        return False
    entry["metadata"] = after
    return True


def _replace(file: Path, words: Mapping[str, Any], before: FileFacts | None) -> None:
    """Write beside the file, compare once more, and rename."""
    work = file.with_name(f".{OWN_FOLDER}-{secrets.token_hex(4)}-{file.name}")
    # As Gson prints it, so that a text tool shows but the lines that are different.
    text = json.dumps(words, indent=2, ensure_ascii=False)
    try:
        with work.open("w", encoding="utf-8", newline="\n") as target:
            target.write(text)
            target.flush()
            os.fsync(target.fileno())
        if FileFacts.of(file) != before:
            raise TargetChangedError(
                f"QuPath saved the project {file} meanwhile; nothing was written. Try again."
            )
        work.replace(file)
    except OSError as error:
        raise _not_written(file, error) from error
    finally:
        work.unlink(missing_ok=True)


def _not_written(path: Path, error: OSError) -> WriteError:
    return WriteError(f"Cannot write {path} ({error.strerror or error}). The project is as it was.")
