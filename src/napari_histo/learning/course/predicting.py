"""What a model finds in one region of an image, as objects to be mended."""

from __future__ import annotations

from napari_histo.core import Box, ObjectTable, Proposals, Segmenter, SlideReader, TileGrid
from napari_histo.ops.channels import ChannelPick
from napari_histo.pipeline.drawing import draw
from napari_histo.pipeline.frame import Frame
from napari_histo.pipeline.ids import anchored_ids
from napari_histo.pipeline.proposing import Plan, Proposer, fit
from napari_histo.pipeline.seams import choose

__all__ = ["predict_objects"]

#: Side of a tile of predictions, and what is looked at around a region, model px.
_TILE_PX, _AROUND_PX = 1024, 24


def predict_objects(reader: SlideReader, model: Segmenter, box: Box, seed: int = 0) -> ObjectTable:
    """Objects whose centroids lie in a box, normalised as the whole image is, as in scoring.

    Parameters
    ----------
    reader : SlideReader
    model : Segmenter
    box : Box
        Full-resolution px.
    seed : int
        Of the ids: the same seed and objects give the same ones.

    Raises
    ------
    ImageError, PixelSizeUnknownError, ModelError
    """
    pick = ChannelPick.choose(reader.info, model.info, None)
    frame = Frame.of(reader, model.info)
    normalizer, fitted = fit(frame, model, pick)
    thresholds = fitted.info.thresholds
    # A little around it, for neighbours compete with what is inside.
    inner = Frame.of(reader, model.info, region=box).region.pad(_AROUND_PX)
    region = inner.intersect(frame.extent)
    grid = TileGrid(frame.extent, region, _TILE_PX, fitted.margin_px, fitted.align_px)
    proposer = Proposer(Plan(frame, grid, fitted, pick, normalizer, thresholds.prob))
    found = [p for tile in grid for p in proposer.propose([(tile, frame.read(tile.read))])]
    rows = choose(grid, found, fitted, thresholds)
    chosen = Proposals.concat([p.take(r) for p, r in zip(found, rows, strict=True)])
    table = draw(fitted, frame, chosen, anchored_ids(chosen.points, seed))
    return table.select(box.holds(table.centroids))
