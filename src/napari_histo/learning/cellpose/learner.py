"""One step of learning flows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from napari_histo.learning.cellpose.targets import Batch, Totals, distillation, loss_terms
from napari_histo.learning.course.learner import PartLearner

__all__ = ["CellposeLearner"]

Net = TypeVar("Net", bound=nn.Module)


class CellposeLearner(PartLearner[Net, Batch], Generic[Net]):
    """Takes steps; the teacher is heard on replayed patches."""

    def _losses(self, batch: Batch) -> Callable[[slice], Tensor]:
        totals = Totals.of(batch)
        n_replayed = int(batch.replayed.sum())
        return lambda part: self._loss(batch.part(part), totals, n_replayed)

    def _loss(self, batch: Batch, totals: Totals, n_replayed: int) -> Tensor:
        with self._autocast():
            maps = self.state.net(batch.image)[0]
        loss = torch.stack(list(loss_terms(maps, batch, totals).values())).sum()
        some = batch.replayed
        if self._teacher is None or not bool(some.any()):
            return loss
        with torch.no_grad(), self._autocast():
            told = self._teacher(batch.image[some])[0]
        return loss + self._weight * distillation(maps[some], told).sum() / n_replayed
