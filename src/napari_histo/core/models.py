"""What every model says of itself, and what the pipeline asks of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_histo.core.box import Box
from napari_histo.core.classes import ClassScheme
from napari_histo.core.contours import Contours, as_rows
from napari_histo.core.objects import ObjectTable
from napari_histo.core.prompts import Prompt
from napari_histo.core.tiles import Tile

__all__ = [
    "Channels",
    "FieldSegmenter",
    "ModelInfo",
    "PromptAnswer",
    "PromptPatch",
    "PromptSegmenter",
    "Proposals",
    "ScaledSegmenter",
    "Segmenter",
    "SizingSegmenter",
    "Thresholds",
]

Channels = Literal["rgb", "gray", "any", "cells", "rgb-or-cells"]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What is kept of a model's proposals.

    Attributes
    ----------
    prob : float
        Least probability of an object, 0 to 1.
    nms : float
        Largest overlap of two objects, as a share of the smaller one's area, 0 to 1. For models
        whose objects cannot overlap (`FieldSegmenter`), the largest error of an object's flows.
    """

    prob: float = 0.5
    nms: float = 0.4

    def __post_init__(self) -> None:
        for name, value in (("probability", self.prob), ("overlap", self.nms)):
            if not 0 <= value <= 1:
                raise ValueError(f"The {name} threshold is {value}; it must lie between 0 and 1.")


@dataclass(frozen=True)
class ModelInfo:
    """A model's card in short.

    Attributes
    ----------
    name, family : str
        ``he-nuclei``; ``stardist``, ``cellpose``, ``nuclick``, ``classical``.
    pixel_size_um : float or None
        Pixel size that it was trained at, µm/px; None where it works at any.
    pixel_size_nominal : bool
        True where the training images had no known pixel size and `pixel_size_um` was derived from
        the size of their nuclei; an image of unknown pixel size is then taken as it is.
    channels : {"rgb", "gray", "any", "cells", "rgb-or-cells"}
        The last two take a channel with cells and, if there is one, a second one with nuclei;
        ``cells`` sees RGB as one channel.
    classes : ClassScheme
    licence : str
        SPDX expression of the weights' licence.
    source : str
        Where the weights come from, for people.
    sha256 : str or None
        Of the weights' file or archive.
    size_bytes : int or None
        Of the same.
    thresholds : Thresholds
        Defaults, as optimised in training.
    description : str
        One sentence for the user.
    takes_diameter : bool
        True where the image can be scaled to the diameter of the objects to find; see
        `ScaledSegmenter`.
    diameter_px : float or None
        Of the objects that it was trained at, model px, as far as the card knows.
    """

    name: str
    family: str
    pixel_size_um: float | None = None
    pixel_size_nominal: bool = False
    channels: Channels = "any"
    classes: ClassScheme = field(default_factory=lambda: ClassScheme.of("Nucleus"))
    licence: str = "unknown"
    source: str = ""
    sha256: str | None = None
    size_bytes: int | None = None
    thresholds: Thresholds = field(default_factory=Thresholds)
    description: str = ""
    takes_diameter: bool = False
    diameter_px: float | None = None

    @property
    def diameter_um(self) -> float | None:
        """Diameter of the objects that it looks for, µm; None where nobody knows."""
        if self.diameter_px is None or self.pixel_size_um is None:
            return None
        return self.diameter_px * self.pixel_size_um

    @property
    def takes_two_channels(self) -> bool:
        """True where a channel with nuclei may stand beside that with cells."""
        return self.channels in ("cells", "rgb-or-cells")


@dataclass(frozen=True, eq=False)
class Proposals:
    """Possible objects in a model's pixels, before the best are chosen.

    Attributes
    ----------
    points : (n, 2) float32
        Where each object is anchored, x before y; the tile that owns it owns the object.
    prob : (n,) float32
        Probability of there being an object.
    columns : mapping of str to (n, …) arrays
        Whatever else the model needs to draw and choose (star distances, class probabilities).
    contours : Contours or None
        Finished outlines, for models that have them at once.
    """

    points: NDArray[np.float32]
    prob: NDArray[np.float32]
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    contours: Contours | None = None

    def __len__(self) -> int:
        return len(self.prob)

    def take(self, rows: ArrayLike) -> Proposals:
        """The chosen rows (indices or mask), in the given order."""
        index = as_rows(rows, len(self))
        return Proposals(
            self.points[index],
            self.prob[index],
            {k: v[index] for k, v in self.columns.items()},
            None if self.contours is None else self.contours.take(index),
        )

    def shift(self, dx: float, dy: float) -> Proposals:
        """Moved by (dx, dy) px."""
        moved = (self.points + np.array([dx, dy], np.float32)).astype(np.float32)
        contours = None if self.contours is None else self.contours.transform(1.0, (dx, dy))
        return Proposals(moved, self.prob, self.columns, contours)

    @staticmethod
    def concat(items: Sequence[Proposals]) -> Proposals:
        """All rows of `items` (at least one), which must come from one model."""
        first = items[0]
        return Proposals(
            np.concatenate([p.points for p in items]),
            np.concatenate([p.prob for p in items]),
            {k: np.concatenate([p.columns[k] for p in items]) for k in first.columns},
            None
            if first.contours is None
            else Contours.concat([p.contours for p in items if p.contours is not None]),
        )


@runtime_checkable
class Segmenter(Protocol):
    """Finds objects in images at its own pixel size.

    The pipeline calls `propose` tile by tile and `select` on what neighbours share, so that the
    answer does not depend on the tiles. `segment` does both for small images.
    """

    @property
    def info(self) -> ModelInfo:
        """The model's card."""
        ...

    @property
    def margin_px(self) -> int:
        """Context that one output pixel depends on, model px on each side."""
        ...

    @property
    def align_px(self) -> int:
        """Tiles must start at multiples of this, model px."""
        ...

    @property
    def edge_px(self) -> int:
        """Objects anchored nearer than this to the image's edge are left out, model px."""
        ...

    @property
    def percentiles(self) -> tuple[float, float] | None:
        """Percentiles of the image that become 0 and 1; None where raw values are wanted."""
        ...

    @property
    def batch_size(self) -> int:
        """Images that `propose` handles best at once."""
        ...

    def room(self, side_px: int) -> int:
        """Images of this side that fit into memory as it is now; 0 where not one does."""
        ...

    def adapt(self, samples: NDArray[np.float32]) -> Segmenter:
        """A segmenter fit for an image, itself where there is nothing to fit.

        Whatever depends on more than a tile is settled here, or tiles would disagree.

        Parameters
        ----------
        samples : (n, channels) float32
            Pixels that stand for the region, normalised.
        """
        ...

    def on_cpu(self) -> Segmenter:
        """The same model on the processor; itself where it runs there."""
        ...

    def propose(self, images: NDArray[np.float32], min_prob: float) -> list[Proposals]:
        """All possible objects with at least `min_prob`.

        Parameters
        ----------
        images : (batch, height, width, channels) float32
            Normalised by `percentiles`, at the model's pixel size.

        Returns
        -------
        list of Proposals
            One an image, in its pixels.
        """
        ...

    def select(self, proposals: Proposals, thresholds: Thresholds) -> NDArray[np.int64]:
        """Rows that survive, ascending: likely enough, and not covered by a likelier one."""
        ...

    def reach_px(self, proposals: Proposals) -> float:
        """Largest distance at which two of these proposals can influence each other, model px."""
        ...

    def draw(self, proposals: Proposals) -> ObjectTable:
        """Outlines with probabilities and classes, one row a proposal, in model px."""
        ...

    def segment(self, images: NDArray[np.float32]) -> list[ObjectTable]:
        """Objects of each image (batch, height, width, channels), with the default thresholds."""
        ...


@runtime_checkable
class ScaledSegmenter(Segmenter, Protocol):
    """A segmenter that finds objects of any size in an image that is scaled to them."""

    def at_diameter(self, diameter_um: float) -> Segmenter:
        """The same network for objects of another diameter, µm.

        Raises
        ------
        ModelError
            Not above 0.
        """
        ...


@runtime_checkable
class SizingSegmenter(Segmenter, Protocol):
    """A segmenter that can tell how large the objects of an image are."""

    def guess_diameter_px(self, images: Sequence[NDArray[np.float32]]) -> float | None:
        """Diameter of the objects, px of these images; None where it cannot tell.

        Parameters
        ----------
        images : sequence of (height, width, channels) float32
            Of one picture at one scale, normalised.
        """
        ...


@runtime_checkable
class FieldSegmenter(Segmenter, Protocol):
    """A segmenter that says something of every pixel, and finds objects in that.

    Another probability gives objects of another shape, and the network is not asked again: the
    pipeline keeps the fields. Where a tile lies in the image may matter to both steps; `propose`
    is both for images that are whole.
    """

    @property
    def patient_px(self) -> int:
        """Side of tiles after which someone who waits can stop the run, model px."""
        ...

    def fields(
        self, images: NDArray[np.float32], tiles: Sequence[Tile], extent: Box
    ) -> list[NDArray[np.float32]]:
        """What the network says of the pixels around what each tile owns.

        Parameters
        ----------
        images : (batch, height, width, channels) float32
            The pixels that each tile reads, as for `propose`.
        tiles : sequence of Tile
            One an image.
        extent : Box
            The whole image, model px.
        """
        ...

    def propose_from(
        self, field: NDArray[np.float32], tile: Tile, extent: Box, min_prob: float
    ) -> Proposals:
        """Objects of pixels with more than `min_prob`, in px of the tile's image.

        Those whose anchors the tile owns must be whole, and the same in every tile.
        """
        ...


@dataclass(frozen=True, eq=False)
class PromptPatch:
    """One object to find: a square of the image and what a person drew on it.

    Attributes
    ----------
    pixels : (side, side, channels) array
        RGB or one channel; the image's own values.
    prompts : sequence of Prompt
        Gestures, positive and negative, in px of the patch.
    others : Contours
        Objects that are known already and that this one is not, in px of the patch.
    """

    pixels: NDArray[Any]
    prompts: Sequence[Prompt]
    others: Contours


@dataclass(frozen=True, eq=False)
class PromptAnswer:
    """What was found for one object.

    Attributes
    ----------
    contours : Contours
        One row, without holes; an empty one where nothing was found.
    score : float
        How sure the model is, 0 to 1: its own estimate of the overlap (IoU) with the truth.
    """

    contours: Contours
    score: float

    @property
    def is_empty(self) -> bool:
        """True where nothing was found."""
        return not bool(np.isfinite(self.contours.bounds).all())


class PromptSegmenter(Protocol):
    """Finds the objects that a person points at, each in a patch of its own.

    Which patch, at which pixel size, is for `napari_histo.pipeline.PromptEngine` to choose.
    """

    @property
    def info(self) -> ModelInfo:
        """The model's card; `pixel_size_um` is the finest that it works at."""
        ...

    @property
    def patch_px(self) -> int:
        """Side of a patch."""
        ...

    @property
    def object_px(self) -> int:
        """Longest object that fits well into a patch."""
        ...

    def answer(self, patches: Sequence[PromptPatch]) -> list[PromptAnswer]:
        """One answer a patch, in px of the patch; any thread may call, one at a time."""
        ...
