"""Which painted regions a model of tissues contradicts most."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import CancelToken, Progress
from napari_histo.core.learning import LabelledRegion
from napari_histo.core.regions import RegionSegmenter
from napari_histo.learning.tissue.evaluation import answers_to, known_to
from napari_histo.learning.training import Example

__all__ = ["AreaSuspect", "rank_areas"]


@dataclass(frozen=True)
class AreaSuspect:
    """A painted region, and how far a model contradicts it.

    Attributes
    ----------
    labels : LabelledRegion
    score : float
        1 - mean Dice coefficient of the classes that were painted, the background among them: 0
        where the answer is the same, 1 where nothing of it is.
    reason : str
        The most frequent contradiction, for people.
    """

    labels: LabelledRegion
    score: float
    reason: str


def rank_areas(
    examples: Sequence[Example], model: RegionSegmenter, cancel: CancelToken | None = None
) -> Generator[Progress, None, list[AreaSuspect]]:
    """Rank painted regions, those that a model contradicts most first.

    A model contradicts what it does not know yet as well as what is wrong; and it may have learned
    the errors of regions that taught it.

    Parameters
    ----------
    examples : sequence of Example
        Those where nothing is painted are left out.
    model : RegionSegmenter
    cancel : CancelToken, optional
        Looked at before each tile.

    Raises
    ------
    ImageError, PixelSizeUnknownError, ModelError, Cancelled
    """
    cancel, found = cancel or CancelToken(), []
    for done, example in enumerate(examples):
        cancel.raise_if_cancelled()
        yield Progress(done, len(examples), "Holding the areas against the model")
        found.append(_suspect(model, example, cancel))
    return sorted((one for one in found if one is not None), key=lambda s: -s.score)


def _suspect(model: RegionSegmenter, example: Example, cancel: CancelToken) -> AreaSuspect | None:
    scheme = known_to(model, example)
    names = ("Background", *scheme.names)
    n = len(names)
    seen = np.zeros((n, n), np.int64)
    for labels, answer in answers_to(model, example, scheme, cancel):
        known = labels > 0
        at = (labels[known].astype(np.int64) - 1) * n + answer[known]
        seen += np.bincount(at, minlength=n * n).reshape(n, n)
    if not seen.any():
        return None
    painted = seen.sum(axis=1)
    dice = 2 * seen.diagonal() / np.maximum(painted + seen.sum(axis=0), 1)
    return AreaSuspect(example.labels, float(1 - dice[painted > 0].mean()), _reason(seen, names))


def _reason(seen: NDArray[np.int64], names: Sequence[str]) -> str:
    wrong = seen - np.diag(seen.diagonal())
    painted, answered = divmod(int(wrong.argmax()), len(names))
    if not wrong.any():
        return "the model agrees"
    share = 100 * wrong.max() / seen.sum()
    what = f"painted {names[painted]}, the model says {names[answered]}"
    return f"{what}: {share:.0f} % of what is painted"
