"""Rounds of active learning: frozen, seeded, replayable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from napari_histo.core.box import Box

__all__ = ["Candidate", "QueryStrategy", "Round", "Selection"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A region that might be annotated: `region` in full-resolution px of the image named."""

    image: str
    region: Box


@dataclass(frozen=True)
class Selection:
    """Chosen candidates, best first, each with its score and the reason shown to the user."""

    candidates: tuple[Candidate, ...]
    scores: tuple[float, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Round:
    """One turn of the loop, as it is kept.

    Attributes
    ----------
    number : int
        From 1.
    strategy : str
        Name of the query strategy.
    seed : int
        Of everything random in the round.
    selection : Selection
        What was queried.
    model_sha256 : str or None
        Weights that the round ended with; None before training.
    """

    number: int
    strategy: str
    seed: int
    selection: Selection
    model_sha256: str | None = None


class QueryStrategy(Protocol):
    """Says where to look next; pure and seeded."""

    def select(self, pool: Sequence[Candidate], n: int, rng: np.random.Generator) -> Selection:
        """The `n` candidates of `pool` to annotate next."""
        ...
