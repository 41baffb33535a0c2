"""The words of looking at regions: how to look, and who says what they look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import PixelSize, Proposals
from napari_histo.learning.views import VIEWS, View

__all__ = ["Dropping", "Encoder", "PictureEncoder", "ScoreRequest"]


@runtime_checkable
class Encoder(Protocol):
    """Says in numbers what images look like."""

    def embed(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features (b, d) of length 1 of images (b, h, w, c), normalised as for the model."""
        ...


@runtime_checkable
class PictureEncoder(Protocol):
    """Says in numbers what pictures look like, whichever model finds the objects."""

    def encode(self, pictures: NDArray[np.float32], pixel_um: float | None) -> NDArray[np.float32]:
        """Features (b, d) of length 1 of pictures (b, h, w, 3), 0..1, of a known pixel size."""
        ...


@runtime_checkable
class Dropping(Protocol):
    """A model of which parts can be left out at random."""

    @property
    def has_dropout(self) -> bool:
        """True where it learned so."""
        ...

    def propose_dropped(
        self, images: NDArray[np.float32], min_prob: float, seed: int
    ) -> list[Proposals]:
        """As `Segmenter.propose`; the same seed leaves out the same parts."""
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
    dropout : int
        Looks with parts of the network left out, where it has dropout; 0 gives no ``dropout``.
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
    dropout: int = 4
    channel: int | None = None
    pixel_size: PixelSize | None = None
    seed: int = 0
