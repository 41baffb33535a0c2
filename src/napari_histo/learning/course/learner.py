"""One step of learning, in as many parts as memory allows."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, Protocol, Self, TypeVar

import torch
from torch import Tensor, nn

from napari_histo.errors import ModelError
from napari_histo.learning.course.state import State, update_ema
from napari_histo.pipeline.proposing import is_out_of_memory

__all__ = ["PartLearner", "as_teacher", "autocast", "average_decay", "descend", "set_rate"]

_MOST_GRADIENT = 5.0
Net = TypeVar("Net", bound=nn.Module)


class _InParts(Protocol):
    def __len__(self) -> int: ...

    def to(self, device: str) -> Self: ...


Batch = TypeVar("Batch", bound=_InParts)


def as_teacher(net: Net, device: str) -> Net:
    """A copy that learns nothing."""
    kept: Any = copy.deepcopy(net).requires_grad_(False).eval()
    taught: Net = kept.to(device, memory_format=torch.channels_last)
    return taught


def autocast(device: str, dtype: torch.dtype) -> torch.autocast:
    """Lower precision, where it is one."""
    low = dtype != torch.float32
    return torch.autocast(device, dtype if low else torch.bfloat16, enabled=low)


def average_decay(steps: int) -> float:
    """Of averaged weights, which reach over a twentieth of all steps."""
    return 1 - 1 / max(5.0, steps / 20)


def set_rate(state: State[Any], rate: float) -> None:
    """Learn at this rate from now on."""
    for group in state.optimiser.param_groups:
        group["lr"] = rate


def descend(
    state: State[Any], loss: float, *, rate: float, decay: float, most_gradient: float
) -> None:
    """Change the weights by the gradients that they have, and their average with them.

    Raises
    ------
    ModelError
        The loss is no number any more.
    """
    if not math.isfinite(loss):
        raise ModelError(
            f"At step {state.step + 1} the loss is {loss}: the network is beyond repair. Train "
            f"anew with a lower rate than {rate:.2g}."
        )
    nn.utils.clip_grad_norm_(state.net.parameters(), most_gradient)
    state.optimiser.step()
    update_ema(state.ema, state.net, state.step + 1, decay)
    state.note(loss)


class PartLearner(ABC, Generic[Net, Batch]):
    """Takes steps; with half as many patches at once where memory runs out.

    Parameters
    ----------
    state : State
    teacher : Module or None
        Whose answers are held on to.
    device, precision : str
        Real ones.
    distillation : float
        How much the teacher's answers count; 0 for not at all.
    steps : int
        Of the whole training.
    tell : callable
        Gets a sentence when memory runs out.
    """

    def __init__(
        self,
        state: State[Net],
        teacher: Net | None,
        *,
        device: str,
        precision: str,
        distillation: float,
        steps: int,
        tell: Callable[[str], None],
    ) -> None:
        self.state, self._device, self._tell = state, device, tell
        self._dtype = getattr(torch, precision)
        self._decay = average_decay(steps)
        self._weight = distillation
        self._teacher: Net | None = None
        if teacher is not None and distillation > 0:
            self._teacher = as_teacher(teacher, device)
        self.at_once = 0

    @abstractmethod
    def _losses(self, batch: Batch) -> Callable[[slice], Tensor]:
        """A part's share of the loss of a whole batch."""

    def learn(self, batch: Batch, rate: float) -> None:
        """One step.

        Raises
        ------
        ModelError
            Memory does not even suffice for one patch, or the loss is no number any more.
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

    def _set_mode(self) -> None:
        self.state.net.train()

    def _step(self, batch: Batch, rate: float) -> None:
        self._set_mode()
        set_rate(self.state, rate)
        self.state.optimiser.zero_grad(set_to_none=True)
        loss_of, loss = self._losses(batch), 0.0
        for start in range(0, len(batch), self.at_once):
            term = loss_of(slice(start, start + self.at_once))
            term.backward()  # type: ignore[no-untyped-call]
            loss += float(term.detach())
        descend(self.state, loss, rate=rate, decay=self._decay, most_gradient=_MOST_GRADIENT)

    def _autocast(self) -> torch.autocast:
        return autocast(self._device, self._dtype)
