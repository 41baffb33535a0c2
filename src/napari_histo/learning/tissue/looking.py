"""A region model over one image: how it sees each region, and how sure of it it is.

``margin`` is the mean over the pixels of 1 - (the likeliest class's probability - the next one's),
``disagreement`` the share of pixels that are answered otherwise when the image is turned or its
stain changes; classes are counted in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, SlideReader, Tile
from napari_histo.core.regions import RegionSegmenter
from napari_histo.learning.look import Row, Sight, crop, lattice
from napari_histo.learning.look_words import Encoder, PictureEncoder, ScoreRequest
from napari_histo.learning.views import View
from napari_histo.ops.tissue import TissueMask
from napari_histo.pipeline.region_answers import RegionAnswers
from napari_histo.pipeline.tissue import find_tissue

__all__ = ["RegionLook"]

Image = NDArray[np.float32]


@runtime_checkable
class _Embedding(Protocol):
    """A region model that says in numbers what images look like."""

    def embed(self, images: Image, guide: Image | None = None) -> Image:
        """Features (b, d) of length 1 of images as for `RegionSegmenter.predict`."""
        ...


@dataclass(frozen=True, eq=False)
class RegionLook(Sight):
    """See the module.

    Attributes
    ----------
    answers : RegionAnswers
        The model over the image.
    encoder : PictureEncoder or None
        The user's own, which then says what regions look like.
    """

    answers: RegionAnswers
    encoder: PictureEncoder | None

    drops = False
    counts_objects = False

    @classmethod
    def over(
        cls,
        reader: SlideReader,
        model: RegionSegmenter,
        request: ScoreRequest,
        encoder: Encoder | PictureEncoder | None,
    ) -> RegionLook:
        """Lay a model over an image; empty glass is not looked at where there is tissue."""
        tissue = find_tissue(reader, pixel_size=request.pixel_size)
        if not tissue.cells.any():
            tissue = TissueMask.everything(reader.info)
        answers = RegionAnswers.over(reader, model, pixel_size=request.pixel_size, tissue=tissue)
        frame = answers.pixels.frame
        own = encoder if isinstance(encoder, PictureEncoder) else None
        grid = lattice(frame, model, request.region_px)
        return cls(frame, grid, tissue, request, answers, own)

    @property
    def model(self) -> RegionSegmenter:
        """The model."""
        return self.answers.model

    def score(self, tile: Tile) -> Row:
        """Look at one region."""
        views = (View("as it is"), *self.request.views)
        pixels, is_rgb = self.answers.pixels.read_raw(tile.read), self.frame.reader.info.is_rgb
        raw = [view.show(pixels, is_rgb=is_rgb) for view in views]
        shown = [self.answers.pixels.values.apply(image) for image in raw]
        coarse = self.answers.guide_at(tile.read)
        guides = [None if coarse is None else view.turn(coarse) for view in views]
        inner = tile.owned.shift(-tile.read.x, -tile.read.y)
        seen = self._features(views, raw, list(zip(shown, guides, strict=True)), inner)
        empty = np.zeros(len(self.model.info.classes), np.float32)
        if not self.request.objects:
            return Row(seen[0], seen[1:], empty)
        found = [
            crop(view.back(self.model.predict(image[None], _batch(guide))[0]), inner)
            for view, image, guide in zip(views, shown, guides, strict=True)
        ]
        labels = [prob.argmax(axis=-1) for prob in found]
        counts = np.bincount(labels[0].ravel(), minlength=len(empty) + 1)[1:]
        return Row(
            seen[0],
            seen[1:],
            counts.astype(np.float32),
            margin=_margin(found[0]),
            disagreement=_disagreement(labels),
        )

    def _features(
        self,
        views: Sequence[View],
        raw: Sequence[NDArray[Any]],
        shown: Sequence[tuple[Image, Image | None]],
        inner: Box,
    ) -> Image:
        """(views, d) of the region alone, without what is around it."""

        def part(view: View, image: NDArray[Any]) -> NDArray[Any]:
            return np.ascontiguousarray(view.turn(crop(view.back(image), inner)))

        if self.encoder is not None:
            pictures = [_picture(part(v, i)) for v, i in zip(views, raw, strict=True)]
            return self.encoder.encode(np.stack(pictures), self.model.info.pixel_size_um)
        if not isinstance(self.model, _Embedding):
            return np.zeros((len(views), 0), np.float32)
        images = np.stack([part(v, image) for v, (image, _) in zip(views, shown, strict=True)])
        guides = [part(v, g) for v, (_, g) in zip(views, shown, strict=True) if g is not None]
        return self.model.embed(images, np.stack(guides) if guides else None)


def _batch(image: Image | None) -> Image | None:
    return None if image is None else np.ascontiguousarray(image[None])


def _picture(image: NDArray[Any]) -> Image:
    """(h, w, 3), 0 to 1: colours, or the first channel as grey."""
    if image.shape[-1] == 3 and image.dtype == np.uint8:
        return image.astype(np.float32) / np.float32(255)
    grey = image[..., :1].astype(np.float32)
    low, high = np.percentile(grey, (1, 99.8))
    scaled = ((grey - low) / max(high - low, 1e-6)).clip(0, 1)
    return np.repeat(scaled, 3, axis=-1).astype(np.float32)


def _margin(prob: Image) -> float:
    """0 sure, 1 undecided."""
    best = np.partition(prob, -2, axis=-1)[..., -2:]
    return float(1 - (best[..., 1] - best[..., 0]).mean())


def _disagreement(labels: Sequence[NDArray[np.integer]]) -> float:
    """Share of pixels that are otherwise than in the first, mean over the others."""
    apart = [(labels[0] != other).mean() for other in labels[1:]]
    return float(np.mean(apart)) if apart else np.nan
