"""Which folders may be replaced: those that hold nothing but what their maker writes.

A person who names the folder of their slides as the place for a result must not lose them. So
whoever writes a folder says what lies in folders of its kind; one that holds anything beside that
is refused. What file managers leave behind, such as ``.DS_Store``, is overlooked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

__all__ = ["Strangers", "beside", "beside_zarr", "everything", "nothing"]

#: Names in a folder that do not belong to its kind; it is replaced only where there are none.
Strangers = Callable[[Path], list[str]]

_LITTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
_LITTER_PREFIX = "._"
#: One of these lies in each group and array of Zarr 3 and 2.
_ZARR_NODES = ("zarr.json", ".zgroup", ".zarray")
_ZARR_FILES = frozenset({*_ZARR_NODES, ".zattrs", ".zmetadata", "zmetadata"})


def everything(folder: Path) -> list[str]:
    """All that is there: only an empty folder is replaced."""
    return [path.name for path in _entries(folder)]


def nothing(_folder: Path) -> list[str]:
    """Whatever is there may go: for the program's own folders, where no person keeps anything."""
    return []


def beside(marks: Collection[str], *others: str, inside: str = "") -> Strangers:
    """For folders that consist of files with known names.

    Parameters
    ----------
    marks : collection of str
        One of them at least lies in each folder of the kind; where there is none, all is strange.
    others : str
        What else may lie there.
    inside : str
        Name of a folder that may lie there, with the same names in it.
    """
    known = {*marks, *others}

    def strangers(folder: Path) -> list[str]:
        if not any((folder / name).is_file() for name in marks):
            return everything(folder)
        found = [name for name in everything(folder) if name not in {*known, inside}]
        if inside and (folder / inside).is_dir():
            found += [f"{inside}/{n}" for n in everything(folder / inside) if n not in known]
        return found + [name for name in sorted(known) if (folder / name).is_dir()]

    return strangers


def beside_zarr(folder: Path) -> list[str]:
    """For stores of Zarr: groups and arrays belong to one, and what says what they are."""
    if not _is_zarr(folder):
        return everything(folder)
    paths = (path for path in _entries(folder) if path.name not in _ZARR_FILES)
    return [path.name for path in paths if not _is_zarr(path)]


def _is_zarr(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _ZARR_NODES)


def _entries(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name not in _LITTER and not path.name.startswith(_LITTER_PREFIX):
            yield path
