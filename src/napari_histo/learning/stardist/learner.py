"""One step of learning, in as many parts as memory allows."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from napari_histo.errors import ModelError
from napari_histo.learning.course.state import State, update_ema
from napari_histo.learning.stardist.norms import freeze_norms
from napari_histo.learning.stardist.targets import (
    LOSS_WEIGHTS,
    Batch,
    Totals,
    distillation,
    loss_terms,
)
from napari_histo.models._stardist_net import StarDistNet
from napari_histo.pipeline.proposing import is_out_of_memory

__all__ = ["Learner"]

_MOST_GRADIENT = 5.0


class Learner:
    """Takes steps.

    Parameters
    ----------
    state : State
    teacher : StarDistNet or None
        Whose answers are held on to.
    device, precision : str
        Real ones.
    distillation : float
        Weight of the teacher's answers.
    distil_unlabelled : bool
        True to hear the teacher on unlabelled pixels of new regions too.
    frozen : bool
        True where batch normalisation keeps the statistics that it has.
    steps : int
        Of the whole training; the average of the weights reaches over a twentieth of them.
    tell : callable
        Gets a sentence when memory runs out.
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
        self.state, self._device, self._frozen, self._tell = state, device, frozen, tell
        self._dtype = getattr(torch, precision)
        self._weight, self._everywhere = distillation, distil_unlabelled
        self._decay = 1 - 1 / max(5.0, steps / 20)
        self._teacher = None
        if teacher is not None and distillation > 0:
            kept = copy.deepcopy(teacher).requires_grad_(False).eval()
            self._teacher = kept.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.at_once = 0

    def learn(self, batch: Batch, rate: float) -> None:
        """One step; with half as many patches at once where memory runs out.

        Raises
        ------
        ModelError
            Memory does not even suffice for one patch.
        """
        while True:
            self.at_once = min(self.at_once or len(batch), len(batch))
            try:
                return self._step(batch.to(self._device), rate)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                if self.at_once == 1:
                    raise ModelError(
                        "Memory ran out even for one patch. Close other programs, or take smaller "
                        "patches."
                    ) from error
            self.state.optimiser.zero_grad(set_to_none=True)
            if self._device == "cuda":
                torch.cuda.empty_cache()
            self.at_once //= 2
            self._tell(f"Memory ran out: going on with {self.at_once} patch(es) at once.")

    def _step(self, batch: Batch, rate: float) -> None:
        state = self.state
        state.net.train()
        if self._frozen:
            freeze_norms(state.net)
        for group in state.optimiser.param_groups:
            group["lr"] = rate
        state.optimiser.zero_grad(set_to_none=True)
        totals, heard = Totals.of(batch), self._heard(batch)
        loss = 0.0
        for start in range(0, len(batch), self.at_once):
            part = slice(start, start + self.at_once)
            term = self._loss(batch.part(part.start, part.stop), totals, heard, part)
            term.backward()  # type: ignore[no-untyped-call]
            loss += float(term.detach())
        if not math.isfinite(loss):
            raise ModelError(
                f"At step {state.step + 1} the loss is {loss}: the network is beyond repair. Train "
                f"anew with a lower rate than {rate:.2g}."
            )
        nn.utils.clip_grad_norm_(state.net.parameters(), _MOST_GRADIENT)
        state.optimiser.step()
        update_ema(state.ema, state.net, state.step + 1, self._decay)
        state.note(loss)

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

    def _autocast(self) -> torch.autocast:
        low = self._dtype != torch.float32
        return torch.autocast(self._device, self._dtype if low else torch.bfloat16, enabled=low)
