"""Which images of a data set are for training, for choosing, for the final test."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable
from pathlib import Path

from napari_histo.errors import ObjectsFileError

__all__ = ["find_split", "read_split", "read_table"]

_FILE = "splits.csv"
_COLUMNS = ("id", "split")


def find_split(folders: Iterable[Path], split: str) -> frozenset[str]:
    """Stems of a split, from the ``splits.csv`` that lies in or above one of `folders`.

    Parameters
    ----------
    folders : iterable of Path
        Of images or results, likelier ones first; the first with such a file decides. Where its
        column ``dataset`` names the path from the file to that folder, or the start of that path,
        only the images of this data set count.
    split : str
        Such as ``val``.

    Raises
    ------
    ObjectsFileError
        No folder has a ``splits.csv``, or it does not know the split.
    """
    folders = [folder.resolve() for folder in folders]
    for folder in folders:
        for place in (folder, *folder.parents):
            if (place / _FILE).is_file():
                path = folder.relative_to(place).as_posix()
                return read_split(place / _FILE, split, dataset=_dataset(place / _FILE, path))
    raise ObjectsFileError(
        f"There is no {_FILE} in or above {' or '.join(map(str, folders))}. A split needs one, "
        "with the columns id (an image's name without its ending) and split; or name the images."
    )


def read_split(path: Path | str, split: str, *, dataset: str | None = None) -> frozenset[str]:
    """Stems of one split, from a CSV with the columns ``id`` and ``split``, perhaps ``dataset``."""
    rows = [r for r in read_table(Path(path), _COLUMNS) if dataset in (None, r.get("dataset"))]
    chosen = frozenset(row["id"] for row in rows if row["split"] == split)
    if not chosen:
        known = sorted({row["split"] for row in rows})
        of = f" of {dataset}" if dataset else ""
        raise ObjectsFileError(f"{path} names no image{of} in the split {split!r}; known: {known}.")
    return chosen


def read_table(path: Path, columns: Collection[str]) -> list[dict[str, str]]:
    """Rows of a CSV that has at least these columns; empty cells are "".

    Raises
    ------
    ObjectsFileError
        It is missing, damaged, or lacks a column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = set(columns) - set(reader.fieldnames or ())
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ObjectsFileError(f"{path} cannot be read as CSV: {error}") from error
    if missing:
        raise ObjectsFileError(f"{path} lacks the column {' and '.join(sorted(missing))}.")
    return [{k: v or "" for k, v in row.items() if k} for row in rows]


def _dataset(path: Path, folder: str) -> str | None:
    """The data set that a folder lies in; None where the CSV names none such."""
    names = {row.get("dataset", "") for row in read_table(path, _COLUMNS)} - {""}
    return max((n for n in names if f"{folder}/".startswith(f"{n}/")), key=len, default=None)
