"""Regions of a slide: a coarse look at all of it, a fine one where that is not sure."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, CancelToken, PixelSize, Progress, SlideReader, Tile
from napari_histo.core.regions import RegionMap, RegionSegmenter
from napari_histo.ops.tissue import TissueMask
from napari_histo.pipeline.region_answers import (
    TILE_PX,
    CoarseMap,
    RegionRunner,
    look,
    tiles_of,
    within,
)
from napari_histo.pipeline.region_pixels import RegionPixels

__all__ = ["RegionRequest", "Regions", "find_regions"]

#: Guided models can only skip whole tiles.
_GUIDED_TILE_PX = 512
#: Share of a tile's pixels that have to be sure and alike for it to be skipped.
_ALIKE = 0.99


@dataclass(frozen=True)
class RegionRequest:
    """What regions are looked for, and where.

    Attributes
    ----------
    tissue : TissueMask or None
        Where to look; elsewhere there is nothing.
    pixel_size : PixelSize or None
        The user's word; it wins over the file's.
    sure : float
        Tiles of which the guide is sure, at least so much, and finds them of one class, are not
        looked at again; above 1 all are. Of no effect for models without a guide.
    tile_px : int or None
        Side of a tile, model px; 1024 by default, 512 for guided models.
    """

    tissue: TissueMask | None = None
    pixel_size: PixelSize | None = None
    sure: float = 0.95
    tile_px: int | None = None


@dataclass(frozen=True)
class Regions:
    """What was found, and how.

    Attributes
    ----------
    map : RegionMap
    pixel_size : PixelSize
        Of the image at full resolution, as it was taken.
    n_tiles, n_refined : int
        Tiles with tissue, and those that the fine network looked at.
    notes : tuple of str
        What the user should know: smaller pieces, other devices.
    """

    map: RegionMap
    pixel_size: PixelSize
    n_tiles: int
    n_refined: int
    notes: tuple[str, ...] = ()


def find_regions(
    reader: SlideReader,
    model: RegionSegmenter,
    request: RegionRequest | None = None,
    cancel: CancelToken | None = None,
) -> Generator[Progress, None, Regions]:
    """The tissue of every pixel of a slide.

    The answer does not depend on the tiles, but for those that a guided model skips. In memory are
    a tile, the map (2 bytes a model pixel) and for guided models a coarse one of all classes.
    Drive it in any thread but the window's.

    Parameters
    ----------
    reader : SlideReader
    model : RegionSegmenter
    request : RegionRequest, optional
    cancel : CancelToken, optional
        Looked at before each tile.

    Raises
    ------
    PixelSizeUnknownError, ImageError, ModelError, Cancelled
    """
    request, cancel = request or RegionRequest(), cancel or CancelToken()
    notes: list[str] = []
    yield Progress(0, 0, "Reading the slide")
    pixels = RegionPixels.of(reader, model.info, request.pixel_size)
    coarse = None
    if model.guide is not None:
        seen = RegionPixels.of(reader, model.guide.info, request.pixel_size)
        coarse = yield from look(seen, model.guide, request.tissue, cancel, tell=notes.append)
    runner = RegionRunner(model, pixels, coarse, notes.append)
    tile_px = request.tile_px or (TILE_PX if coarse is None else _GUIDED_TILE_PX)
    tiles = tiles_of(pixels, model, request.tissue, tile_px)
    # A guide from before a class was added cannot tell where that one is not.
    knows_all = model.guide is not None and len(model.guide.info.classes) == len(model.info.classes)
    skips = coarse if knows_all else None
    fine = [t for t in tiles if skips is None or not _is_clear(skips, t, pixels, request.sure)]
    shape = pixels.frame.extent.shape
    labels, confidence = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    skipped = set(tiles) - set(fine)
    for tile in skipped:
        assert coarse is not None
        _put(coarse.at(tile.owned, pixels.frame.scale), tile.owned, labels, confidence)
    for done, (tile, prob) in enumerate(runner.run(fine, cancel)):
        _put(prob, tile.owned, labels, confidence)
        yield Progress(done + 1, len(fine), "Finding regions")
    _keep_tissue(request.tissue, pixels, tiles, labels, confidence)
    size, scale = pixels.frame.pixel_size, pixels.frame.scale
    assert size is not None  # without one the frame would have raised
    um = (scale[1] * size.y_um, scale[0] * size.x_um)
    found = RegionMap(labels, confidence, scale, um, model.info.classes)
    return Regions(found, size, len(tiles), len(fine), tuple(notes))


def _is_clear(coarse: CoarseMap, tile: Tile, pixels: RegionPixels, sure: float) -> bool:
    """True where all but the odd coarse pixel under a tile says the same and is sure of it."""
    scale = pixels.frame.scale
    under = tile.owned.scale(scale[0] / coarse.scale[0], scale[1] / coarse.scale[1]).pad(1)
    under = under.intersect(Box(0, 0, *coarse.prob.shape[1::-1]))
    part = coarse.prob[under.y : under.bottom, under.x : under.right].reshape(
        -1, coarse.prob.shape[2]
    )
    class_of_most = int(part.sum(axis=0, dtype=np.int64).argmax())
    return bool((part[:, class_of_most] >= sure * 255).mean() >= _ALIKE)


def _put(
    prob: NDArray[np.float32],
    owned: Box,
    labels: NDArray[np.uint8],
    confidence: NDArray[np.uint8],
) -> None:
    window = within(owned, Box(0, 0, 0, 0))
    labels[window] = prob.argmax(axis=-1)
    confidence[window] = np.rint(prob.max(axis=-1) * 255)


def _keep_tissue(
    tissue: TissueMask | None,
    pixels: RegionPixels,
    tiles: Sequence[Tile],
    labels: NDArray[np.uint8],
    confidence: NDArray[np.uint8],
) -> None:
    """Nothing where there is no tissue."""
    if tissue is None:
        return
    scale = pixels.frame.scale
    for tile in tiles:
        window = within(tile.owned, Box(0, 0, 0, 0))
        y, x = np.mgrid[window]
        centres = (np.stack([x.ravel(), y.ravel()], axis=1) + 0.5) * scale
        outside = ~tissue.contains(centres).reshape(tile.owned.shape)
        labels[window][outside] = 0
        confidence[window][outside] = 0
