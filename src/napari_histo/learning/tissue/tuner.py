"""A step of a region network that goes on learning: painted labels, and the parent's voice."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from napari_histo.learning.course.learner import PartLearner
from napari_histo.learning.course.state import State
from napari_histo.learning.tissue.patches import UNKNOWN, Batch
from napari_histo.models.region.net import RegionNet

__all__ = ["RegionTuner", "tuning_loss"]


def tuning_loss(
    logits: Tensor,
    labels: Tensor,
    heard: Tensor | None,
    weight: float,
    totals: tuple[int, int] | None = None,
) -> Tensor:
    """Cross-entropy where somebody painted, and to the parent's answer elsewhere.

    Parameters
    ----------
    logits : (b, k, h, w) float32
    labels : (b, h, w) int64
        `UNKNOWN` where nobody painted.
    heard : (b, j, h, w) float32 or None
        The parent's probabilities of the first j classes: of new ones it says nothing.
    weight : float
        Of a pixel elsewhere against a painted one.
    totals : (int, int), optional
        Pixels that are painted and that are not, of the whole batch where this is a part of it.
    """
    known = labels != UNKNOWN
    n_known, n_other = totals or _totals(labels)
    loss = F.cross_entropy(logits, labels, ignore_index=UNKNOWN, reduction="sum")
    loss = loss / max(n_known, 1)
    if heard is None or weight == 0:
        return loss
    old = logits[:, : heard.shape[1]].log_softmax(1)
    apart = -(heard * old).sum(1) * ~known
    return loss + weight * apart.sum() / max(n_other, 1)


def _totals(labels: Tensor) -> tuple[int, int]:
    n_known = int((labels != UNKNOWN).sum())
    return n_known, labels.numel() - n_known


class RegionTuner(PartLearner[RegionNet, Batch]):
    """Takes steps.

    Parameters
    ----------
    state, device, distillation, steps, tell
        See `PartLearner`; the teacher is the network as it begins.
    n_old : int
        Classes that the parent knows, the background among them.
    """

    def __init__(
        self,
        state: State[RegionNet],
        n_old: int,
        *,
        device: str,
        distillation: float,
        steps: int,
        tell: Callable[[str], None],
    ) -> None:
        super().__init__(
            state,
            state.net,
            device=device,
            precision="float32",
            distillation=distillation,
            steps=steps,
            tell=tell,
        )
        self._n_old = n_old

    def _losses(self, batch: Batch) -> Callable[[slice], Tensor]:
        totals = _totals(batch.labels)
        return lambda part: self._loss(batch.images[part], batch.labels[part], totals)

    def _loss(self, images: Tensor, labels: Tensor, totals: tuple[int, int]) -> Tensor:
        heard = None
        if self._teacher is not None:
            with torch.no_grad():
                heard = self._teacher(images)[:, : self._n_old].softmax(1)
        return tuning_loss(self.state.net(images), labels, heard, self._weight, totals)
