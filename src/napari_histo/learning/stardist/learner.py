"""One step of learning to find star-convex objects, in as many parts as memory allows."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from napari_histo.learning.course.learner import PartLearner
from napari_histo.learning.course.state import State
from napari_histo.learning.stardist.norms import freeze_norms
from napari_histo.learning.stardist.targets import (
    LOSS_WEIGHTS,
    Batch,
    Totals,
    distillation,
    loss_terms,
)
from napari_histo.models.stardist.net import StarDistNet

__all__ = ["Learner"]


class Learner(PartLearner[StarDistNet, Batch]):
    """Takes steps.

    Parameters
    ----------
    state, teacher, device, precision, distillation, steps, tell
        See `PartLearner`.
    distil_unlabelled : bool
        True to hear the teacher on unlabelled pixels of new regions too.
    frozen : bool
        True where batch normalisation keeps the statistics that it has.
    """

    def __init__(
        self,
        state: State[StarDistNet],
        teacher: StarDistNet | None,
        *,
        device: str,
        precision: str,
        distillation: float,
        distil_unlabelled: bool,
        frozen: bool,
        steps: int,
        tell: Callable[[str], None],
    ) -> None:
        super().__init__(
            state,
            teacher,
            device=device,
            precision=precision,
            distillation=distillation,
            steps=steps,
            tell=tell,
        )
        self._everywhere, self._frozen = distil_unlabelled, frozen

    def _set_mode(self) -> None:
        self.state.net.train()
        if self._frozen:
            freeze_norms(self.state.net)

    def _losses(self, batch: Batch) -> Callable[[slice], Tensor]:
        totals, heard = Totals.of(batch), self._heard(batch)
        return lambda part: self._loss(batch.part(part), totals, heard, part)

    def _heard(self, batch: Batch) -> Tensor | None:
        """Pixels on which the teacher is heard; None for nowhere."""
        if self._teacher is None:
            return None
        where = batch.replayed[:, None, None, None].expand_as(batch.known).float()
        if self._everywhere:
            where = torch.maximum(where, 1 - batch.known)
        return where if bool(where.any()) else None

    def _loss(self, batch: Batch, totals: Totals, heard: Tensor | None, part: slice) -> Tensor:
        with self._autocast():
            outputs = self.state.net(batch.image)
        terms = loss_terms(outputs, batch, totals)
        loss = torch.stack([LOSS_WEIGHTS[k] * v for k, v in terms.items()]).sum()
        if self._teacher is None or heard is None:
            return loss
        some = heard[part].flatten(1).any(1)
        if not bool(some.any()):
            return loss
        with torch.no_grad(), self._autocast():
            teacher = self._teacher(batch.image[some])
        prob, dist, classes = outputs
        chosen = prob[some], dist[some], None if classes is None else classes[some]
        far, _ = distillation(chosen, teacher, heard[part][some])
        return loss + self._weight * far / heard.sum()
