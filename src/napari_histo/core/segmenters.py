"""What the pipeline asks of models that find objects by themselves, and what some can do more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from napari_histo.core.box import Box
from napari_histo.core.models import ModelInfo, Thresholds
from napari_histo.core.objects import ObjectTable
from napari_histo.core.proposals import Proposals
from napari_histo.core.tiles import Tile

__all__ = ["Describer", "FieldSegmenter", "ScaledSegmenter", "Segmenter", "SizingSegmenter"]


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


@runtime_checkable
class Describer(Segmenter, Protocol):
    """A segmenter that shows what its last layer sees."""

    def describe(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """(b, h/g, w/g, d) of images (b, h, w, c), normalised."""
        ...
