"""The words of active learning: what might be annotated, what was chosen, what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from napari_histo.core.box import Box
from napari_histo.core.contours import Contours
from napari_histo.core.objects import ObjectTable

__all__ = ["Candidate", "LabelledRegion", "Pool", "QueryStrategy", "Selection"]


@dataclass(frozen=True, slots=True, order=True)
class Candidate:
    """A region that might be annotated.

    Attributes
    ----------
    image : str
        Id of the image in its learning project.
    region : Box
        In full-resolution px.
    """

    image: str
    region: Box


@dataclass(frozen=True, eq=False)
class Pool:
    """Candidates, and what is known of each.

    Attributes
    ----------
    candidates : tuple of Candidate
        All n of them.
    features : (n, d) float32
        What each looks like to a network, of length 1; d may be 0 where nobody looked.
    signals : mapping of str to (n,) float32
        Figures by name, see `napari_histo.learning.scoring`: ``tissue``, ``objects``, ``margin``,
        ``disagreement`` and others. NaN where unknown.
    class_counts : (n, k) float32
        Predicted objects by class; k may be 0.
    views : (n, v, d) float32
        Features of each with its stain and direction changed; v may be 0.
    seen : (m, d) float32
        Features of what was annotated already.
    seen_candidates : tuple of Candidate
        The same m regions, where known.
    """

    candidates: tuple[Candidate, ...]
    features: NDArray[np.float32]
    signals: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    class_counts: NDArray[np.float32] = field(
        default_factory=lambda: np.zeros((0, 0), dtype=np.float32)
    )
    views: NDArray[np.float32] = field(
        default_factory=lambda: np.zeros((0, 0, 0), dtype=np.float32)
    )
    seen: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), dtype=np.float32))
    seen_candidates: tuple[Candidate, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.candidates)
        sizes = {"features": len(self.features)} | {k: len(v) for k, v in self.signals.items()}
        for name in ("class_counts", "views"):
            if getattr(self, name).size:
                sizes[name] = len(getattr(self, name))
        wrong = {name: size for name, size in sizes.items() if size != n}
        if wrong:
            raise ValueError(f"A pool of {n} candidates has columns of other lengths: {wrong}.")

    def __len__(self) -> int:
        return len(self.candidates)


@dataclass(frozen=True)
class Selection:
    """Chosen candidates, best first, each with its score and the reason shown to the user."""

    candidates: tuple[Candidate, ...]
    scores: tuple[float, ...]
    reasons: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.candidates)


class QueryStrategy(Protocol):
    """Says where to look next; pure and seeded."""

    @property
    def name(self) -> str:
        """Under which users choose it."""
        ...

    @property
    def needs(self) -> frozenset[str]:
        """What it reads of a pool: ``features``, ``views``, ``class_counts``, or a signal."""
        ...

    def select(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """The `n` candidates of `pool` to annotate next; fewer where it has no more."""
        ...


@dataclass(frozen=True, eq=False)
class LabelledRegion:
    """A region that a person declared done: all its objects are known, outside nothing is.

    Attributes
    ----------
    image : str
        Id of the image in its learning project.
    region : Box
        In full-resolution px.
    objects : ObjectTable
        What lies in it or reaches into it, in full-resolution px of the image.
    ignored : Contours
        Areas within it where nothing is known either: they carry no loss and no score.
    annotator : str
        Who; empty where unknown.
    round : int
        In which round it was annotated; 0 for what was there before.
    """

    image: str
    region: Box
    objects: ObjectTable
    ignored: Contours
    annotator: str = ""
    round: int = 0
