"""What a training carries from step to step, and keeps on the disk to go on with."""

from __future__ import annotations

import copy
import math
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from napari_histo.errors import ModelError
from napari_histo.learning.training import CurvePoint
from napari_histo.store import atomic_path

__all__ = ["State", "learning_rate", "update_ema"]

Weights = dict[str, Tensor]
Net = TypeVar("Net", bound=nn.Module)


@dataclass
class State(Generic[Net]):
    """A network on its way.

    Attributes
    ----------
    net, ema : Module
        What learns, and the moving average of its weights, which is what becomes of it.
    optimiser
    step : int
        Steps done.
    loss : float
        Mean of late; NaN before the first step.
    losses : list of float
        Since the last point of the curve.
    seconds : float
        Spent on training, over all calls.
    curve : list of CurvePoint
    best : dict of tensors
        Weights of the best point; empty until there is one.
    best_step : int
    best_pq : float
    """

    net: Net
    ema: Net
    optimiser: torch.optim.Optimizer
    step: int = 0
    loss: float = math.nan
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0
    curve: list[CurvePoint] = field(default_factory=list)
    best: Weights = field(default_factory=dict)
    best_step: int = 0
    best_pq: float = -1.0

    @classmethod
    def new(cls, net: Net, device: str, weight_decay: float) -> State[Net]:
        """Before the first step."""
        net = copy.deepcopy(net).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        ema = copy.deepcopy(net).requires_grad_(False).eval()
        optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=weight_decay)
        return cls(net, ema, optimiser)

    def note(self, loss: float) -> None:
        """A step was done with this loss."""
        self.step += 1
        self.losses.append(loss)
        self.loss = loss if math.isnan(self.loss) else 0.9 * self.loss + 0.1 * loss

    def save(self, path: Path) -> None:
        """Whole or not at all."""
        parts: dict[str, Any] = {"net": self.net, "ema": self.ema, "optimiser": self.optimiser}
        plain = {k: getattr(self, k) for k in _PLAIN} | {"best": self.best}
        curve = [astuple(point) for point in self.curve]
        with atomic_path(path) as work:
            torch.save(
                {k: v.state_dict() for k, v in parts.items()} | plain | {"curve": curve}, work
            )

    def load(self, path: Path) -> None:
        """Go on from there; nothing where there is no such file."""
        if not path.is_file():
            return
        try:
            kept = torch.load(path, map_location="cpu", weights_only=True)
            for name in ("net", "ema", "optimiser"):
                getattr(self, name).load_state_dict(kept[name])
            for name in (*_PLAIN, "best"):
                setattr(self, name, kept[name])
            self.curve = [CurvePoint(*point) for point in kept["curve"]]
        except Exception as error:  # torch raises what pickle, zip files and the disk do
            raise ModelError(
                f"{path} is damaged ({type(error).__name__}: {error}). Train anew, without going "
                "on from it."
            ) from error


_PLAIN = ("step", "loss", "losses", "seconds", "best_step", "best_pq")


@torch.no_grad()
def update_ema(ema: nn.Module, net: nn.Module, step: int, decay: float = 0.999) -> None:
    """Move averaged weights towards a network's; faster in the first steps."""
    decay = min(decay, (1 + step) / (10 + step))
    for kept, new in zip(ema.state_dict().values(), net.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(new, 1 - decay)
        else:
            kept.copy_(new)


def learning_rate(peak: float, done: float, warm: float = 0.08) -> float:
    """Warm up, then fall by cosine to a hundredth; `done` is the share of all steps."""
    if done < warm:
        return peak * max(done / warm, 0.04)
    return peak * (0.01 + 0.495 * (1 + math.cos(math.pi * (done - warm) / (1 - warm))))
