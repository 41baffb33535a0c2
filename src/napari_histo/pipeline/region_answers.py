"""What a region model answers: for a tile, for any box of an image, from afar for all of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import (
    Box,
    CancelToken,
    PixelSize,
    Progress,
    SlideReader,
    Tile,
    TileGrid,
    result_of,
)
from napari_histo.core.regions import RegionSegmenter
from napari_histo.errors import ModelError
from napari_histo.ops.resample import resample, source_box
from napari_histo.ops.tissue import TissueMask
from napari_histo.pipeline.proposing import is_out_of_memory
from napari_histo.pipeline.region_pixels import RegionPixels

__all__ = ["TILE_PX", "CoarseMap", "RegionAnswers", "RegionRunner", "look", "tiles_of", "within"]

#: Side of a tile, model px.
TILE_PX = 1024
#: Pieces of tiles smaller than this would be mostly margin.
_LEAST_PIECE_PX = 64


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


@dataclass(frozen=True, eq=False)
class RegionAnswers:
    """A model over one image, asked for one box after the other.

    Attributes
    ----------
    model : RegionSegmenter
    pixels : RegionPixels
    coarse : CoarseMap or None
        Of the model's guide, where it has one.
    """

    model: RegionSegmenter
    pixels: RegionPixels
    coarse: CoarseMap | None

    @classmethod
    def over(
        cls,
        reader: SlideReader,
        model: RegionSegmenter,
        *,
        pixel_size: PixelSize | None = None,
        tissue: TissueMask | None = None,
        region: Box | None = None,
        cancel: CancelToken | None = None,
    ) -> RegionAnswers:
        """Lay a model over an image; its guide looks at what has tissue.

        With a `region` (full-resolution px) only boxes within it can be asked for.
        """
        pixels = RegionPixels.of(reader, model.info, pixel_size)
        if model.guide is None:
            return cls(model, pixels, None)
        seen = RegionPixels.of(reader, model.guide.info, pixel_size)
        if region is not None:
            context_px = (model.margin_px + model.align_px) * max(pixels.frame.scale)
            region = region.pad(ceil(context_px))
        steps = look(seen, model.guide, tissue, cancel or CancelToken(), region=region)
        return cls(model, pixels, result_of(steps))

    def guide_at(self, box: Box) -> NDArray[np.float32] | None:
        """The guide's answer (h, w, k) for a box in model px; None without a guide."""
        return None if self.coarse is None else self.coarse.at(box, self.pixels.frame.scale)

    def at(self, box: Box, cancel: CancelToken | None = None) -> NDArray[np.float32]:
        """Probabilities (h, w, k) of a box in model px, as in the answer for the whole image."""
        model, extent = self.model, self.pixels.frame.extent
        out = np.zeros((*box.shape, len(model.info.classes) + 1), np.float32)
        tiles = list(TileGrid(extent, box, TILE_PX, model.margin_px, model.align_px))
        runner = RegionRunner(model, self.pixels, self.coarse, lambda _: None)
        for tile, prob in runner.run(tiles, cancel or CancelToken()):
            out[within(tile.owned, box)] = prob
        return out


def look(
    pixels: RegionPixels,
    model: RegionSegmenter,
    tissue: TissueMask | None,
    cancel: CancelToken,
    *,
    tell: Callable[[str], None] = lambda _: None,
    region: Box | None = None,
) -> Generator[Progress, None, CoarseMap]:
    """A model's probabilities for a whole image, all classes: k bytes a model pixel.

    With a `region` (full-resolution px) nobody looks elsewhere.
    """
    tiles = tiles_of(pixels, model, tissue, TILE_PX, region)
    runner = RegionRunner(model, pixels, None, tell)
    prob = np.zeros((*pixels.frame.extent.shape, len(model.info.classes) + 1), np.uint8)
    for done, (tile, found) in enumerate(runner.run(tiles, cancel)):
        own = tile.owned
        prob[own.y : own.bottom, own.x : own.right] = np.rint(found * 255)
        yield Progress(done + 1, len(tiles), "Looking at all of it from afar")
    return CoarseMap(prob, pixels.frame.scale)


class RegionRunner:
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
        own: NDArray[np.float32] = answer[within(tile.owned, tile.read)]
        return own

    def _in_pieces(
        self, tile: Tile, image: NDArray[np.float32], piece_px: int
    ) -> NDArray[np.float32]:
        model, extent = self._model, self._pixels.frame.extent
        out = np.empty((*tile.owned.shape, len(model.info.classes) + 1), np.float32)
        for piece in TileGrid(extent, tile.owned, piece_px, model.margin_px, model.align_px):
            part = self._network(piece, image[within(piece.read, tile.read)])
            out[within(piece.owned, tile.owned)] = part
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


def tiles_of(
    pixels: RegionPixels,
    model: RegionSegmenter,
    tissue: TissueMask | None,
    tile_px: int,
    region: Box | None = None,
) -> list[Tile]:
    """Tiles with tissue, of a whole image or of a region in full-resolution px."""
    frame = pixels.frame
    where = frame.extent
    if region is not None:
        where = region.scale(1 / frame.scale[0], 1 / frame.scale[1]).intersect(where)
    grid = TileGrid(frame.extent, where, tile_px, model.margin_px, model.align_px)
    return [t for t in grid if tissue is None or tissue.touches(t.owned.scale(*frame.scale))]


def within(box: Box, outer: Box) -> tuple[slice, slice]:
    """Where `box` lies in an array of `outer`."""
    y, x = box.y - outer.y, box.x - outer.x
    return slice(y, y + box.height), slice(x, x + box.width)
