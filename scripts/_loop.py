"""What every training run shares: schedule, checkpoints and the log."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import nn

Net = TypeVar("Net", bound=nn.Module)


@dataclass
class Schedule:
    """Warm up, hold, and decay by cosine; ``minutes`` is time spent on training alone."""

    minutes: float
    peak: float = 2e-3
    warm: float = 0.02
    hold: float = 0.55

    def rate(self, spent_minutes: float) -> float:
        done = min(spent_minutes / self.minutes, 1.0)
        if done < self.warm:
            return self.peak * max(done / self.warm, 0.02)
        if done < self.hold:
            return self.peak
        return self.peak * (
            0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (done - self.hold) / (1 - self.hold)))
        )


@dataclass
class State(Generic[Net]):
    """All that a run needs to go on."""

    net: Net
    ema: Net
    optimiser: torch.optim.Optimizer
    step: int = 0
    spent_s: float = 0.0
    best: float = -1.0

    def save(self, path: Path) -> None:
        """Write aside, then rename: a kill leaves the old file or the new one."""
        parts = {"net": self.net, "ema": self.ema, "optimiser": self.optimiser}
        plain = {"step": self.step, "spent_s": self.spent_s, "best": self.best}
        aside = path.with_suffix(".tmp")
        torch.save(plain | {k: v.state_dict() for k, v in parts.items()}, aside)
        aside.replace(path)

    def load(self, path: Path) -> None:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        for name in ("net", "ema", "optimiser"):
            getattr(self, name).load_state_dict(saved[name])
        self.step, self.spent_s, self.best = saved["step"], saved["spent_s"], saved["best"]


def log(path: Path, record: dict[str, Any]) -> None:
    with path.open("a") as f:
        f.write(json.dumps(record) + "\n")
    print(json.dumps(record), flush=True)
