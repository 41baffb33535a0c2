"""Segmentation of an image, tile by tile: read, resample, normalise, propose, choose, draw."""

from __future__ import annotations

import secrets
from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import (
    Box,
    CancelToken,
    ModelInfo,
    ObjectTable,
    PixelSize,
    Progress,
    Proposals,
    Segmenter,
    SlideInfo,
    SlideReader,
    Thresholds,
    TileGrid,
)
from napari_histo.core.segmenters import FieldSegmenter
from napari_histo.ops.channels import ChannelPick
from napari_histo.pipeline.colour_choice import Colours
from napari_histo.pipeline.drawing import draw
from napari_histo.pipeline.frame import Frame
from napari_histo.pipeline.ids import anchored_ids
from napari_histo.pipeline.proposing import WHOLE_PX, KeptFields, Plan, Proposer, fit
from napari_histo.pipeline.seams import choose
from napari_histo.pipeline.sizing import frame_for

__all__ = ["SegmentRequest", "Segmentation", "segment"]

#: Fields of up to so many model px are kept (12 bytes each), for thresholds that move.
_KEEP_PX = 1 << 25


@dataclass(frozen=True)
class SegmentRequest:
    """What the user asked for.

    Attributes
    ----------
    region : Box or None
        In full-resolution px; None for the whole image.
    pixel_size : PixelSize or None
        The user's word; it wins over the file's.
    channel : int or None
        For models of one channel; the one with cells for models of cells.
    thresholds : Thresholds or None
        The model's own by default.
    min_prob : float or None
        Proposals below the probability threshold that are kept all the same, so that the
        threshold can be lowered later without the network. Of no account for models of fields,
        which give other objects at another probability.
    tile_px : int or None
        Side of a tile, model px; by default 1024, or the whole region where it is small.
    seed : int or None
        Of the objects' ids; random by default.
    nuclear_channel : int or None
        The one with nuclei beside it, for models of cells. With neither their names tell.
    colours : Colours or None
        What is done to the slide's colours first, as `ColourChoice` fitted it to the slide.
    """

    region: Box | None = None
    pixel_size: PixelSize | None = None
    channel: int | None = None
    thresholds: Thresholds | None = None
    min_prob: float | None = None
    tile_px: int | None = None
    seed: int | None = None
    nuclear_channel: int | None = None
    colours: Colours | None = None

    def view(self, image: SlideReader) -> SlideReader:
        """The slide as the model is to see it."""
        return image if self.colours is None else self.colours.view(image)

    def pick_channels(self, image: SlideInfo, model: ModelInfo) -> ChannelPick:
        """The channels of `image` that `model` is shown; see `ChannelPick.choose`."""
        return ChannelPick.choose(image, model, self.channel, self.nuclear_channel)


@dataclass(frozen=True, eq=False, repr=False)
class Segmentation:
    """Objects of a region, and what is needed to choose them anew.

    Attributes
    ----------
    table : ObjectTable
        Outlines in full-resolution px.
    thresholds : Thresholds
        That `table` was chosen with.
    pixel_size : PixelSize or None
        Of the image at full resolution.
    """

    table: ObjectTable
    thresholds: Thresholds
    pixel_size: PixelSize | None
    _plan: Plan
    _proposals: Proposals
    _ids: NDArray[np.uint8]
    _kept: NDArray[np.int64]
    _floor: float
    _seed: int
    _fields: KeptFields | None = None

    @property
    def min_prob(self) -> float:
        """Lowest probability that `reselect` can go down to."""
        return 0.0 if self.finds_anew else self._floor

    @property
    def finds_anew(self) -> bool:
        """True where another probability gives objects of another shape."""
        return self._fields is not None and self._fields.is_whole

    def reselect(self, thresholds: Thresholds) -> Segmentation:
        """Choose anew without the network; an object that stays keeps its id. Any thread may call.

        A higher probability is a filter; another overlap runs the suppression again. With fields
        at hand another probability finds the objects anew.
        """
        if self.finds_anew and thresholds.prob != self._floor:
            return self._find_anew(thresholds)
        kept = self._kept
        if thresholds.nms != self.thresholds.nms or thresholds.prob < self.thresholds.prob:
            kept = self._plan.model.select(self._proposals, thresholds)
        kept = kept[self._proposals.prob[kept] > thresholds.prob]
        return replace(
            self,
            table=_drawn(self._plan, self._proposals, self._ids, kept),
            thresholds=thresholds,
            _kept=kept,
        )

    def _find_anew(self, thresholds: Thresholds) -> Segmentation:
        assert self._fields is not None
        plan = replace(self._plan, floor=thresholds.prob)
        owned = self._fields.propose(plan, plan.floor)
        return _assemble(plan, owned, thresholds, self._seed, self._fields)


def segment(
    reader: SlideReader,
    model: Segmenter,
    request: SegmentRequest | None = None,
    cancel: CancelToken | None = None,
) -> Generator[Progress, None, Segmentation]:
    """Segment a region of an image.

    Cut, then merged, equals whole: the answer does not depend on the tiles. Drive it in any
    thread but the window's; it yields after each tile and returns the result.

    Parameters
    ----------
    reader : SlideReader
    model : Segmenter
    request : SegmentRequest, optional
        The whole image with the model's thresholds by default.
    cancel : CancelToken, optional
        Looked at before each tile.

    Yields
    ------
    Progress
        In tiles.

    Returns
    -------
    Segmentation

    Raises
    ------
    PixelSizeUnknownError, ImageError
        The image does not fit the model; the message says what to do.
    Cancelled
    """
    request = request or SegmentRequest()
    cancel = cancel or CancelToken()
    reader = request.view(reader)
    thresholds = request.thresholds or model.info.thresholds
    floor = thresholds.prob
    if request.min_prob is not None and not isinstance(model, FieldSegmenter):
        floor = min(floor, request.min_prob)
    pick = request.pick_channels(reader.info, model.info)
    frame = frame_for(reader, model, pick, region=request.region, pixel_size=request.pixel_size)
    grid = _grid(frame, model, request.tile_px)
    yield Progress(0, len(grid), "Reading the image")
    normalizer, model = fit(frame, model, pick)

    owned: list[Proposals] = []
    plan = Plan(frame, grid, model, pick, normalizer, floor)
    keep = KeptFields(_KEEP_PX) if isinstance(model, FieldSegmenter) else None
    proposer = Proposer(plan, keep=keep)
    for batch in proposer.run(range(len(grid)), cancel):
        owned += [found for _, found in batch]
        yield Progress(len(owned), len(grid), "Finding nuclei")

    cancel.raise_if_cancelled()
    yield Progress(len(grid), len(grid), "Choosing the best outlines")
    seed = request.seed
    if seed is None:
        seed = secrets.randbits(128)
    return _assemble(plan, owned, thresholds, seed, keep)


def _assemble(
    plan: Plan,
    owned: list[Proposals],
    thresholds: Thresholds,
    seed: int,
    fields: KeptFields | None,
) -> Segmentation:
    rows = choose(plan.grid, owned, plan.model, replace(thresholds, prob=plan.floor))
    proposals = Proposals.concat(owned)
    starts = np.cumsum([0, *(len(p) for p in owned[:-1])])
    kept = np.concatenate([r + s for r, s in zip(rows, starts, strict=True)])
    kept = kept[proposals.prob[kept] > thresholds.prob]
    ids = anchored_ids(proposals.points, seed)
    return Segmentation(
        _drawn(plan, proposals, ids, kept),
        thresholds,
        plan.frame.pixel_size,
        plan,
        proposals,
        ids,
        kept,
        plan.floor,
        seed,
        fields,
    )


def _drawn(
    plan: Plan, proposals: Proposals, ids: NDArray[np.uint8], rows: NDArray[np.int64]
) -> ObjectTable:
    return draw(plan.model, plan.frame, proposals.take(rows), ids[rows])


def _grid(frame: Frame, model: Segmenter, tile_px: int | None) -> TileGrid:
    if tile_px is None:
        small = frame.region.area <= WHOLE_PX
        tile_px = max(frame.region.shape) if small else 1024
    return TileGrid(frame.extent, frame.region, tile_px, model.margin_px, model.align_px)
