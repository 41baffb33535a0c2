"""Which regions are likely labelled wrongly: nuclei missed, merged, or drawn beside themselves.

After ReCoV (arXiv 2306.13990): in cross-validation repeated with other folds, regions with wrong
labels are those that models of the other regions keep failing on. A network a fold would take
days; here the last layer alone is fitted anew, by ridge regression from what the network's heads
see. The sums that a fit needs add up over regions, so that a fold costs one small system of
equations, and hundreds of repetitions seconds.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import CancelToken, Progress
from napari_histo.core.learning import LabelledRegion
from napari_histo.core.segmenters import Describer
from napari_histo.errors import LearningError
from napari_histo.learning.course.evaluation import evaluate_model
from napari_histo.learning.course.sheets import Sheet, Sheets, Slides
from napari_histo.learning.training import Example
from napari_histo.models.stardist.targets import star_targets

__all__ = ["Suspect", "rank_labels"]

_RAYS = 8
_AROUND_PX = 32
_FEWEST = 6
#: So many regions of an image say as much of what is usual there as all others do.
_FEW = 3
_REASONS = (
    "objects may be missing, or too many",
    "outlines do not fit what they surround",
    "the model finds other objects",
)


@dataclass(frozen=True)
class Suspect:
    """A region whose labels may be wrong.

    Attributes
    ----------
    labels : LabelledRegion
    score : float
        How badly labels fit what other regions teach, in quartile ranges above the median: mean
        of the next three.
    presence, shape, difference : float
        The same of where objects are, of how far they reach, and of the model's own answer.
    disagreement : float
        1 - aggregated Jaccard index of the model's own answer; NaN where nobody asked.
    reason : str
        For people.
    """

    labels: LabelledRegion
    score: float
    presence: float
    shape: float
    difference: float
    disagreement: float
    reason: str


@dataclass(frozen=True, eq=False)
class _Sums:
    """What ridge regression needs of some cells: they add up."""

    xx: NDArray[np.float64]
    xy: NDArray[np.float64]
    yy: NDArray[np.float64]

    @classmethod
    def of(cls, x: NDArray[np.floating], y: NDArray[np.floating], w: NDArray[np.floating]) -> _Sums:
        weighted = x * w[:, None]
        return cls(weighted.T @ x, weighted.T @ y, (w[:, None] * y**2).sum(axis=0))


def rank_labels(
    examples: Sequence[Example],
    model: Describer,
    *,
    repeats: int = 50,
    folds: int = 5,
    seed: int = 0,
    with_model: bool = True,
    cancel: CancelToken | None = None,
) -> Generator[Progress, None, list[Suspect]]:
    """Rank labelled regions, the most suspicious first.

    Parameters
    ----------
    examples : sequence of Example
        Six or more.
    model : Describer
        Of this task; it may have learned from the very labels in question.
    repeats, folds : int
        Of the cross-validation.
    seed : int
        Of the folds.
    with_model : bool
        True to hold the labels against the model's own answer too.
    cancel : CancelToken, optional
        Looked at before each region.

    Raises
    ------
    LearningError
        There are too few regions.
    """
    if len(examples) < max(_FEWEST, folds):
        raise LearningError(
            f"{len(examples)} labelled regions are too few to say which do not fit the others; "
            f"annotate {max(_FEWEST, folds)} or more."
        )
    cancel, slides = cancel or CancelToken(), Slides(model)
    presence, shape, found = [], [], []
    for done, example in enumerate(examples):
        cancel.raise_if_cancelled()
        yield Progress(done, len(examples), "Looking at the labels")
        sums = [_of_sheet(model, sheet) for sheet in _sheets(example, slides)]
        presence.append(_total([one for one, _ in sums]))
        shape.append(_total([other for _, other in sums]))
        if with_model:
            found += [1 - s.agreement.aji for s in evaluate_model(model, [example])]
    yield Progress(len(examples), len(examples), "Comparing the regions with each other")
    rng = np.random.default_rng(seed)
    parts = [_misfit(sums, repeats, folds, rng) for sums in (presence, shape)]
    return _ranked(examples, parts, found or [np.nan] * len(examples))


def _sheets(example: Example, slides: Slides) -> Sequence[Sheet]:
    sheets = Sheets([example], slides, _AROUND_PX)
    return [sheets[i] for i in range(len(sheets))]


def _of_sheet(model: Describer, sheet: Sheet) -> tuple[_Sums, _Sums]:
    """Sums of where objects are, over known cells, and of their rays, over cells in objects."""
    image = sheet.slide.normalizer.apply(sheet.pixels)
    x = model.describe(image[None])[0]
    gy, gx = (round(a / b) for a, b in zip(image.shape[:2], x.shape[:2], strict=True))
    prob, dist = star_targets(sheet.labels, _RAYS, (gy, gx))
    known = sheet.known[::gy, ::gx]
    whole = known & ~np.isin(sheet.labels, sheet.cut)[::gy, ::gx]
    ones = np.ones((*x.shape[:2], 1), np.float32)
    x = np.concatenate([x, ones], axis=-1).astype(np.float64)
    there = np.stack([prob, prob > 0], axis=-1)
    return (
        _Sums.of(x[known], there[known], np.ones(int(known.sum()))),
        _Sums.of(x[whole], np.moveaxis(dist, 0, -1)[whole], prob[whole]),
    )


def _total(sums: Sequence[_Sums]) -> _Sums:
    names = ("xx", "xy", "yy")
    return _Sums(*(np.sum([getattr(s, name) for s in sums], axis=0) for name in names))


def _misfit(
    sums: Sequence[_Sums], repeats: int, folds: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """What labels of each region and fits of others do not share, 0 for nothing, 1 for all.

    Squared residuals are held against the squares of labels and fit together, as Dice's coefficient
    has it. Held against the number of pixels, a region with few labels would look well although
    they are few because nuclei were missed.
    """
    whole, missed = _total(sums), np.zeros(len(sums))
    ridge = 1e-3 * np.trace(whole.xx) / len(whole.xx) * np.eye(len(whole.xx))
    for _ in range(repeats):
        for fold in np.array_split(rng.permutation(len(sums)), folds):
            out = _total([sums[i] for i in fold])
            weights = np.linalg.solve(whole.xx - out.xx + ridge, whole.xy - out.xy)
            for i in fold:
                own = sums[i]
                fitted = np.einsum("dk,de,ek->k", weights, own.xx, weights)
                both = own.yy + fitted
                residual = both - 2 * (weights * own.xy).sum(0)
                missed[i] += (residual / np.maximum(both, 1e-9)).mean()
    return missed / repeats


def _ranked(
    examples: Sequence[Example], parts: Sequence[NDArray[np.float64]], found: Sequence[float]
) -> list[Suspect]:
    disagreement = np.array(found, float)
    known = np.nan_to_num(disagreement, nan=_middle(disagreement))
    images = [example.labels.image for example in examples]
    columns = np.stack([_standing(part, images) for part in (*parts, known)])
    suspects = [
        Suspect(
            labels=example.labels,
            score=float(column.mean()),
            presence=float(column[0]),
            shape=float(column[1]),
            difference=float(column[2]),
            disagreement=float(own),
            reason=_REASONS[int(np.argmax(column))],
        )
        for example, column, own in zip(examples, columns.T, disagreement, strict=True)
    ]
    return sorted(suspects, key=lambda s: -s.score)


def _standing(values: NDArray[np.float64], images: Sequence[str]) -> NDArray[np.float64]:
    """How far each value lies above the middle, in quartile ranges.

    Images differ in stain and difficulty, so a value is first held against the median of its image;
    where an image has few regions, against that of all as well.
    """
    middle, relative = _middle(values), np.empty(len(values))
    names = np.array(images)
    for name in np.unique(names):
        own = names == name
        trust = own.sum() / (own.sum() + _FEW)
        usual = trust * np.median(values[own]) + (1 - trust) * middle
        relative[own] = values[own] / max(usual, 1e-12)
    low, mid, high = np.percentile(relative, (25, 50, 75))
    return np.asarray((relative - mid) / max(high - low, 1e-12))


def _middle(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else 1.0
