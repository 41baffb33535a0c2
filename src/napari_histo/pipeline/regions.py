"""Regions of a slide: a coarse look at all of it, a fine one where that is not sure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, CancelToken, PixelSize, Progress, SlideReader, Tile, TileGrid
from napari_histo.core.regions import RegionMap, RegionSegmenter
from napari_histo.errors import ModelError
from napari_histo.ops.resample import resample, source_box
from napari_histo.ops.tissue import TissueMask
from napari_histo.pipeline.proposing import is_out_of_memory
from napari_histo.pipeline.region_pixels import RegionPixels

__all__ = ["CoarseMap", "RegionRequest", "Regions", "find_regions", "look"]

_TILE_PX = 1024
#: Guided models can only skip whole tiles.
_GUIDED_TILE_PX = 512
#: Pieces of tiles smaller than this would be mostly margin.
_LEAST_PIECE_PX = 64
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


@dataclass(frozen=True, eq=False)
class CoarseMap:
    """A guide's answer for a whole image.

    Attributes
    ----------
    prob : (h, w, k) uint8
        In 1/255; 0 throughout where nobody looked.
    scale : (float, float)
        Full-resolution px per pixel, along x and y.
    """

    prob: NDArray[np.uint8]
    scale: tuple[float, float]

    def at(self, box: Box, scale: tuple[float, float]) -> NDArray[np.float32]:
        """Probabilities (h, w, k) for `box` in px of `scale`, linear between the coarse ones."""
        whole = Box(0, 0, *self.prob.shape[1::-1])
        ratio = (scale[0] / self.scale[0], scale[1] / self.scale[1])
        source = source_box(box, ratio, whole)
        part = self.prob[source.y : source.bottom, source.x : source.right]
        return resample(part.astype(np.float32) / np.float32(255), source, box, ratio)


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
    runner = _Runner(model, pixels, coarse, notes.append)
    tile_px = request.tile_px or (_TILE_PX if coarse is None else _GUIDED_TILE_PX)
    tiles = _tiles(pixels, model, request.tissue, tile_px)
    fine = [t for t in tiles if coarse is None or not _is_clear(coarse, t, pixels, request.sure)]
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


def look(
    pixels: RegionPixels,
    model: RegionSegmenter,
    tissue: TissueMask | None,
    cancel: CancelToken,
    *,
    tell: Callable[[str], None] = lambda _: None,
) -> Generator[Progress, None, CoarseMap]:
    """A model's probabilities for a whole image, all classes: k bytes a model pixel."""
    tiles = _tiles(pixels, model, tissue, _TILE_PX)
    runner = _Runner(model, pixels, None, tell)
    prob = np.zeros((*pixels.frame.extent.shape, len(model.info.classes) + 1), np.uint8)
    for done, (tile, found) in enumerate(runner.run(tiles, cancel)):
        own = tile.owned
        prob[own.y : own.bottom, own.x : own.right] = np.rint(found * 255)
        yield Progress(done + 1, len(tiles), "Looking at all of it from afar")
    return CoarseMap(prob, pixels.frame.scale)


class _Runner:
    """Runs a model over tiles; where memory runs out in smaller pieces, then on the processor."""

    def __init__(
        self,
        model: RegionSegmenter,
        pixels: RegionPixels,
        coarse: CoarseMap | None,
        tell: Callable[[str], None],
    ) -> None:
        self._model, self._pixels, self._coarse, self._tell = model, pixels, coarse, tell
        self._piece_px: int | None = None

    def run(
        self, tiles: Sequence[Tile], cancel: CancelToken
    ) -> Iterator[tuple[Tile, NDArray[np.float32]]]:
        """Probabilities (h, w, k) of what each tile owns; the next tile is read meanwhile."""
        coming: deque[tuple[Tile, Future[NDArray[np.float32]]]] = deque()
        with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as pool:
            for tile in tiles:
                if cancel.is_cancelled:
                    break
                coming.append((tile, pool.submit(self._pixels.read, tile.read)))
                if len(coming) > 1:
                    first, image = coming.popleft()
                    yield first, self._predict(first, image.result())
            cancel.raise_if_cancelled()
            for last, image in coming:
                yield last, self._predict(last, image.result())

    def _predict(self, tile: Tile, image: NDArray[np.float32]) -> NDArray[np.float32]:
        while True:
            try:
                if self._piece_px is None or self._piece_px >= max(tile.owned.shape):
                    return self._network(tile, image)
                return self._in_pieces(tile, image, self._piece_px)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                self._get_by_with_less(tile, error)

    def _network(self, tile: Tile, image: NDArray[np.float32]) -> NDArray[np.float32]:
        guide = None
        if self._coarse is not None:
            guide = self._coarse.at(tile.read, self._pixels.frame.scale)[None]
        answer = self._model.predict(image[None], guide)[0]
        own: NDArray[np.float32] = answer[_within(tile.owned, tile.read)]
        return own

    def _in_pieces(
        self, tile: Tile, image: NDArray[np.float32], piece_px: int
    ) -> NDArray[np.float32]:
        model, extent = self._model, self._pixels.frame.extent
        out = np.empty((*tile.owned.shape, len(model.info.classes) + 1), np.float32)
        for piece in TileGrid(extent, tile.owned, piece_px, model.margin_px, model.align_px):
            part = self._network(piece, image[_within(piece.read, tile.read)])
            out[_within(piece.owned, tile.owned)] = part
        return out

    def _get_by_with_less(self, tile: Tile, error: Exception) -> None:
        smaller = (self._piece_px or max(tile.owned.shape)) // 2
        if smaller >= _LEAST_PIECE_PX:
            self._piece_px = smaller
            self._tell(f"Memory ran out: going on in pieces of {smaller} px.")
        elif (slower := self._model.on_cpu()) is not self._model:
            self._model, self._piece_px = slower, None
            self._tell("The graphics card's memory ran out: going on on the processor.")
        else:
            raise ModelError(
                f"Memory ran out even for pieces of {_LEAST_PIECE_PX} px. Close other programs and "
                "try again."
            ) from error


def _tiles(
    pixels: RegionPixels, model: RegionSegmenter, tissue: TissueMask | None, tile_px: int
) -> list[Tile]:
    """Tiles with tissue."""
    frame = pixels.frame
    grid = TileGrid(frame.extent, frame.extent, tile_px, model.margin_px, model.align_px)
    return [t for t in grid if tissue is None or tissue.touches(t.owned.scale(*frame.scale))]


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
    window = _within(owned, Box(0, 0, 0, 0))
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
        window = _within(tile.owned, Box(0, 0, 0, 0))
        y, x = np.mgrid[window]
        centres = (np.stack([x.ravel(), y.ravel()], axis=1) + 0.5) * scale
        outside = ~tissue.contains(centres).reshape(tile.owned.shape)
        labels[window][outside] = 0
        confidence[window][outside] = 0


def _within(box: Box, outer: Box) -> tuple[slice, slice]:
    """Where `box` lies in an array of `outer`."""
    y, x = box.y - outer.y, box.x - outer.x
    return slice(y, y + box.height), slice(x, x + box.width)
