"""Segmentation of an image, tile by tile: read, resample, normalise, propose, choose, draw."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import (
    Box,
    CancelToken,
    ObjectTable,
    PixelSize,
    Progress,
    Proposals,
    Segmenter,
    SlideReader,
    Thresholds,
    TileGrid,
)
from napari_histo.ops.channels import ChannelPick
from napari_histo.pipeline.drawing import draw
from napari_histo.pipeline.frame import Frame
from napari_histo.pipeline.ids import anchored_ids
from napari_histo.pipeline.proposing import WHOLE_PX, Plan, Proposer, fit
from napari_histo.pipeline.seams import choose

__all__ = ["SegmentRequest", "Segmentation", "segment"]


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
        For models of one channel.
    thresholds : Thresholds or None
        The model's own by default.
    min_prob : float or None
        Proposals below the probability threshold that are kept all the same, so that the
        threshold can be lowered later without the network.
    tile_px : int or None
        Side of a tile, model px; by default 1024, or the whole region where it is small.
    seed : int or None
        Of the objects' ids; random by default.
    """

    region: Box | None = None
    pixel_size: PixelSize | None = None
    channel: int | None = None
    thresholds: Thresholds | None = None
    min_prob: float | None = None
    tile_px: int | None = None
    seed: int | None = None


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
    _model: Segmenter
    _frame: Frame
    _proposals: Proposals
    _ids: NDArray[np.uint8]
    _kept: NDArray[np.int64]
    _floor: float

    @property
    def min_prob(self) -> float:
        """Lowest probability that `reselect` can go down to."""
        return self._floor

    def reselect(self, thresholds: Thresholds) -> Segmentation:
        """Choose anew without the network; an object that stays keeps its id. Any thread may call.

        A higher probability is a filter; another overlap runs the suppression again.
        """
        kept = self._kept
        if thresholds.nms != self.thresholds.nms or thresholds.prob < self.thresholds.prob:
            kept = self._model.select(self._proposals, thresholds)
        kept = kept[self._proposals.prob[kept] > thresholds.prob]
        return replace(
            self,
            table=draw(self._model, self._frame, self._proposals.take(kept), self._ids[kept]),
            thresholds=thresholds,
            _kept=kept,
        )


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
    thresholds = request.thresholds or model.info.thresholds
    floor = min(thresholds.prob, thresholds.prob if request.min_prob is None else request.min_prob)
    pick = ChannelPick.choose(reader.info, model.info, request.channel)
    frame = Frame.of(reader, model.info, region=request.region, pixel_size=request.pixel_size)
    grid = _grid(frame, model, request.tile_px)
    yield Progress(0, len(grid), "Reading the image")
    normalizer, model = fit(frame, model, pick)

    owned: list[Proposals] = []
    proposer = Proposer(Plan(frame, grid, model, pick, normalizer, floor))
    for batch in proposer.run(range(len(grid)), cancel):
        owned += [found for _, found in batch]
        yield Progress(len(owned), len(grid), "Finding nuclei")

    cancel.raise_if_cancelled()
    yield Progress(len(grid), len(grid), "Choosing the best outlines")
    at_floor = replace(thresholds, prob=floor)
    rows = choose(grid, owned, model, at_floor)
    return _assemble(model, frame, owned, rows, thresholds, floor, request.seed)


def _assemble(
    model: Segmenter,
    frame: Frame,
    owned: list[Proposals],
    rows: list[NDArray[np.int64]],
    thresholds: Thresholds,
    floor: float,
    seed: int | None,
) -> Segmentation:
    proposals = Proposals.concat(owned)
    starts = np.cumsum([0, *(len(p) for p in owned[:-1])])
    kept = np.concatenate([r + s for r, s in zip(rows, starts, strict=True)])
    kept = kept[proposals.prob[kept] > thresholds.prob]
    ids = anchored_ids(proposals.points, seed)
    return Segmentation(
        draw(model, frame, proposals.take(kept), ids[kept]),
        thresholds,
        frame.pixel_size,
        model,
        frame,
        proposals,
        ids,
        kept,
        floor,
    )


def _grid(frame: Frame, model: Segmenter, tile_px: int | None) -> TileGrid:
    if tile_px is None:
        small = frame.region.area <= WHOLE_PX
        tile_px = max(frame.region.shape) if small else 1024
    return TileGrid(frame.extent, frame.region, tile_px, model.margin_px, model.align_px)
