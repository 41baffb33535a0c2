"""Labelled regions as sheets of pixels at a model's pixel size, read when they are wanted."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import (
    Box,
    GeometryKind,
    ObjectState,
    ObjectTable,
    ObjectType,
    Segmenter,
    SlideReader,
    TileGrid,
)
from napari_histo.core.contours import Contours
from napari_histo.core.latest import Latest
from napari_histo.errors import ObjectsFileError
from napari_histo.learning.training import Example
from napari_histo.ops.channels import ChannelPick
from napari_histo.ops.normalize import Normalizer
from napari_histo.pipeline.frame import Frame
from napari_histo.pipeline.proposing import WHOLE_PX, fit
from napari_histo.pipeline.sampling import sample_boxes
from napari_histo.store.labels import draw

__all__ = ["Sheet", "Sheets", "SlideRange", "Slides", "nuclei_of", "region_px"]

_SHEET_PX = 512
#: Pixels of a slide from which its percentiles are taken anew when its colours are changed.
_SAMPLES = 4096
#: Sheets beyond this are read again when they are drawn again.
_CACHE_BYTES = 512 << 20
#: An outline that ends this near to the edge of its region was cut there, model px.
_CUT_PX = 1.0


def nuclei_of(table: ObjectTable) -> ObjectTable:
    """Rows that stand for objects: areas that nobody refused, of no background class."""
    ignored = [table.classes[i].is_background for i in range(len(table.classes))]
    keep = ~np.array([*ignored, False], bool)[table.class_id]
    keep &= table.contours.kind == GeometryKind.POLYGON
    keep &= table.state != ObjectState.REJECTED
    keep &= ~np.isin(table.object_type, (ObjectType.ROOT, ObjectType.TMA_CORE, ObjectType.TILE))
    return table.select(keep)


@dataclass(frozen=True, eq=False)
class SlideRange:
    """A slide's frame at the model's pixel size, and its range of intensities.

    Attributes
    ----------
    frame : Frame
        Of the whole slide.
    pick : ChannelPick
    normalizer : Normalizer
        As prediction has it.
    model : Segmenter
        Made fit for the slide.
    """

    frame: Frame
    pick: ChannelPick
    normalizer: Normalizer
    model: Segmenter

    @property
    def is_brightfield(self) -> bool:
        """True where the network sees the slide's colours."""
        info = self.frame.reader.info
        return info.is_rgb and self.pick.index is None and not self.pick.to_gray

    @cached_property
    def samples(self) -> NDArray[np.float32]:
        """(n, c) pixels that stand for the slide, in its own units; read when first asked for."""
        boxes = sample_boxes(self.frame, whole_px=WHOLE_PX)
        pixels = [self.pick.apply(self.frame.read(box)) for box in boxes]
        flat = np.concatenate([p.reshape(-1, p.shape[-1]) for p in pixels])
        some = np.random.default_rng(0).choice(len(flat), min(_SAMPLES, len(flat)), replace=False)
        return np.asarray(flat[np.sort(some)], np.float32)

    def read(self, box: Box) -> NDArray[Any]:
        """Pixels (h, w, c) of a box in model px, in the slide's own units and, rounded, its type.

        Resampled ones would otherwise take four times the memory.
        """
        pixels, dtype = self.pick.apply(self.frame.read(box)), self.frame.reader.info.dtype
        if pixels.dtype == dtype or not np.issubdtype(dtype, np.integer):
            return pixels
        limits = np.iinfo(dtype)
        return np.asarray(np.clip(np.rint(pixels), limits.min, limits.max), dtype)


class Slides:
    """Ranges of slides, found once each. Any thread may call.

    Parameters
    ----------
    model : Segmenter
    channel : int, optional
        For models of one channel.
    """

    def __init__(self, model: Segmenter, channel: int | None = None) -> None:
        self.model, self.channel = model, channel
        self._known: dict[tuple[int, object], tuple[SlideReader, SlideRange]] = {}
        self._lock = threading.Lock()

    def of(self, example: Example) -> SlideRange:
        """Of an example's slide."""
        key = id(example.reader), example.pixel_size
        with self._lock:
            if key not in self._known:
                # The reader is kept too, or another could come to have its id.
                self._known[key] = example.reader, self._look(example)
            return self._known[key][1]

    def _look(self, example: Example) -> SlideRange:
        info = example.reader.info
        pick = ChannelPick.choose(info, self.model.info, self.channel)
        frame = Frame.of(example.reader, self.model.info, pixel_size=example.pixel_size)
        normalizer, model = fit(frame, self.model, pick)
        return SlideRange(frame, pick, normalizer, model)


def region_px(example: Example, slide: SlideRange) -> tuple[float, float, float, float]:
    """Left, top, right and lower edge of a region within its image, in model px."""
    box = example.labels.region.intersect(example.reader.info.box)
    sx, sy = slide.frame.scale
    return box.x / sx, box.y / sy, box.right / sx, box.bottom / sy


@dataclass(frozen=True, eq=False)
class Sheet:
    """Some of a labelled region with what lies around it.

    Attributes
    ----------
    slide : SlideRange
    pixels : (h, w, c) array
        In the slide's own units.
    labels : (h, w) int32
        Objects that are at least in part known; those that cross the region's edge are whole.
    known : (h, w) bool
        In the region and in no ignored area.
    cut : (k,) int32
        Objects that end at the region's edge: they may go on beyond.
    torn : (k,) int32
        Objects of which more may lie beyond these pixels: they end at an edge of the region that is
        none of the image, or at one of the sheet's.
    centres : (n, 2) float64
        y and x of the objects.
    classes : (n + 1,) int64
        Class of each label in the scheme of the model, 0 background; -1 unknown.
    """

    slide: SlideRange
    pixels: NDArray[Any]
    labels: NDArray[np.int32]
    known: NDArray[np.bool_]
    cut: NDArray[np.int32]
    torn: NDArray[np.int32]
    centres: NDArray[np.float64]
    classes: NDArray[np.int64]

    @property
    def nbytes(self) -> int:
        """Of the arrays."""
        return int(self.pixels.nbytes + self.labels.nbytes + self.known.nbytes)


class Sheets:
    """Sheets of examples by number; read when asked for, the latest kept. Any thread may call.

    Parameters
    ----------
    examples : sequence of Example
    slides : Slides
    around_px : int
        Context beyond each sheet's own part, model px.
    """

    def __init__(self, examples: Sequence[Example], slides: Slides, around_px: int) -> None:
        self._examples, self._slides, self._around = examples, slides, around_px
        self._places: list[tuple[int, Box, Box]] = []
        for number, example in enumerate(examples):
            if example.labels.region.intersect(example.reader.info.box).is_empty:
                raise ObjectsFileError(
                    f"The labelled region {example.labels.region} of {example.labels.image} lies "
                    "beside its image. Is it in full-resolution pixels?"
                )
            frame = Frame.of(
                example.reader,
                slides.model.info,
                region=example.labels.region,
                pixel_size=example.pixel_size,
            )
            ChannelPick.choose(example.reader.info, slides.model.info, slides.channel)
            for tile in TileGrid(frame.extent, frame.region, _SHEET_PX, around_px):
                self._places.append((number, tile.owned, tile.read))
        self._latest: Latest[int, Sheet] = Latest(_CACHE_BYTES)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def areas_px(self) -> NDArray[np.int64]:
        """Labelled pixels of each sheet, ignored ones counted too."""
        return np.array([own.area for _, own, _ in self._places], np.int64)

    def __getitem__(self, index: int) -> Sheet:
        return self._latest.get(index, partial(self._read, index))

    @property
    def nbytes(self) -> int:
        """Of the sheets that are kept."""
        return self._latest.nbytes

    def _read(self, index: int) -> Sheet:
        number, _, box = self._places[index]
        example = self._examples[number]
        slide = self._slides.of(example)
        edges = region_px(example, slide)
        known = _known(example, slide, edges, box)
        table = nuclei_of(example.labels.objects)
        contours = _in_model(table.contours, slide)
        rows = contours.query(box)
        labels = draw(contours.take(rows), np.arange(1, len(rows) + 1), box, 1).astype(np.int32)
        seen = np.bincount(labels[known], minlength=len(rows) + 1)[1:] > 0
        # What lies outside alone is nobody's word, and must not change anything.
        new = np.zeros(len(rows) + 1, np.int32)
        new[1:][seen] = np.arange(1, seen.sum() + 1)
        rows, labels = rows[seen], new[labels]
        contours = contours.take(rows)
        model_classes = self._slides.model.info.classes
        names = table.class_names[rows]
        return Sheet(
            slide,
            slide.read(box),
            labels,
            known,
            np.flatnonzero(_is_cut(contours, edges)).astype(np.int32) + 1,
            np.flatnonzero(_is_torn(contours, edges, box, slide)).astype(np.int32) + 1,
            contours.centroids[:, ::-1] - (box.y, box.x),
            np.array([0, *(_class(model_classes.names, name) for name in names)], np.int64),
        )


def _class(names: Sequence[str], name: str | None) -> int:
    return 1 + names.index(name) if name in names else -1


def _in_model(contours: Contours, slide: SlideRange) -> Contours:
    sx, sy = slide.frame.scale
    return contours.transform((1 / sx, 1 / sy), (0.0, 0.0))


def _known(
    example: Example, slide: SlideRange, edges: tuple[float, float, float, float], box: Box
) -> NDArray[np.bool_]:
    """Pixels of `box` whose centre lies in the region and in no ignored area."""
    x, y = box.x + np.arange(box.width) + 0.5, box.y + np.arange(box.height) + 0.5
    left, top, right, bottom = edges
    known = ((y >= top) & (y < bottom))[:, None] & ((x >= left) & (x < right))
    ignored = _in_model(example.labels.ignored, slide)
    drawn = draw(ignored, np.ones(len(ignored), np.int64), box, 1)
    return np.asarray(known & (drawn == 0))


def _is_cut(contours: Contours, edges: tuple[float, float, float, float]) -> NDArray[np.bool_]:
    """Outlines that end at the edge of their region; those that go on beyond are whole."""
    return np.asarray((np.abs(contours.bounds - np.array(edges)) <= _CUT_PX).any(axis=1))


def _is_torn(
    contours: Contours, edges: tuple[float, float, float, float], box: Box, slide: SlideRange
) -> NDArray[np.bool_]:
    """Outlines that may go on beyond the region or a sheet, but not those at the image's edge."""
    image = slide.frame.extent
    ends = np.array([image.x, image.y, image.right, image.bottom], float)
    far = np.abs(np.array(edges) - ends) > _CUT_PX
    at_region = (np.abs(contours.bounds - np.array(edges)) <= _CUT_PX) & far
    sheet = np.array([box.x, box.y, box.right, box.bottom], float)
    beyond = (contours.bounds - sheet) * np.array([1, 1, -1, -1]) < 0
    return np.asarray((at_region | (beyond & (sheet != ends))).any(axis=1))
