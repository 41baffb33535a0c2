"""What is known of each region that might be annotated: features, doubt, and what lies in it.

Regions are the tiles of a lattice over the tissue of an image, at the model's pixel size. Each is
looked at as it is and in other views; the signals are

``tissue``
    Share of the region that is tissue; 1 throughout small images.
``objects``
    Predicted objects.
``margin``
    Mean over the objects, kept and nearly kept, of how near their probability is to the
    threshold: 0 sure, 1 undecided.
``disagreement``
    1 - panoptic quality between what is found in the region and in its other views, mean over the
    views; 0 the same outlines, 1 none in common.
``dropout``
    The same between the whole network and ones of which parts were left out at random; only of
    models that learned with dropout.

Of models that tell tissues apart there are no ``objects``; what the others are then, says
`napari_histo.learning.tissue.looking`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, CancelToken, Progress, Segmenter, SlideReader, Tile
from napari_histo.core.learning import Candidate, Pool
from napari_histo.core.regions import RegionSegmenter
from napari_histo.errors import LearningError
from napari_histo.learning.look import Look, Row, crop
from napari_histo.learning.look_words import Encoder, PictureEncoder, ScoreRequest
from napari_histo.learning.tissue.looking import RegionLook
from napari_histo.learning.tissue.params import REGION_FAMILY
from napari_histo.ops.tissue import TissueMask

__all__ = ["Encoder", "ScoreRequest", "join", "list_regions", "score_image"]


def score_image(
    name: str,
    reader: SlideReader,
    model: Segmenter | RegionSegmenter,
    request: ScoreRequest | None = None,
    cancel: CancelToken | None = None,
    *,
    encoder: Encoder | PictureEncoder | None = None,
) -> Generator[Progress, None, Pool]:
    """Look at the regions of one image.

    Parameters
    ----------
    name : str
        Id of the image, for the candidates.
    reader : SlideReader
    model : Segmenter or RegionSegmenter
    request : ScoreRequest, optional
    cancel : CancelToken, optional
        Looked at before each region.
    encoder : Encoder or PictureEncoder, optional
        Gives the features; the model itself by default, where it can.

    Raises
    ------
    PixelSizeUnknownError, ImageError
        The image does not fit the model.
    Cancelled
    """
    request, cancel = request or ScoreRequest(), cancel or CancelToken()
    look = _look(reader, model, request, encoder)
    tiles = look.worth_a_look(np.random.default_rng(request.seed))
    rows = []
    for done, tile in enumerate(tiles):
        cancel.raise_if_cancelled()
        yield Progress(done, len(tiles), "Looking for regions to annotate")
        rows.append(look.score(tile))
    return _pool(name, look, tiles, rows)


def list_regions(
    name: str,
    reader: SlideReader,
    model: Segmenter | RegionSegmenter,
    request: ScoreRequest | None = None,
) -> Pool:
    """The same regions as of `score_image` without a look at them."""
    request = request or ScoreRequest()
    look = _look(reader, model, request, None)
    boxes = [look.box(t) for t in look.worth_a_look(np.random.default_rng(request.seed))]
    tissue = np.array([_share(look.tissue, box) for box in boxes], np.float32)
    candidates = tuple(Candidate(name, box) for box in boxes)
    return Pool(candidates, np.zeros((len(boxes), 0), np.float32), {"tissue": tissue})


def join(pools: Iterable[Pool]) -> Pool:
    """Candidates of several images in one pool; signals that one lacks are NaN there.

    Raises
    ------
    LearningError
        Features come from different networks.
    """
    parts = [pool for pool in pools if len(pool)]
    if not parts:
        return Pool((), np.zeros((0, 0), np.float32))
    widths = {pool.features.shape[1] for pool in parts}
    if len(widths) > 1:
        raise LearningError(
            f"Features of {' and '.join(map(str, sorted(widths)))} numbers cannot be compared. "
            "Score all images with one model."
        )
    names = sorted({name for pool in parts for name in pool.signals})
    unknown = [np.full(len(pool), np.nan, np.float32) for pool in parts]
    return Pool(
        tuple(c for pool in parts for c in pool.candidates),
        np.concatenate([pool.features for pool in parts]),
        {
            name: np.concatenate(
                [p.signals.get(name, u) for p, u in zip(parts, unknown, strict=True)]
            )
            for name in names
        },
        np.concatenate([pool.class_counts for pool in parts]),
        np.concatenate([pool.views for pool in parts]),
    )


def _look(
    reader: SlideReader,
    model: Segmenter | RegionSegmenter,
    request: ScoreRequest,
    encoder: Encoder | PictureEncoder | None,
) -> Look | RegionLook:
    if model.info.family == REGION_FAMILY:
        return RegionLook.over(reader, cast("RegionSegmenter", model), request, encoder)
    return Look.at(reader, cast("Segmenter", model), request, encoder)


def _pool(name: str, look: Look | RegionLook, tiles: Sequence[Tile], rows: Sequence[Row]) -> Pool:
    def column(values: Iterable[float]) -> NDArray[np.float32]:
        return np.fromiter(values, np.float32, len(rows))

    boxes = [look.box(tile) for tile in tiles]
    signals = {"tissue": column(_share(look.tissue, box) for box in boxes)}
    if look.counts_objects:
        signals["objects"] = column(row.objects for row in rows)
    if look.request.objects:
        signals["margin"] = column(row.margin for row in rows)
    if look.request.objects and look.request.views:
        signals["disagreement"] = column(row.disagreement for row in rows)
    if look.drops:
        signals["dropout"] = column(row.dropout for row in rows)
    n_classes = len(look.model.info.classes)
    empty = np.zeros((0, 0), np.float32)
    return Pool(
        tuple(Candidate(name, box) for box in boxes),
        np.stack([row.features for row in rows]) if rows else empty,
        signals,
        np.stack([row.classes for row in rows]) if rows else np.zeros((0, n_classes), np.float32),
        np.stack([row.views for row in rows]) if rows else np.zeros((0, 0, 0), np.float32),
    )


def _share(mask: TissueMask, box: Box) -> float:
    """Share of a box that is tissue."""
    cells = box.scale(1 / mask.cell_px[0], 1 / mask.cell_px[1])
    cells = cells.intersect(Box(0, 0, *mask.cells.shape[::-1]))
    part = crop(mask.cells, cells)
    return float(part.mean()) if part.size else 0.0
