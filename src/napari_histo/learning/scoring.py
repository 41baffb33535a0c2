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
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import (
    Box,
    CancelToken,
    ObjectTable,
    PixelSize,
    Progress,
    Segmenter,
    SlideReader,
    Thresholds,
    Tile,
    TileGrid,
)
from napari_histo.core.learning import Candidate, Pool
from napari_histo.errors import LearningError
from napari_histo.learning.views import VIEWS, View
from napari_histo.ops.channels import ChannelPick
from napari_histo.ops.metrics import compare_labels
from napari_histo.ops.tissue import TissueMask
from napari_histo.pipeline.frame import Frame
from napari_histo.pipeline.proposing import WHOLE_PX, fit
from napari_histo.pipeline.tissue import find_tissue
from napari_histo.store.labels import rasterise

__all__ = ["Encoder", "ScoreRequest", "join", "list_regions", "score_image"]

#: Objects down to this share of the threshold say something about doubt.
_NEARLY = 0.4


@runtime_checkable
class Encoder(Protocol):
    """Says in numbers what images look like."""

    def embed(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features (b, d) of length 1 of images (b, h, w, c), normalised as for the model."""
        ...


@dataclass(frozen=True)
class ScoreRequest:
    """How to look.

    Attributes
    ----------
    region_px : int
        Side of a region, model px.
    most : int
        Regions of one image that are looked at; of more, so many are drawn at random.
    objects : bool
        False to look for no objects: there is no signal but ``tissue`` then.
    views : sequence of View
        Others to compare with; none gives no ``disagreement``.
    channel : int or None
        For models of one channel.
    pixel_size : PixelSize or None
        The user's word; it wins over the file's.
    seed : int
        Of the draw.
    """

    region_px: int = 256
    most: int = 400
    objects: bool = True
    views: Sequence[View] = VIEWS
    channel: int | None = None
    pixel_size: PixelSize | None = None
    seed: int = 0


def score_image(
    name: str,
    reader: SlideReader,
    model: Segmenter,
    request: ScoreRequest | None = None,
    cancel: CancelToken | None = None,
    *,
    encoder: Encoder | None = None,
) -> Generator[Progress, None, Pool]:
    """Look at the regions of one image.

    Parameters
    ----------
    name : str
        Id of the image, for the candidates.
    reader : SlideReader
    model : Segmenter
    request : ScoreRequest, optional
    cancel : CancelToken, optional
        Looked at before each region.
    encoder : Encoder, optional
        Gives the features; the model itself by default, where it can.

    Raises
    ------
    PixelSizeUnknownError, ImageError
        The image does not fit the model.
    Cancelled
    """
    request, cancel = request or ScoreRequest(), cancel or CancelToken()
    look = _Look.at(reader, model, request, encoder)
    tiles = look.worth_a_look(np.random.default_rng(request.seed))
    rows = []
    for done, tile in enumerate(tiles):
        cancel.raise_if_cancelled()
        yield Progress(done, len(tiles), "Looking for regions to annotate")
        rows.append(look.score(tile))
    return _pool(name, look, tiles, rows)


def list_regions(
    name: str, reader: SlideReader, model: Segmenter, request: ScoreRequest | None = None
) -> Pool:
    """The same regions as of `score_image` without a look at them."""
    request = request or ScoreRequest()
    look = _Look.at(reader, model, request, None)
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


@dataclass(frozen=True)
class _Row:
    """What was seen in one region."""

    features: NDArray[np.float32]
    views: NDArray[np.float32]
    classes: NDArray[np.float32]
    objects: int = 0
    margin: float = 0.0
    disagreement: float = 0.0


@dataclass(frozen=True, eq=False)
class _Look:
    """A model over one image."""

    frame: Frame
    grid: TileGrid
    model: Segmenter
    encoder: Encoder | None
    pick: ChannelPick
    normalizer: Any
    tissue: TissueMask
    request: ScoreRequest

    @classmethod
    def at(
        cls,
        reader: SlideReader,
        model: Segmenter,
        request: ScoreRequest,
        encoder: Encoder | None,
    ) -> _Look:
        pick = ChannelPick.choose(reader.info, model.info, request.channel)
        frame = Frame.of(reader, model.info, pixel_size=request.pixel_size)
        align = model.align_px
        side = -(-request.region_px // align) * align
        grid = TileGrid(frame.extent, frame.region, side, model.margin_px, align)
        normalizer, model = fit(frame, model, pick)
        own = model if isinstance(model, Encoder) else None
        # A crop of nothing but tissue has no glass to tell it from.
        is_slide = frame.region.area > WHOLE_PX
        tissue = (
            find_tissue(reader, pixel_size=request.pixel_size)
            if is_slide
            else TissueMask.everything(reader.info)
        )
        return cls(frame, grid, model, encoder or own, pick, normalizer, tissue, request)

    def worth_a_look(self, rng: np.random.Generator) -> list[Tile]:
        """Whole regions with tissue; slivers at the far edges only where there is nothing else."""
        tiles = list(self.grid)
        least = 0.5 * max(tile.owned.area for tile in tiles)
        tiles = [t for t in tiles if t.owned.area >= least and self.tissue.touches(self.box(t))]
        if len(tiles) <= self.request.most:
            return tiles
        drawn = rng.choice(len(tiles), self.request.most, replace=False)
        return [tiles[i] for i in np.sort(drawn)]

    def box(self, tile: Tile) -> Box:
        """A region in full-resolution px."""
        return tile.owned.scale(*self.frame.scale).intersect(self.frame.reader.info.box)

    def score(self, tile: Tile) -> _Row:
        """Look at one region."""
        pixels = self.frame.read(tile.read)
        views = (View("as it is"), *self.request.views)
        is_rgb = self.pick.index is None
        shown = [
            self.normalizer.apply(self.pick.apply(view.show(pixels, is_rgb=is_rgb)))
            for view in views
        ]
        inner = Box(
            tile.owned.x - tile.read.x,
            tile.owned.y - tile.read.y,
            tile.owned.width,
            tile.owned.height,
        )
        crops = [
            view.turn(_crop(view.back(image), inner))
            for view, image in zip(views, shown, strict=True)
        ]
        features = self._features(crops)
        row = _Row(features[0], features[1:], np.zeros(len(self.model.info.classes), np.float32))
        return self._doubt(views, shown, inner, row) if self.request.objects else row

    def _doubt(
        self, views: Sequence[View], shown: Sequence[NDArray[np.float32]], inner: Box, row: _Row
    ) -> _Row:
        """What is found in the region, and how sure that is."""
        thresholds = self.model.info.thresholds
        found = [self._objects(image, thresholds) for image in shown]
        whole = Box(0, 0, *shown[0].shape[1::-1])
        labels = [
            _crop(view.back(rasterise(_kept(table, thresholds), whole)), inner)
            for view, table in zip(views, found, strict=True)
        ]
        own = found[0].select(inner.holds(found[0].centroids))
        kept = _kept(own, thresholds)
        return replace(
            row,
            classes=_class_counts(kept),
            objects=len(kept),
            margin=_margin(own, thresholds),
            disagreement=_disagreement(labels),
        )

    def _objects(self, image: NDArray[np.float32], thresholds: Thresholds) -> ObjectTable:
        nearly = Thresholds(_NEARLY * thresholds.prob, thresholds.nms)
        proposals = self.model.propose(image[None], nearly.prob)[0]
        return self.model.draw(proposals.take(self.model.select(proposals, nearly)))

    def _features(self, images: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        if self.encoder is None:
            return np.zeros((len(images), 0), np.float32)
        return self.encoder.embed(np.stack(images))


def _pool(name: str, look: _Look, tiles: Sequence[Tile], rows: Sequence[_Row]) -> Pool:
    def column(values: Iterable[float]) -> NDArray[np.float32]:
        return np.fromiter(values, np.float32, len(rows))

    boxes = [look.box(tile) for tile in tiles]
    signals = {"tissue": column(_share(look.tissue, box) for box in boxes)}
    if look.request.objects:
        signals["objects"] = column(row.objects for row in rows)
        signals["margin"] = column(row.margin for row in rows)
    if look.request.objects and look.request.views:
        signals["disagreement"] = column(row.disagreement for row in rows)
    n_classes = len(look.model.info.classes)
    empty = np.zeros((0, 0), np.float32)
    return Pool(
        tuple(Candidate(name, box) for box in boxes),
        np.stack([row.features for row in rows]) if rows else empty,
        signals,
        np.stack([row.classes for row in rows]) if rows else np.zeros((0, n_classes), np.float32),
        np.stack([row.views for row in rows]) if rows else np.zeros((0, 0, 0), np.float32),
    )


def _crop(image: NDArray[Any], box: Box) -> NDArray[Any]:
    return image[box.y : box.bottom, box.x : box.right]


def _kept(table: ObjectTable, thresholds: Thresholds) -> ObjectTable:
    return table.select(table.det_prob > thresholds.prob)


def _margin(table: ObjectTable, thresholds: Thresholds) -> float:
    """Mean nearness of the probabilities to the threshold; 0 without objects."""
    if not len(table):
        return 0.0
    room = np.where(table.det_prob > thresholds.prob, 1 - thresholds.prob, thresholds.prob)
    near = 1 - np.abs(table.det_prob - thresholds.prob) / np.maximum(room, 1e-6)
    return float(near.mean())


def _disagreement(labels: Sequence[NDArray[np.integer]]) -> float:
    """1 - PQ of the first with each other; what is empty in all agrees."""
    found = [compare_labels(labels[0], other).pq for other in labels[1:]]
    return float(np.mean([0.0 if np.isnan(pq) else 1 - pq for pq in found])) if found else np.nan


def _class_counts(table: ObjectTable) -> NDArray[np.float32]:
    known = table.class_id[table.class_id >= 0]
    return np.bincount(known, minlength=len(table.classes)).astype(np.float32)


def _share(mask: TissueMask, box: Box) -> float:
    """Share of a box that is tissue."""
    cells = box.scale(1 / mask.cell_px[0], 1 / mask.cell_px[1])
    cells = cells.intersect(Box(0, 0, *mask.cells.shape[::-1]))
    part = _crop(mask.cells, cells)
    return float(part.mean()) if part.size else 0.0
