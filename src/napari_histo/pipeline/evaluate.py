"""Results against the truth: files or folders of them, as labels or as outlines."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from napari_histo.core import Box, Contours, GeometryKind, ObjectState, ObjectTable, ObjectType
from napari_histo.errors import ObjectsFileError
from napari_histo.ops.metrics import (
    Agreement,
    compare_classes,
    compare_counts,
    compare_labels,
    count_pixels,
)
from napari_histo.store.dispatch import FORMATS, format_of, load_objects, read_labels
from napari_histo.store.labels import draw, rasterise

__all__ = ["RATIOS", "ImageScore", "Report", "evaluate"]

_LABELS = ("labels", "ome-zarr")
_ENDINGS = (".png", *(ending for endings in FORMATS.values() for ending in endings))
#: Outlines without a label image beside them are compared in squares of this side, px.
_SQUARE_PX = 2048
#: Ratios of an `Agreement` that are averaged over images.
RATIOS = ("f1", "precision", "recall", "mean_ap", "sq", "dq", "pq", "aji", "dice")
_NAMED_AT_MOST = 5


@dataclass(frozen=True)
class ImageScore:
    """Agreement of one image, under its file's stem.

    Attributes
    ----------
    name : str
    agreement : Agreement
        Of all objects, whatever their class.
    classes : mapping of str to Agreement
        Of each class by itself; empty where both sides know fewer than two, and for labels.
    """

    name: str
    agreement: Agreement
    classes: Mapping[str, Agreement] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """Scores of all images, and what the reader of the figures has to know.

    Attributes
    ----------
    images : tuple of ImageScore
    notes : tuple of str
        What was left out.
    """

    images: tuple[ImageScore, ...]
    notes: tuple[str, ...] = ()

    @property
    def pooled(self) -> Agreement:
        """Objects of all images in one pot: each object counts the same."""
        return reduce(add, (image.agreement for image in self.images), Agreement())

    @property
    def classes(self) -> dict[str, Agreement]:
        """Objects of each class, of all images in one pot."""
        found: dict[str, Agreement] = {}
        for image in self.images:
            for name, agreement in image.classes.items():
                found[name] = found.get(name, Agreement()) + agreement
        return found

    @property
    def mpq(self) -> float:
        """Mean over the classes of their pooled PQ; NaN without classes."""
        known = [a.pq for a in self.classes.values() if not math.isnan(a.pq)]
        return sum(known) / len(known) if known else math.nan

    def mean(self, name: str) -> float:
        """Mean of a ratio over images, each image counting the same; NaN ones are left out."""
        values = [getattr(image.agreement, name) for image in self.images]
        known = [v for v in values if not math.isnan(v)]
        return sum(known) / len(known) if known else math.nan

    def as_dict(self) -> dict[str, Any]:
        """For JSON: pooled scores, their means over images, one row an image, notes."""
        means = {name: self.mean(name) for name in RATIOS}
        by_class = {name: found.as_dict() for name, found in self.classes.items()}
        return {
            "n_images": len(self.images),
            **self.pooled.as_dict(),
            "mean_over_images": {k: None if math.isnan(v) else v for k, v in means.items()},
            **({"mpq": self.mpq, "classes": by_class} if by_class else {}),
            "images": [{"name": i.name, **i.agreement.as_dict()} for i in self.images],
            "notes": list(self.notes),
        }


def evaluate(pred: Path | str, truth: Path | str, *, only: Collection[str] | None = None) -> Report:
    """Hold predictions against the truth.

    Parameters
    ----------
    pred, truth : path
        A file of objects (labels as TIFF, PNG or OME-Zarr; GeoJSON; GeoParquet), or a folder of
        them whose files belong together by their stems. Outlines are drawn on the pixels of the
        label image at the other side, else on those of full resolution; where outlines of one file
        overlap, the later one wins.
    only : collection of str, optional
        Stems to look at in folders, for example those of a validation split.

    Raises
    ------
    ObjectsFileError
        A file cannot be read, two label images differ in shape, or nothing belongs together.
    """
    pairs, notes = _pairs(Path(pred), Path(truth), only)
    images = []
    for name, (pred_file, truth_file) in pairs.items():
        images.append(ImageScore(name, *_compare(pred_file, truth_file, notes)))
    return Report(tuple(images), tuple(notes))


# -- which files belong together -------------------------------------------------------------------

_Pairs = Mapping[str, tuple[Path, Path]]


def _pairs(pred: Path, truth: Path, only: Collection[str] | None) -> tuple[_Pairs, list[str]]:
    for path in (pred, truth):
        if not path.exists():
            raise ObjectsFileError(f"There is no {path}. Check the path.")
    if not _is_folder(pred) and not _is_folder(truth):
        if only is not None:
            raise ObjectsFileError(
                f"{pred} and {truth} are one image; names and splits choose among those of folders."
            )
        return {_stem(pred): (pred, truth)}, []
    preds, truths = _files(pred, only), _files(truth, only)
    shared = sorted(preds.keys() & truths.keys())
    if not shared:
        raise ObjectsFileError(
            f"No file of {pred} ({_some(preds)}) has a partner in {truth} ({_some(truths)}). "
            "Files belong together when their names agree up to the ending."
        )
    notes = [
        f"{len(alone)} of {len(files)} files in {place} have no partner in {other} and were LEFT "
        f"OUT: {_some(alone)}."
        for files, place, other in ((preds, pred, truth), (truths, truth, pred))
        if (alone := sorted(files.keys() - set(shared)))
    ]
    if missing := set(only or ()) - preds.keys() - truths.keys():
        notes.append(
            f"{len(missing)} of {len(only or ())} images to look at are in neither folder: "
            f"{_some(missing)}."
        )
    return {name: (preds[name], truths[name]) for name in shared}, notes


def _is_folder(path: Path) -> bool:
    return path.is_dir() and _kind(path) is None


def _kind(path: Path) -> str | None:
    return "labels" if path.suffix.lower() == ".png" else format_of(path)


def _files(place: Path, only: Collection[str] | None) -> dict[str, Path]:
    """Files of objects by stem."""
    paths = sorted(place.iterdir()) if _is_folder(place) else [place]
    found: dict[str, Path] = {}
    for path in paths:
        stem = _stem(path)
        if (
            _kind(path) is None
            or path.name.startswith(".")
            or (only is not None and stem not in only)
        ):
            continue
        if stem in found:
            raise ObjectsFileError(
                f"{place} holds both {found[stem].name} and {path.name} for {stem!r}. Keep one of "
                "them, or give the files themselves."
            )
        found[stem] = path
    return found


def _stem(path: Path) -> str:
    """Name without its endings: ``a.b.ome.tif`` and ``a.b.geojson.gz`` are both ``a.b``."""
    name = path.name.lower()
    known = (e for e in _ENDINGS if name.endswith(e))
    ending = max(known, key=len, default=path.suffix)
    return path.name[: len(path.name) - len(ending)].removesuffix(".ome")


def _some(names: Collection[str]) -> str:
    shown = ", ".join(sorted(names)[:_NAMED_AT_MOST])
    return f"{shown}, ..." if len(names) > _NAMED_AT_MOST else shown or "no file of objects"


# -- one image -------------------------------------------------------------------------------------


def _compare(
    pred_file: Path, truth_file: Path, notes: list[str]
) -> tuple[Agreement, dict[str, Agreement]]:
    """Of all objects, and of each class."""
    pred, truth = _load(pred_file, notes), _load(truth_file, notes)
    if isinstance(pred, ObjectTable) and isinstance(truth, ObjectTable):
        counts = _count_outlines(pred.contours, truth.contours)
        return compare_counts(counts), _by_class(counts, pred, truth)
    canvas = truth if not isinstance(truth, ObjectTable) else pred
    assert not isinstance(canvas, ObjectTable)
    drawn = [_drawn(x, canvas.shape, f, notes) for x, f in ((truth, truth_file), (pred, pred_file))]
    if drawn[0].shape != drawn[1].shape:
        raise ObjectsFileError(
            f"{pred_file} has {_size(drawn[1])} pixels but {truth_file} has {_size(drawn[0])}. "
            "Both must show the same image at the same scale."
        )
    try:
        return compare_labels(drawn[0], drawn[1]), {}
    except ValueError as error:
        raise ObjectsFileError(f"Cannot compare {pred_file} with {truth_file}: {error}") from error


def _load(path: Path, notes: list[str]) -> ObjectTable | NDArray[np.integer]:
    """Labels, or those outlines that stand for objects."""
    if _kind(path) in _LABELS:
        return read_labels(path)
    table = load_objects(path)
    ignored = [table.classes[i].is_background for i in range(len(table.classes))]
    keep = ~np.array([*ignored, False], bool)[table.class_id]
    keep &= table.contours.kind == GeometryKind.POLYGON
    keep &= table.state != ObjectState.REJECTED
    keep &= ~np.isin(table.object_type, (ObjectType.ROOT, ObjectType.TMA_CORE, ObjectType.TILE))
    if not keep.all():
        notes.append(
            f"{int((~keep).sum())} of {len(table)} outlines in {path} were LEFT OUT: lines, "
            "points, rejected ones, tiles, and classes that end with * (regions, background)."
        )
    return table.select(keep)


def _drawn(
    objects: ObjectTable | NDArray[np.integer],
    shape: tuple[int, ...],
    path: Path,
    notes: list[str],
) -> NDArray[np.integer]:
    if not isinstance(objects, ObjectTable):
        return objects
    box = Box(0, 0, shape[1], shape[0])
    beyond = len(objects) - len(objects.query(box))
    if beyond:
        notes.append(
            f"{beyond} of {len(objects)} outlines in {path} lie outside the {box.width} x "
            f"{box.height} pixels of the label image and were LEFT OUT."
        )
    return rasterise(objects, box)


def _size(labels: NDArray[Any]) -> str:
    return f"{labels.shape[1]} x {labels.shape[0]}"


def _by_class(
    counts: sparse.csr_array, pred: ObjectTable, truth: ObjectTable
) -> dict[str, Agreement]:
    """By the classes' names; nothing where there are fewer than two."""
    used = {str(name) for table in (pred, truth) for name in table.class_names if name}
    if len(used) < 2:
        return {}
    names = sorted(used)
    true, found = (
        np.array([*(names.index(n) if n in used else -1 for n in table.classes.names), -1])[
            table.class_id
        ]
        for table in (truth, pred)
    )
    return dict(zip(names, compare_classes(counts, true, found, len(names)), strict=True))


def _count_outlines(pred: Contours, truth: Contours) -> sparse.csr_array:
    """Pixels of each pair, square by square: a whole slide needs no label image of itself."""
    shape = len(truth) + 1, len(pred) + 1
    total = sparse.csr_array(shape, dtype=np.int64)
    for box in _squares(pred, truth):
        drawn = [draw(c, np.arange(1, len(c) + 1), box, 1) for c in (truth, pred)]
        total = total + count_pixels(drawn[0], drawn[1], shape)
    return total


def _squares(pred: Contours, truth: Contours) -> Iterator[Box]:
    bounds = np.concatenate([pred.bounds, truth.bounds])
    bounds = bounds[~np.isnan(bounds[:, 0])]
    if not len(bounds):
        return
    left, top = np.floor(bounds[:, :2].min(axis=0)).astype(int)
    right, bottom = np.ceil(bounds[:, 2:].max(axis=0)).astype(int)
    for y in range(top, bottom, _SQUARE_PX):
        for x in range(left, right, _SQUARE_PX):
            box = Box(x, y, min(_SQUARE_PX, right - x), min(_SQUARE_PX, bottom - y))
            if len(pred.query(box)) or len(truth.query(box)):
                yield box
