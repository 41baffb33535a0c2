"""A model over one image: what it sees in each region, in one view and in others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import (
    Box,
    ObjectTable,
    Segmenter,
    SlideReader,
    Thresholds,
    Tile,
    TileGrid,
)
from napari_histo.learning.look_words import Dropping, Encoder, PictureEncoder, ScoreRequest
from napari_histo.learning.views import View
from napari_histo.ops.channels import ChannelPick
from napari_histo.ops.metrics import compare_labels
from napari_histo.ops.tissue import TissueMask
from napari_histo.pipeline.frame import Frame
from napari_histo.pipeline.proposing import WHOLE_PX, fit
from napari_histo.pipeline.tissue import find_tissue
from napari_histo.store.labels import rasterise

__all__ = ["Look", "Row", "Sight", "crop", "lattice"]

#: Objects down to this share of the threshold say something about doubt.
_NEARLY = 0.4


@dataclass(frozen=True)
class Row:
    """What was seen in one region."""

    features: NDArray[np.float32]
    views: NDArray[np.float32]
    classes: NDArray[np.float32]
    objects: int = 0
    margin: float = 0.0
    disagreement: float = 0.0
    dropout: float = np.nan


@dataclass(frozen=True, eq=False)
class Sight:
    """The regions of one image.

    Attributes
    ----------
    frame : Frame
    grid : TileGrid
        Of regions, model px.
    tissue : TissueMask
    request : ScoreRequest
    """

    frame: Frame
    grid: TileGrid
    tissue: TissueMask
    request: ScoreRequest

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


@dataclass(frozen=True, eq=False)
class Look(Sight):
    """A model over one image."""

    model: Segmenter
    encoder: Encoder | PictureEncoder | None
    pick: ChannelPick
    normalizer: Any

    @classmethod
    def at(
        cls,
        reader: SlideReader,
        model: Segmenter,
        request: ScoreRequest,
        encoder: Encoder | PictureEncoder | None,
    ) -> Look:
        pick = ChannelPick.choose(reader.info, model.info, request.channel)
        frame = Frame.of(reader, model.info, pixel_size=request.pixel_size)
        grid = lattice(frame, model, request.region_px)
        normalizer, model = fit(frame, model, pick)
        own = model if isinstance(model, Encoder) else None
        # A crop of nothing but tissue has no glass to tell it from.
        is_slide = frame.region.area > WHOLE_PX
        tissue = (
            find_tissue(reader, pixel_size=request.pixel_size)
            if is_slide
            else TissueMask.everything(reader.info)
        )
        return cls(frame, grid, tissue, request, model, encoder or own, pick, normalizer)

    def score(self, tile: Tile) -> Row:
        """Look at one region."""
        pixels = self.frame.read(tile.read)
        views = (View("as it is"), *self.request.views)
        is_rgb = self.pick.index is None
        raw = [view.show(pixels, is_rgb=is_rgb) for view in views]
        shown = [self.normalizer.apply(self.pick.apply(image)) for image in raw]
        inner = Box(
            tile.owned.x - tile.read.x,
            tile.owned.y - tile.read.y,
            tile.owned.width,
            tile.owned.height,
        )
        features = self._features(
            [
                view.turn(crop(view.back(image), inner))
                for view, image in zip(views, self._pictures(raw, shown), strict=True)
            ]
        )
        row = Row(features[0], features[1:], np.zeros(len(self.model.info.classes), np.float32))
        return self._doubt(views, shown, inner, row) if self.request.objects else row

    def _doubt(
        self, views: Sequence[View], shown: Sequence[NDArray[np.float32]], inner: Box, row: Row
    ) -> Row:
        """What is found in the region, and how sure that is."""
        thresholds = self.model.info.thresholds
        found = [self._objects(image, thresholds) for image in shown]
        whole = Box(0, 0, *shown[0].shape[1::-1])
        labels = [
            crop(view.back(rasterise(_kept(table, thresholds), whole)), inner)
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
            dropout=_disagreement([labels[0], *self._dropped(shown[0], inner)]),
        )

    def _objects(self, image: NDArray[np.float32], thresholds: Thresholds) -> ObjectTable:
        nearly = Thresholds(_NEARLY * thresholds.prob, thresholds.nms)
        proposals = self.model.propose(image[None], nearly.prob)[0]
        return self.model.draw(proposals.take(self.model.select(proposals, nearly)))

    @property
    def counts_objects(self) -> bool:
        """Whether objects are looked for."""
        return self.request.objects

    @property
    def drops(self) -> bool:
        """Whether parts of the network are left out."""
        model, asked = self.model, self.request.objects and self.request.dropout > 0
        return asked and isinstance(model, Dropping) and model.has_dropout

    def _dropped(self, image: NDArray[np.float32], inner: Box) -> Iterator[NDArray[np.integer]]:
        """What is found in the region with parts of the network left out; nothing where it has
        no such parts."""
        model, whole = self.model, Box(0, 0, *image.shape[1::-1])
        thresholds = model.info.thresholds
        for number in range(self.request.dropout if self.drops else 0):
            assert isinstance(model, Dropping)
            seed = self.request.seed + number
            proposals = model.propose_dropped(image[None], thresholds.prob, seed)[0]
            table = model.draw(proposals.take(model.select(proposals, thresholds)))
            yield crop(rasterise(table, whole), inner)

    def _pictures(
        self, raw: Sequence[NDArray[Any]], shown: Sequence[NDArray[np.float32]]
    ) -> list[NDArray[np.float32]]:
        """What the encoder sees: images as the model has them, or colours of 0 to 1."""
        if not isinstance(self.encoder, PictureEncoder):
            return list(shown)
        colour = self.frame.reader.info.is_rgb and self.pick.index is None
        if colour:
            return [np.asarray(image, np.float32) / np.float32(255) for image in raw]
        return [np.repeat(image[..., :1].clip(0, 1), 3, axis=-1) for image in shown]

    def _features(self, images: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        if self.encoder is None:
            return np.zeros((len(images), 0), np.float32)
        if isinstance(self.encoder, PictureEncoder):
            size = self.frame.pixel_size
            scaled = None if size is None else size.x_um * self.frame.scale[0]
            return self.encoder.encode(np.stack(images), scaled)
        return self.encoder.embed(np.stack(images))


def lattice(frame: Frame, model: Any, region_px: int) -> TileGrid:
    """Regions of at least `region_px` model px, as the model's alignment allows."""
    align = model.align_px
    side = -(-region_px // align) * align
    return TileGrid(frame.extent, frame.region, side, model.margin_px, align)


def crop(image: NDArray[Any], box: Box) -> NDArray[Any]:
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
