"""Segmentation of an image, tile by tile: read, resample, normalise, propose, choose, draw."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

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
    Tile,
    TileGrid,
)
from napari_histo.ops.channels import ChannelPick
from napari_histo.ops.clip import clip_contours
from napari_histo.ops.normalize import Normalizer
from napari_histo.pipeline.frame import Frame
from napari_histo.pipeline.ids import anchored_ids
from napari_histo.pipeline.sampling import sample_boxes
from napari_histo.pipeline.seams import choose

__all__ = ["SegmentRequest", "Segmentation", "segment"]

_Pixels = tuple[Tile, NDArray[Any]]

#: Regions of up to this many model px are done in one piece: 2048 x 2048.
_WHOLE_PX = 1 << 22
_ENOUGH_PIXELS = 500_000


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
            table=_draw(self._model, self._frame, self._proposals.take(kept), self._ids[kept]),
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
    normalizer, model = _fit(frame, model, pick)

    owned: list[Proposals] = []
    for batch in _batches(_read_ahead(grid, frame, cancel), model.batch_size):
        cancel.raise_if_cancelled()
        images = np.stack([normalizer.apply(pick.apply(pixels)) for _, pixels in batch])
        for (tile, _), found in zip(batch, model.propose(images, floor), strict=True):
            placed = found.shift(tile.read.x, tile.read.y)
            owned.append(placed.take(_owned(placed, tile, grid, model)))
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
        _draw(model, frame, proposals.take(kept), ids[kept]),
        thresholds,
        frame.pixel_size,
        model,
        frame,
        proposals,
        ids,
        kept,
        floor,
    )


def _draw(
    model: Segmenter, frame: Frame, proposals: Proposals, ids: NDArray[np.uint8]
) -> ObjectTable:
    """Objects in full-resolution px, clipped to the image, the likeliest last.

    Where outlines overlap, the last one covers the others in a label image.
    """
    x, y = proposals.points.T
    order = np.lexsort((x, y, proposals.prob))
    proposals, ids = proposals.take(order), ids[order]
    table = model.draw(proposals).transform(frame.scale, (0.0, 0.0))
    contours = clip_contours(table.contours, frame.reader.info.box)
    return table.with_columns(object_id=ids, contours=contours)


def _grid(frame: Frame, model: Segmenter, tile_px: int | None) -> TileGrid:
    if tile_px is None:
        small = frame.region.area <= _WHOLE_PX
        tile_px = max(frame.region.shape) if small else 1024
    return TileGrid(frame.extent, frame.region, tile_px, model.margin_px, model.align_px)


def _owned(found: Proposals, tile: Tile, grid: TileGrid, model: Segmenter) -> NDArray[np.bool_]:
    """Proposals anchored in what the tile owns and off the image's rim."""
    x, y = found.points.T
    own, extent, rim = tile.owned, grid.extent, model.edge_px
    # A network sees the image padded to whole blocks, and counts its rim from there.
    right = extent.x + -(-extent.width // grid.align_px) * grid.align_px
    bottom = extent.y + -(-extent.height // grid.align_px) * grid.align_px
    inside: NDArray[np.bool_] = x >= max(own.x, extent.x + rim)
    inside &= x < min(own.right, right - rim)
    inside &= (y >= max(own.y, extent.y + rim)) & (y < min(own.bottom, bottom - rim))
    return inside


def _read_ahead(grid: TileGrid, frame: Frame, cancel: CancelToken) -> Iterator[_Pixels]:
    """Tiles with their pixels; the next one is read while the caller works on this one."""
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as pool:
        coming: Future[NDArray[Any]] | None = None
        for tile in grid:
            now = coming or pool.submit(frame.read, tile.read)
            last = tile.index + 1 == len(grid) or cancel.is_cancelled
            coming = None if last else pool.submit(frame.read, grid[tile.index + 1].read)
            yield tile, now.result()


def _batches(tiles: Iterator[_Pixels], size: int) -> Iterator[list[_Pixels]]:
    """Up to `size` tiles in a row that have the same shape."""
    batch: list[_Pixels] = []
    for tile, pixels in tiles:
        if batch and (len(batch) == size or batch[0][1].shape != pixels.shape):
            yield batch
            batch = []
        batch.append((tile, pixels))
    yield batch


def _fit(frame: Frame, model: Segmenter, pick: ChannelPick) -> tuple[Normalizer, Segmenter]:
    """The region's range of intensities, and the model made fit for it."""
    info = frame.reader.info
    pixels = (pick.apply(frame.read(box)) for box in sample_boxes(frame, whole_px=_WHOLE_PX))
    samples = np.concatenate([p.reshape(-1, p.shape[-1]) for p in pixels])
    # A percentile needs no more, and every k-th pixel is the same choice every time.
    samples = samples[:: -(-len(samples) // _ENOUGH_PIXELS)]
    if model.percentiles is None:
        top = float(np.iinfo(info.dtype).max) if np.issubdtype(info.dtype, np.integer) else 1.0
        normalizer = Normalizer(0.0, top)
    else:
        brightfield = info.is_rgb and pick.index is None and not pick.to_gray
        normalizer = Normalizer.from_samples(samples, model.percentiles, is_8bit_rgb=brightfield)
    return normalizer, model.adapt(normalizer.apply(samples))
