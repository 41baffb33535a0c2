"""What a segmenter's network sees where each object is."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import (
    CancelToken,
    PixelSize,
    Progress,
    SlideReader,
    Tile,
    TileGrid,
)
from napari_histo.core.segmenters import Describer
from napari_histo.errors import LearningError
from napari_histo.ops.channels import ChannelPick
from napari_histo.ops.normalize import Normalizer
from napari_histo.pipeline.frame import Frame
from napari_histo.pipeline.proposing import fit

__all__ = ["load_network", "network_features"]

_TILE_PX = 768
#: Cells of the network's grid on each side of the middle that are averaged: 3 x 3 of them.
_AROUND = 1


def load_network(name: str, sha256: str | None = None, *, device: str = "auto") -> Describer:
    """The model whose last layer is asked.

    Parameters
    ----------
    name : str
        As for `napari_histo.models.load_model`.
    sha256 : str, optional
        Of the weights that a classifier learned with.
    device : {"auto", "cpu", "cuda", "mps"}

    Raises
    ------
    LearningError
        The model has no such layer, or other weights.
    ModelError
    """
    from napari_histo.models import load_model

    model = load_model(name, device=device)
    if not isinstance(model, Describer):
        raise LearningError(
            f"The model {name!r} ({model.info.family}) does not show what its last layer sees. Use "
            "a StarDist model, or train without a network."
        )
    if None not in (sha256, model.info.sha256) and sha256 != model.info.sha256:
        raise LearningError(
            f"The classifier learned with other weights of {name!r} (SHA-256 {sha256}) than those "
            f"here ({model.info.sha256}). Bring that model, or train anew."
        )
    return model


@dataclass(frozen=True, eq=False)
class _Look:
    """A network laid over an image."""

    frame: Frame
    pick: ChannelPick
    normalizer: Normalizer
    model: Describer

    def at(self, tile: Tile, points: NDArray[np.float64]) -> NDArray[np.float32]:
        """(m, d) at points (m, 2), x before y, model px, of one tile."""
        pixels = self.normalizer.apply(self.pick.apply(self.frame.read(tile.read)))
        seen = self.model.describe(pixels[None])[0]
        step = [round(a / b) for a, b in zip(pixels.shape[:2], seen.shape[:2], strict=True)]
        column = np.rint((points[:, 0] - tile.read.x) / step[1]).astype(int)
        row = np.rint((points[:, 1] - tile.read.y) / step[0]).astype(int)
        total: NDArray[np.float32] = np.zeros((len(points), seen.shape[2]), np.float32)
        around = range(-_AROUND, _AROUND + 1)
        for dy in around:
            for dx in around:
                y = np.clip(row + dy, 0, seen.shape[0] - 1)
                total += seen[y, np.clip(column + dx, 0, seen.shape[1] - 1)]
        total /= len(around) ** 2
        return total


def network_features(
    reader: SlideReader,
    centroids: NDArray[np.float64],
    model: Describer,
    *,
    pixel_size: PixelSize | None = None,
    cancel: CancelToken | None = None,
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Features of the last layer at each object, (n, d) float32; they do not depend on the tiles.

    Only tiles that hold objects are read. Objects without a centroid, or beyond the image, get NaN.

    Parameters
    ----------
    reader : SlideReader
    centroids : (n, 2) array
        x before y, full-resolution px.
    model : Describer
    pixel_size : PixelSize, optional
        The user's word; it wins over the file's.
    cancel : CancelToken, optional
        Looked at before each tile.

    Raises
    ------
    PixelSizeUnknownError, ImageError, Cancelled
    """
    cancel = cancel or CancelToken()
    yield Progress(0, 0, "Reading the image")
    pick = ChannelPick.choose(reader.info, model.info)
    frame = Frame.of(reader, model.info, pixel_size=pixel_size)
    normalizer, fitted = fit(frame, model, pick)
    assert isinstance(fitted, Describer)
    look = _Look(frame, pick, normalizer, fitted)
    side = -(-_TILE_PX // model.align_px) * model.align_px
    # The cells around an object at a tile's edge have to be the whole image's, too.
    margin = model.margin_px + model.align_px
    grid = TileGrid(frame.extent, frame.region, side, margin, model.align_px)
    points = centroids / frame.scale
    rows = _rows_of_tiles(grid, points)
    found: NDArray[np.float32] | None = None
    for done, (tile, here) in enumerate(rows):
        cancel.raise_if_cancelled()
        yield Progress(done, len(rows), "Looking at the objects")
        seen = look.at(tile, points[here])
        if found is None:
            found = np.full((len(points), seen.shape[1]), np.nan, np.float32)
        found[here] = seen
    return np.zeros((len(points), 0), np.float32) if found is None else found


def _rows_of_tiles(
    grid: TileGrid, points: NDArray[np.float64]
) -> Sequence[tuple[Tile, NDArray[np.int64]]]:
    """Tiles with the rows that each owns; those without any are left out."""
    known = np.flatnonzero(np.isfinite(points).all(axis=1))
    owner = grid.owner_of(points[known])
    return [(t, rows) for t in grid if len(rows := known[owner == t.index])]
