"""From tiles to proposals: read ahead, normalise, run the network, and get by with less memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, CancelToken, Proposals, Segmenter, Tile, TileGrid
from napari_histo.core.segmenters import FieldSegmenter
from napari_histo.errors import ModelError
from napari_histo.ops.channels import ChannelPick
from napari_histo.ops.normalize import Normalizer
from napari_histo.pipeline.colours import StainReader
from napari_histo.pipeline.frame import Frame
from napari_histo.pipeline.sampling import sample_boxes

__all__ = ["WHOLE_PX", "KeptFields", "Plan", "Proposer", "fit", "is_out_of_memory"]

#: Regions of up to this many model px are done in one piece: 2048 x 2048.
WHOLE_PX = 1 << 22
_ENOUGH_PIXELS = 500_000
_READERS = 2
#: Pieces of tiles smaller than this would be mostly margin.
_LEAST_PIECE_PX = 128
#: Optical density of a pale nucleus: fainter traces of a stain must not be stretched into nuclei.
_LEAST_OD = 0.2

#: What libraries say when memory runs out; the last is oneDNN's.
_NO_MEMORY = (
    "out of memory",
    "outofmemory",
    "not enough memory",
    "can't allocate memory",
    "could not create a primitive",
)

_Pixels = tuple[Tile, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Plan:
    """All that the proposals of a tile depend on.

    Attributes
    ----------
    frame : Frame
    grid : TileGrid
    model : Segmenter
        Adapted to the image.
    pick : ChannelPick
    normalizer : Normalizer
    floor : float
        Least probability of a proposal.
    """

    frame: Frame
    grid: TileGrid
    model: Segmenter
    pick: ChannelPick
    normalizer: Normalizer
    floor: float


class KeptFields:
    """What a network said of each pixel, so that objects can be found anew without it.

    Parameters
    ----------
    most_px : int
        Beyond so many pixels, fields included that tiles share, nothing is kept.

    Attributes
    ----------
    tiles : list of (Tile, array)
    """

    def __init__(self, most_px: int) -> None:
        self._room_px = most_px
        self.tiles: list[tuple[Tile, NDArray[np.float32]]] = []

    @property
    def is_whole(self) -> bool:
        """True where there was room for all."""
        return self._room_px >= 0

    def add(self, tiles: Sequence[Tile], fields: Sequence[NDArray[np.float32]]) -> None:
        """Keep the fields of some tiles."""
        self._room_px -= sum(f.shape[-2] * f.shape[-1] for f in fields)
        if self.is_whole:
            self.tiles += zip(tiles, fields, strict=True)
        else:
            self.drop()

    def drop(self) -> None:
        """Keep nothing, and nothing more: memory is short."""
        self._room_px, self.tiles = -1, []

    def propose(self, plan: Plan, min_prob: float) -> list[Proposals]:
        """Proposals of all tiles, anchored in what each owns."""
        model = plan.model
        assert isinstance(model, FieldSegmenter)
        found = []
        for tile, field in self.tiles:
            here = model.propose_from(field, tile, plan.grid.extent, min_prob)
            found.append(_placed(here, tile, plan.grid, model))
        return found


class Proposer:
    """Runs a model over tiles. One thread at a time.

    Where memory runs out it takes fewer tiles at once, then parts of a tile, then the processor
    instead of the graphics card; the proposals stay the same.

    Parameters
    ----------
    plan : Plan
    tell : callable, optional
        Gets one sentence whenever it changes its way of working.
    keep : KeptFields, optional
        Is given the fields of a `FieldSegmenter`.
    """

    def __init__(
        self,
        plan: Plan,
        tell: Callable[[str], None] = lambda _: None,
        keep: KeptFields | None = None,
    ) -> None:
        self.plan = plan
        self._tell, self._keep = tell, keep
        self._model = plan.model
        self.piece_px = plan.grid.tile_px
        side = self.piece_px + 2 * plan.grid.margin_px
        self.batch_size = max(1, min(plan.model.batch_size, plan.model.room(side)))

    def run(
        self, tiles: Sequence[int], cancel: CancelToken
    ) -> Iterator[list[tuple[Tile, Proposals]]]:
        """Proposals anchored in what each tile owns, a batch at a time, in the order of `tiles`.

        Raises
        ------
        Cancelled
            Before the next batch.
        ModelError
            Memory does not even suffice for the smallest piece.
        """
        for batch in _batches(self._read_ahead(tiles, cancel), lambda: self.batch_size):
            cancel.raise_if_cancelled()
            yield list(zip([tile for tile, _ in batch], self.propose(batch), strict=True))

    def propose(self, batch: Sequence[_Pixels]) -> list[Proposals]:
        """Proposals of tiles of one shape, (h, w, c) pixels each, as they were read."""
        found: list[Proposals] = []
        while len(found) < len(batch):
            try:
                found += self._at_once(batch[len(found) :][: self.batch_size])
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                self._get_by_with_less(error)
        return found

    def _at_once(self, batch: Sequence[_Pixels]) -> list[Proposals]:
        if self.piece_px >= self.plan.grid.tile_px:
            return self._network(batch)
        return [
            Proposals.concat(list(chain.from_iterable(self._network([p]) for p in pieces)))
            for pieces in (self._pieces(tile, pixels) for tile, pixels in batch)
        ]

    def _network(self, batch: Sequence[_Pixels]) -> list[Proposals]:
        plan = self.plan
        images = np.stack([plan.normalizer.apply(plan.pick.apply(pixels)) for _, pixels in batch])
        tiles = [tile for tile, _ in batch]
        found = self._objects(images, tiles)
        return [_placed(p, t, plan.grid, self._model) for p, t in zip(found, tiles, strict=True)]

    def _objects(self, images: NDArray[np.float32], tiles: Sequence[Tile]) -> list[Proposals]:
        model, floor, extent = self._model, self.plan.floor, self.plan.grid.extent
        if not isinstance(model, FieldSegmenter):
            return model.propose(images, floor)
        fields = model.fields(images, tiles, extent)
        pairs = zip(fields, tiles, strict=True)
        found = [model.propose_from(field, tile, extent, floor) for field, tile in pairs]
        if self._keep is not None:
            self._keep.add(tiles, fields)
        return found

    def _pieces(self, tile: Tile, pixels: NDArray[Any]) -> Iterator[_Pixels]:
        """A tile as smaller ones, each with its own margin."""
        grid = self.plan.grid
        for piece in TileGrid(
            grid.extent, tile.owned, self.piece_px, grid.margin_px, grid.align_px
        ):
            left, top = piece.read.x - tile.read.x, piece.read.y - tile.read.y
            yield piece, pixels[top : top + piece.read.height, left : left + piece.read.width]

    def _get_by_with_less(self, error: Exception) -> None:
        if self._keep is not None:
            self._keep.drop()
        if self.batch_size > 1:
            self.batch_size //= 2
            self._tell(f"Memory ran out: going on with {self.batch_size} tile(s) at once.")
        elif self.piece_px // 2 >= _LEAST_PIECE_PX:
            self.piece_px //= 2
            self._tell(f"Memory ran out: going on in pieces of {self.piece_px} px.")
        elif (slower := self._model.on_cpu()) is not self._model:
            self._model, self.piece_px = slower, self.plan.grid.tile_px
            self._tell("The graphics card's memory ran out: going on on the processor.")
        else:
            raise ModelError(
                f"Memory ran out even for pieces of {self.piece_px} px. Close other programs and "
                "try again."
            ) from error

    def _read_ahead(self, tiles: Sequence[int], cancel: CancelToken) -> Iterator[_Pixels]:
        """Tiles with their pixels; the next ones are read while the caller works on this one."""
        frame, grid = self.plan.frame, self.plan.grid
        coming: deque[tuple[Tile, Future[NDArray[Any]]]] = deque()
        with ThreadPoolExecutor(_READERS, thread_name_prefix="read-ahead") as pool:
            for tile in (grid[i] for i in tiles):
                if cancel.is_cancelled:
                    break
                coming.append((tile, pool.submit(frame.read, tile.read)))
                if len(coming) > self.batch_size:
                    first, pixels = coming.popleft()
                    yield first, pixels.result()
            while coming:
                first, pixels = coming.popleft()
                yield first, pixels.result()


def fit(frame: Frame, model: Segmenter, pick: ChannelPick) -> tuple[Normalizer, Segmenter]:
    """The region's range of intensities, and the model made fit for it."""
    info = frame.reader.info
    pixels = (pick.apply(frame.read(box)) for box in sample_boxes(frame, whole_px=WHOLE_PX))
    samples = np.concatenate([p.reshape(-1, p.shape[-1]) for p in pixels])
    # A percentile needs no more, and every k-th pixel is the same choice every time.
    samples = samples[:: -(-len(samples) // _ENOUGH_PIXELS)]
    if model.percentiles is None:
        top = float(np.iinfo(info.dtype).max) if np.issubdtype(info.dtype, np.integer) else 1.0
        normalizer = Normalizer(0.0, top)
    else:
        brightfield = info.is_rgb and pick.index is None and not pick.to_gray
        normalizer = Normalizer.from_samples(
            samples,
            model.percentiles,
            is_8bit_rgb=brightfield,
            each_channel=model.info.takes_two_channels,
            least=_LEAST_OD if isinstance(frame.reader, StainReader) else 0.0,
        )
    return normalizer, model.adapt(normalizer.apply(samples))


def is_out_of_memory(error: BaseException) -> bool:
    """True for the many ways in which libraries say that memory ran out."""
    words = f"{type(error).__name__} {error}".lower()
    return isinstance(error, MemoryError) or any(said in words for said in _NO_MEMORY)


def _placed(found: Proposals, tile: Tile, grid: TileGrid, model: Segmenter) -> Proposals:
    """What a tile found, in the image's model px, without what is its neighbours'."""
    placed = found.shift(tile.read.x, tile.read.y)
    return placed.take(_owned(placed, tile.owned, grid, model))


def _owned(found: Proposals, own: Box, grid: TileGrid, model: Segmenter) -> NDArray[np.bool_]:
    """Proposals anchored in what a tile owns and off the image's rim."""
    x, y = found.points.T
    extent, rim = grid.extent, model.edge_px
    # A network sees the image padded to whole blocks, and counts its rim from there.
    right = extent.x + -(-extent.width // grid.align_px) * grid.align_px
    bottom = extent.y + -(-extent.height // grid.align_px) * grid.align_px
    inside: NDArray[np.bool_] = x >= max(own.x, extent.x + rim)
    inside &= x < min(own.right, right - rim)
    inside &= (y >= max(own.y, extent.y + rim)) & (y < min(own.bottom, bottom - rim))
    return inside


def _batches(tiles: Iterable[_Pixels], size: Callable[[], int]) -> Iterator[list[_Pixels]]:
    """Up to `size()` tiles in a row that have the same shape."""
    batch: list[_Pixels] = []
    for tile, pixels in tiles:
        if batch and batch[0][1].shape != pixels.shape:
            yield batch
            batch = []
        batch.append((tile, pixels))
        del pixels
        # At once, not when the next tile comes: that one would be in memory too.
        if len(batch) >= size():
            yield batch
            batch = []
    if batch:
        yield batch
