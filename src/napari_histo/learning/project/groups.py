"""Which images belong to one patient, and which judge: from a table, or from their folders."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from napari_histo.core.rounds import Split
from napari_histo.errors import LearningError
from napari_histo.learning.project.making import NewImage

__all__ = ["by_folder", "grouped"]

_SPLITS: Mapping[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "validation": "validation",
}


def by_folder(images: Sequence[NewImage]) -> list[NewImage]:
    """Images of one folder as one patient's.

    A group is called by its folder from the first on that not all share, for a record names no
    place on a machine.
    """
    folders = [image.path.absolute().parent.parts for image in images]
    levels = [set(level) for level in zip(*folders, strict=False)]
    n_shared = next((i for i, level in enumerate(levels) if len(level) > 1), len(levels))
    names = ["/".join(parts[n_shared:] or parts[-1:]) for parts in folders]
    return [replace(image, group=name) for image, name in zip(images, names, strict=True)]


def grouped(images: Sequence[NewImage], path: Path) -> list[NewImage]:
    """Images with what a CSV of the columns image, group, and perhaps split and stratum says.

    Raises
    ------
    LearningError
        It cannot be read, lacks a column or an image, or says what is not allowed.
    """
    rows = _rows(path)
    found, unknown = [], []
    for image in images:
        row = next((rows[k] for k in (image.path.name, image.path.stem) if k in rows), None)
        if row is None:
            unknown.append(image.path.name)
            continue
        word = (row.get("split") or "").strip().lower()
        if word and word not in _SPLITS:
            raise LearningError(
                f"{path}: the split of {image.path.name} is {word!r}; allowed are train and "
                "validation, or nothing."
            )
        split, stratum = _SPLITS.get(word), (row.get("stratum") or "").strip()
        found.append(replace(image, group=row["group"].strip(), split=split, stratum=stratum))
    if unknown:
        raise LearningError(
            f"{path} does not name {len(unknown)} of {len(images)} images: "
            f"{', '.join(unknown[:5])}{', …' if len(unknown) > 5 else ''}. Give each a line."
        )
    return found


def _rows(path: Path) -> dict[str, dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            names = set(reader.fieldnames or ())
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LearningError(f"Cannot read {path} as CSV: {error}.") from error
    missing = {"image", "group"} - names
    empty = [row["image"] for row in rows if not missing and not (row["group"] or "").strip()]
    if missing or empty:
        what = f"lacks the column {' and '.join(sorted(missing))}" if missing else ""
        what = what or f"names no group for {empty[0]}"
        raise LearningError(
            f"{path} {what}. Wanted are columns image and group, perhaps split and stratum."
        )
    return {row["image"].strip(): row for row in rows}
