"""What another round would give, from the quality of the rounds so far: "is it enough?".

The quality is taken to follow ``a + b * (1 - n**-c) / c`` over the `n` objects annotated, a power
law (Figueroa et al., BMC Med Inform Decis Mak 12:8, 2012), or a logarithm where c is 0. A few
rounds cannot tell c, so that all of `_SHAPES` are held at once, each as likely as it fits
(Bayesian linear regression with a normal-inverse-gamma prior): what the rounds do not say widens
the interval instead of being guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_histo.learning.rounds.promotion import things_of

__all__ = ["FEWEST_ROUNDS", "WORTH_PQ", "Enough", "Forecast", "LearningCurve", "forecast"]

#: Fewer rounds than this have any curve through them.
FEWEST_ROUNDS = 3
#: A gain that is worth a round: trainings that differ in their seed alone lie that far apart.
WORTH_PQ = 0.01
#: Share of the cases in which the next model's quality lies within the interval.
LEVEL = 0.8
_SHAPES = (0.0, 0.25, 0.5, 1.0, 2.0)
#: Scatter of a model's PQ around the curve before anything is known of it, and how many rounds
#: this weighs. Of 15 simulated curves it leaves 24 of 30 later rounds within their intervals.
_SCATTER_PQ, _SCATTER_WEIGHT = 0.015, 4.0
#: The rise over the rounds so far is about this, where nothing is known of it.
_RISE_PQ = 0.1
_Floats = NDArray[np.float64]


class Enough(StrEnum):
    """The answer in short."""

    TOO_EARLY = "too early to say"
    GOES_ON = "another round is worth it"
    OPEN = "another round may help"
    ENOUGH = "another round would hardly help"


@dataclass(frozen=True)
class Forecast:
    """What another round would give; figures are NaN where it is too early to say.

    Attributes
    ----------
    enough : Enough
    n_rounds, n_more : int
        Rounds that it rests on, and objects that another one is taken to add.
    pq, low, high : float
        Of the next round's model, with an interval that holds it in 80 % of the cases.
    gain : float
        From where the curve stands now, which is rarely where the last model stands.
    chance : float
        That the curve rises by `WORTH_PQ` or more.
    measure : str
        What the figures are.
    """

    enough: Enough
    n_rounds: int
    n_more: int
    pq: float = np.nan
    low: float = np.nan
    high: float = np.nan
    gain: float = np.nan
    chance: float = np.nan
    measure: str = "PQ"

    @property
    def sentence(self) -> str:
        """For the user."""
        if self.enough is Enough.TOO_EARLY:
            return (
                f"Is it enough? Too early to say: {FEWEST_ROUNDS} rounds with a figure tell, and "
                f"there {'is' if self.n_rounds == 1 else 'are'} {self.n_rounds or 'none'}."
            )
        start = {
            Enough.ENOUGH: "Probably enough",
            Enough.OPEN: "Another round may help",
            Enough.GOES_ON: "Another round is worth it",
        }[self.enough]
        gain = "no gain" if abs(self.gain) < 0.0005 else f"{self.measure} {self.gain:+.3f}"
        things = things_of(self.measure)
        return (
            f"{start}: with {self.n_more} more {things} {gain} is expected (the next model between "
            f"{self.low:.3f} and {self.high:.3f} in 4 of 5 cases; a gain of {WORTH_PQ:g} or more "
            f"is {self.chance:.0%} likely)."
        )


def forecast(points: Sequence[tuple[float, float]], n_more: int, measure: str = "PQ") -> Forecast:
    """What another round would give.

    Parameters
    ----------
    points : sequence of (n_objects, pq)
        Of each round: all objects that its model has learned from, more than 0, and its quality.
        In any order.
    n_more : int
        Objects that another round adds.
    measure : str
        What the figures are: for the sentence.

    Raises
    ------
    ValueError
        A number of objects is 0 or less, or a quality is no number from 0 to 1.
    """
    if len({n for n, _ in points}) < FEWEST_ROUNDS or n_more < 1:
        return Forecast(Enough.TOO_EARLY, len(points), max(n_more, 0), measure=measure)
    curve = LearningCurve(points)
    now = max(n for n, _ in points)
    after = now + n_more
    low, high = curve.interval([after], LEVEL, next_model=True)[:, 0]
    chance = min(max(curve.chance(now, after, WORTH_PQ), 0.0), 1.0)  # sums end a hair beyond
    enough = Enough.GOES_ON if chance > 0.5 else Enough.OPEN if chance > 0.2 else Enough.ENOUGH
    pq, gain = curve.mean([after])[0], curve.mean([after])[0] - curve.mean([now])[0]
    figures = float(pq), float(low), float(high), float(gain), chance
    return Forecast(enough, len(points), n_more, *figures, measure)


class LearningCurve:
    """Quality over objects annotated, as far as some rounds tell it.

    Parameters
    ----------
    points : sequence of (n_objects, pq)
        Of 2 numbers of objects at least.
    """

    def __init__(self, points: Sequence[tuple[float, float]]) -> None:
        n, pq = np.array(sorted(points), np.float64).reshape(-1, 2).T
        if not (n > 0).all() or not ((pq >= 0) & (pq <= 1)).all():
            raise ValueError(f"{points}: objects must be more than 0, and PQ between 0 and 1.")
        if n[0] == n[-1]:
            raise ValueError(f"{points}: a curve needs rounds with different numbers of objects.")
        self._ends, self._level = (n[0], n[-1]), float(pq.mean())
        self._fits = [_Fit(self._columns(n, c), pq - self._level) for c in _SHAPES]
        evidence = np.array([fit.evidence for fit in self._fits])
        weights = np.exp(evidence - evidence.max())
        self._weights: _Floats = weights / weights.sum()

    def _columns(self, n: ArrayLike, shape: float) -> _Floats:
        """(n, 2): one, and the rise, 0 at the first round and 1 at the last."""

        def rise(n: ArrayLike) -> _Floats:
            # In units of the first round, so that the unit of counting is no matter.
            x = np.asarray(n, np.float64) / self._ends[0]
            return np.asarray(np.log(x) if shape == 0 else (1 - x**-shape) / shape)

        risen = rise(n) / rise(self._ends[1])
        return np.stack([np.ones_like(risen), risen], axis=1)

    def mean(self, n: ArrayLike) -> _Floats:
        """Expected quality at some numbers of objects."""
        parts = [self._columns(n, c) @ f.mean for c, f in zip(_SHAPES, self._fits, strict=True)]
        return np.asarray(self._level + self._weights @ np.array(parts))

    def interval(self, n: ArrayLike, level: float = LEVEL, *, next_model: bool = False) -> _Floats:
        """(2, n) lower and upper bound of the curve, or of a model, which scatters around it."""
        columns = [self._columns(n, c) for c in _SHAPES]
        tails = ((1 - level) / 2, (1 + level) / 2)
        found = [self._quantile(columns, q, next_model=next_model) for q in tails]
        return np.clip(self._level + np.array(found), 0, 1)

    def chance(self, now: float, after: float, gain: float) -> float:
        """How likely the curve rises by `gain` or more on the way."""
        steps = [np.diff(self._columns([now, after], c), axis=0) for c in _SHAPES]
        return float(1 - self._below(np.array([gain]), steps, next_model=False)[0])

    def _quantile(self, columns: list[_Floats], q: float, *, next_model: bool) -> _Floats:
        """By bisection: what a mixture of several t's has no formula for."""
        low, high = np.full(len(columns[0]), -2.0), np.full(len(columns[0]), 2.0)
        for _ in range(40):
            middle = (low + high) / 2
            is_below = self._below(middle, columns, next_model=next_model) < q
            low, high = np.where(is_below, middle, low), np.where(is_below, high, middle)
        return np.asarray((low + high) / 2)

    def _below(self, value: _Floats, columns: list[_Floats], *, next_model: bool) -> _Floats:
        from scipy.special import stdtr

        total = np.zeros(len(value))
        for weight, fit, x in zip(self._weights, self._fits, columns, strict=True):
            width = fit.width(x, next_model=next_model)
            total += weight * stdtr(fit.freedom, (value - x @ fit.mean) / width)
        return total


class _Fit:
    """A line through the rounds, by Bayes' rule.

    The prior: the scatter's square is inverse-gamma, the rise normal around 0, the level unknown.
    """

    def __init__(self, x: _Floats, y: _Floats) -> None:
        from math import lgamma

        prior = np.diag([1e-6, (_SCATTER_PQ / _RISE_PQ) ** 2])
        a, b = _SCATTER_WEIGHT / 2, _SCATTER_WEIGHT * _SCATTER_PQ**2 / 2
        known = x.T @ x + prior
        self.mean: _Floats = np.asarray(np.linalg.solve(known, x.T @ y), np.float64)
        after = a + len(y) / 2
        rest = b + max(float(y @ y - self.mean @ known @ self.mean), 0) / 2
        self.freedom = 2 * after
        self._spread: _Floats = np.asarray(np.linalg.inv(known), np.float64)
        self._variance = rest / after
        self.evidence = -np.linalg.slogdet(known)[1] / 2 - after * np.log(rest) + lgamma(after)

    def width(self, x: _Floats, *, next_model: bool) -> _Floats:
        """Scale of Student's t at each row of `x`."""
        own = np.einsum("ij,jk,ik->i", x, self._spread, x)
        return np.asarray(np.sqrt(self._variance * (own + next_model)))
