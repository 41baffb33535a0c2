"""Patches of labelled regions for the click model: one object each, and what was drawn for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from napari_histo.core import ModelInfo, PixelSize, PromptSegmenter, Segmenter
from napari_histo.errors import ObjectsFileError
from napari_histo.learning.click.drawing import NUCLEI, draw_gestures
from napari_histo.learning.course.augment import (
    fluo_colour,
    fluo_texture,
    he_colour,
    he_texture,
    jitter_range,
)
from napari_histo.learning.course.sheets import Sheet, Sheets, SlideRange, Slides
from napari_histo.learning.course.warping import PatchShape, sampling_grid, warp, warp_nearest
from napari_histo.learning.training import Example
from napari_histo.models.nuclick.segmenter import PERCENTILES
from napari_histo.ops.channels import ChannelPick
from napari_histo.ops.normalize import Normalizer
from napari_histo.pipeline.frame import Frame
from napari_histo.pipeline.sampling import sample_boxes

__all__ = ["SIDES", "ClickBatch", "ClickBatches", "ClickSlides", "ObjectSource", "aim"]

#: Sides of patches, px. A network that saw one side alone finds the centre by its distance to the
#: padding, and fails on patches of another side.
SIDES = (96, 96, 128)
_MIN_AREA_PX = 24
#: Objects with less of them in the patch are drawn again.
_LEAST_SHOWN_PX = 16
#: Range of lengths of objects in a patch, spread of their magnification (log2), and its limits.
_EXTENT_PX, _ZOOM, _ZOOMS = (10.0, 76.0), 0.35, (0.4, 2.5)
_JITTERED = 0.5
_TRIES = 50


class ClickSlides(Slides):
    """Frames of slides at the finest pixel size of a click model.

    Parameters
    ----------
    model : PromptSegmenter
    channel : int, optional
        For images that are not RGB.
    """

    def __init__(self, model: PromptSegmenter, channel: int | None = None) -> None:
        # Sheets look at the model's card alone.
        super().__init__(cast("Segmenter", model), channel)

    def _look(self, example: Example) -> SlideRange:
        info = example.reader.info
        pick = ChannelPick.choose(info, self.model.info, self.channel)
        frame = Frame.of(
            example.reader, self.model.info, pixel_size=_size(example, self.model.info)
        )
        pixels = [pick.apply(frame.read(box)) for box in sample_boxes(frame, whole_px=1 << 20)]
        samples = np.concatenate([p.reshape(-1, p.shape[-1]) for p in pixels])
        normalizer = Normalizer.from_samples(samples, PERCENTILES, is_8bit_rgb=info.is_rgb)
        return SlideRange(frame, pick, normalizer, self.model)


def _size(example: Example, info: ModelInfo) -> PixelSize | None:
    """As `PromptEngine` has it: pixels of unknown size count as the model's own."""
    known = example.pixel_size or example.reader.info.pixel_size
    if known is None and info.pixel_size_nominal and info.pixel_size_um is not None:
        return PixelSize.square(info.pixel_size_um)
    return known


@dataclass(frozen=True, eq=False)
class _Sample:
    image: Tensor
    maps: NDArray[np.uint8]
    truth: NDArray[np.bool_]
    known: NDArray[np.bool_]
    is_replayed: bool


@dataclass(frozen=True, eq=False)
class ClickBatch:
    """Objects of one step.

    Attributes
    ----------
    image : (b, 3, s, s) float32
        Normalised as in prediction.
    maps : (b, 3, s, s) uint8
        What was drawn.
    truth, known : (b, 1, s, s) float32
        1 in the object; 1 where that is known.
    replayed : (b,) bool
    """

    image: Tensor
    maps: Tensor
    truth: Tensor
    known: Tensor
    replayed: Tensor

    @classmethod
    def of(cls, samples: Sequence[_Sample]) -> ClickBatch:
        """Stacked."""

        def masks(name: str) -> Tensor:
            return torch.from_numpy(np.stack([getattr(s, name) for s in samples])[:, None]).float()

        return cls(
            torch.stack([s.image for s in samples]),
            torch.from_numpy(np.stack([s.maps for s in samples])),
            masks("truth"),
            masks("known"),
            torch.tensor([s.is_replayed for s in samples]),
        )


@dataclass(frozen=True, eq=False)
class _Targets:
    """Objects of a sheet that may be asked for, and where they lie."""

    sheet: int
    boxes: dict[int, tuple[slice, slice]]


class ObjectSource:
    """Draws objects of labelled regions; regions with more objects more often, by the root.

    Parameters
    ----------
    examples : sequence of Example
    slides : ClickSlides
    is_replayed : bool
    """

    def __init__(
        self, examples: Sequence[Example], slides: ClickSlides, *, is_replayed: bool = False
    ) -> None:
        self._sheets = Sheets(examples, slides, max(SIDES) // 2)
        self._is_replayed = is_replayed
        found = [_targets(i, self._sheets[i]) for i in range(len(self._sheets))]
        self._targets = [t for t in found if t.boxes]
        roots = np.sqrt([len(t.boxes) for t in self._targets])
        self._chance = roots / roots.sum() if len(roots) else roots

    @property
    def n_objects(self) -> int:
        """That may be asked for."""
        return sum(len(t.boxes) for t in self._targets)

    @property
    def nbytes(self) -> int:
        """Of the pixels that are kept at hand."""
        return self._sheets.nbytes

    def draw(self, side: int, rng: np.random.Generator) -> _Sample:
        """One object in a patch of `side` px; the same generator gives the same one."""
        for _ in range(_TRIES):
            targets = self._targets[int(rng.choice(len(self._chance), p=self._chance))]
            target = int(rng.choice(list(targets.boxes)))
            sheet = self._sheets[targets.sheet]
            found = _cut(sheet, target, targets.boxes[target], side, rng)
            if found is not None:
                return _Sample(*found, self._is_replayed)
        raise ObjectsFileError(
            "None of the labelled objects shows in a patch. Are their outlines in full-resolution "
            "pixels, and larger than a few pixels?"
        )


class ClickBatches:
    """New and replayed objects, each batch a function of the seed and the number of its step.

    Parameters
    ----------
    new, replay : ObjectSource
        `replay` may hold no object.
    size : int
        Objects a batch.
    share : float
        That is replayed.
    seed : int

    Raises
    ------
    ObjectsFileError
        There is no object.
    """

    def __init__(
        self, new: ObjectSource, replay: ObjectSource, *, size: int, share: float, seed: int
    ) -> None:
        if not new.n_objects:
            new, replay = replay, new
        if not new.n_objects:
            raise ObjectsFileError(
                "The labelled regions hold no object, and a click model learns from objects alone. "
                "Outline some."
            )
        self.new, self.replay = new, replay
        self._size, self._seed = size, seed
        self._share = share if replay.n_objects else 0.0

    @property
    def nbytes(self) -> int:
        """Of the pixels that are kept at hand."""
        return self.new.nbytes + self.replay.nbytes

    def draw(self, step: int) -> ClickBatch:
        """The batch of a step."""
        rng = np.random.default_rng([self._seed, 3, step])
        n_old = int(np.floor(self._share * self._size + rng.random()))
        sources = [self.replay] * n_old + [self.new] * (self._size - n_old)
        side = int(rng.choice(SIDES))
        return ClickBatch.of([source.draw(side, rng) for source in sources])


def _targets(number: int, sheet: Sheet) -> _Targets:
    areas = np.bincount(sheet.labels[sheet.known], minlength=int(sheet.labels.max(initial=0)) + 1)
    found = {
        i: where
        for i, where in enumerate(ndimage.find_objects(sheet.labels), start=1)
        if where is not None and areas[i] >= _MIN_AREA_PX
    }
    return _Targets(number, found)


def _cut(
    sheet: Sheet,
    target: int,
    where: tuple[slice, slice],
    side: int,
    rng: np.random.Generator,
) -> tuple[Tensor, NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Image, maps, truth and known of a patch; None where the warp lost the object."""
    extent = float(max(s.stop - s.start for s in where))
    wanted = np.clip(extent * 2 ** rng.normal(0, _ZOOM), *_EXTENT_PX)
    centre = aim(sheet.labels[where] == target, where, rng)
    grid = sampling_grid(
        sheet.labels.shape,
        PatchShape(side, elastic_px=1.5),
        rng,
        centre=centre,
        zoom=float(np.clip(wanted / extent, *_ZOOMS)),
    )
    code = np.maximum(warp_nearest(2 * sheet.labels + sheet.known, grid), 0)
    labels = code >> 1
    truth = labels == target
    # An object that was not cut is known whole, also beyond the edge of its region.
    known = (code & 1 == 1) | ((labels > 0) & ~np.isin(labels, sheet.cut))
    if (truth & known).sum() < _LEAST_SHOWN_PX:
        return None
    maps = draw_gestures(labels, target, NUCLEI, rng)
    return _coloured(sheet, grid, rng), maps, truth, known


def aim(
    mask: NDArray[np.bool_],
    where: tuple[slice, slice],
    rng: np.random.Generator,
    at_object: float = 0.7,
) -> NDArray[np.float64]:
    """Patch centre (x, y): a pixel of the object, or near the middle of its box.

    Parameters
    ----------
    mask : (h, w) bool
        The object in its box.
    where : two slices
        The box.
    rng : Generator
    at_object : float
        Chance of a pixel of the object, as if it were clicked.
    """
    top, left = where[0].start, where[1].start
    if rng.random() < at_object:
        ys, xs = np.nonzero(mask)
        i = rng.integers(len(ys))
        return np.array([left + xs[i], top + ys[i]], float)
    height, width = mask.shape
    moved = rng.normal(0, 0.12, 2) * max(height, width)
    return np.array([left + width / 2 + moved[0], top + height / 2 + moved[1]])


def _coloured(sheet: Sheet, grid: Tensor, rng: np.random.Generator) -> Tensor:
    """(3, s, s) pixels under other stains and optics, within their own range as in prediction."""
    bright = sheet.slide.is_brightfield
    unit = sheet.pixels / np.float32(255) if bright else sheet.slide.normalizer.apply(sheet.pixels)
    image = warp(torch.from_numpy(np.asarray(unit, np.float32)).permute(2, 0, 1), grid)
    colour, texture = (he_colour, he_texture) if bright else (fluo_colour, fluo_texture)
    image = texture(colour(rng)(image), rng)
    pixels = 255 * image.permute(1, 2, 0).reshape(-1, len(image)).numpy()
    range_ = Normalizer.from_samples(pixels, PERCENTILES, is_8bit_rgb=bright)
    image = ((255 * image - range_.low) / (range_.high - range_.low)).expand(3, -1, -1)
    return jitter_range(image, rng) if rng.random() < _JITTERED else image
