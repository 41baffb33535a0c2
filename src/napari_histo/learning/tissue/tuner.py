"""A step of a region network that goes on learning: painted labels, and the parent's voice."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from napari_histo.learning.course.learner import (
    as_teacher,
    average_decay,
    descend,
    set_rate,
)
from napari_histo.learning.course.state import State
from napari_histo.learning.tissue.patches import UNKNOWN, Batch
from napari_histo.models.region.net import RegionNet

__all__ = ["RegionTuner", "tuning_loss"]

_MOST_GRADIENT = 5.0


def tuning_loss(logits: Tensor, labels: Tensor, heard: Tensor | None, weight: float) -> Tensor:
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
    """
    known = labels != UNKNOWN
    loss = F.cross_entropy(logits, labels, ignore_index=UNKNOWN, reduction="sum")
    loss = loss / known.sum().clamp(min=1)
    if heard is None or weight == 0:
        return loss
    old = logits[:, : heard.shape[1]].log_softmax(1)
    apart = -(heard * old).sum(1) * ~known
    return loss + weight * apart.sum() / (~known).sum().clamp(min=1)


class RegionTuner:
    """Takes steps.

    Parameters
    ----------
    state : State
    n_old : int
        Classes that the parent knows, the background among them.
    device : str
    distillation : float
        How much the parent's answers count; 0 for not at all.
    steps : int
        Of the whole training.
    """

    def __init__(
        self,
        state: State[RegionNet],
        n_old: int,
        *,
        device: str,
        distillation: float,
        steps: int,
    ) -> None:
        self._state, self._n_old, self._device = state, n_old, device
        self._weight, self._decay = distillation, average_decay(steps)
        self._teacher = as_teacher(state.net, device) if distillation > 0 else None

    def learn(self, batch: Batch, rate: float) -> None:
        """One step."""
        state = self._state
        state.net.train()
        set_rate(state, rate)
        images = batch.images.to(self._device, memory_format=torch.channels_last)
        heard = None
        if self._teacher is not None:
            with torch.no_grad():
                heard = self._teacher(images)[:, : self._n_old].softmax(1)
        labels = batch.labels.to(self._device)
        loss = tuning_loss(state.net(images), labels, heard, self._weight)
        state.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        descend(
            state, float(loss.detach()), rate=rate, decay=self._decay, most_gradient=_MOST_GRADIENT
        )
