"""Which folder a whole-slide run is kept in, and whether one like it is there already."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from pathlib import Path
from typing import Any

from napari_histo.errors import RunFolderError, WriteError
from napari_histo.store.run_differences import differences
from napari_histo.store.run_folder import read_facts

__all__ = ["Found", "RunPlace", "find_place"]

_SUFFIX = ".napari-histo-run"
_MOST_RUNS = 100


class Found(Enum):
    """What stands in the folder."""

    NOTHING = "nothing"
    UNFINISHED = "unfinished"
    FINISHED = "finished"


@dataclass(frozen=True)
class RunPlace:
    """Where a run is kept.

    Attributes
    ----------
    folder : Path
    found : Found
        A run that was asked for the same, or nothing.
    is_away : bool
        True where the folder of the image takes no files.
    """

    folder: Path
    found: Found
    is_away: bool = False


def find_place(
    image: Path | None, name: str, facts: Mapping[str, Any], data_folder: Path | None = None
) -> RunPlace:
    """``<image>.napari-histo-run`` beside the image, else in the user's data folder.

    Runs that were asked for something else are left alone: the next number is free.

    Parameters
    ----------
    image : Path or None
        File of the image; None where there is none.
    name : str
        Of the image.
    facts : mapping
        As of `facts_of`.
    data_folder : Path, optional
        Instead of the user's.

    Raises
    ------
    WriteError
        No folder takes files.
    """
    homes = [] if image is None else [(image.parent, image.name, False)]
    homes.append((*_away(image, name, data_folder), True))
    for parent, stem, is_away in homes:
        for folder in _names(parent, stem):
            if not folder.exists():
                if not _takes_files(parent):
                    break
                return RunPlace(folder, Found.NOTHING, is_away)
            found = _look(folder, facts)
            if found is not None:
                return RunPlace(folder, found, is_away)
    tried = " nor ".join(str(parent) for parent, _, _ in homes)
    raise WriteError(
        f"A whole-slide run needs a folder, and neither {tried} takes one. Make one of them "
        "writable, or free some space."
    )


def _names(parent: Path, stem: str) -> Iterator[Path]:
    yield parent / f"{stem}{_SUFFIX}"
    for number in range(2, _MOST_RUNS):
        yield parent / f"{stem} ({number}){_SUFFIX}"


def _look(folder: Path, facts: Mapping[str, Any]) -> Found | None:
    """What stands in a folder that is there; None where it is not for this run."""
    if not _takes_files(folder):
        return None
    try:
        there = read_facts(folder)
    except (RunFolderError, OSError):
        return None
    if there is None:
        return Found.NOTHING
    if differences(there, facts):
        return None
    return Found.FINISHED if (folder / "summary.json").exists() else Found.UNFINISHED


def _away(image: Path | None, name: str, data_folder: Path | None) -> tuple[Path, str]:
    import platformdirs

    if data_folder is None:
        data_folder = Path(platformdirs.user_data_path("napari-histo"))
    key = name if image is None else os.path.normcase(image)
    label = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)[:60]
    return data_folder / "runs", f"{label}-{sha256(key.encode()).hexdigest()[:12]}"


def _takes_files(folder: Path) -> bool:
    """True where files can be made in a folder, or it can be made itself."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
