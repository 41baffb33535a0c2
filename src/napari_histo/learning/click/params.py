"""The words of training a click model. Light: no network is imported."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CLICK_FAMILY", "ClickTraining"]

#: Of models that answer clicks.
CLICK_FAMILY = "nuclick"


@dataclass(frozen=True)
class ClickTraining:
    """How to train a model that answers gestures.

    Attributes
    ----------
    name : str
        Of the model.
    steps, batch : int
        Steps, and objects a step.
    rate : float or None
        Largest learning rate; 3e-4 by default.
    replay_share : float
        Share of the objects that come from earlier rounds, where there are any.
    distillation : float
        How much the parent's own answers count where nobody labelled anything, and on objects of
        earlier rounds; 0 for labels alone.
    judge_every : int
        Steps between two looks at the regions that judge.
    patience : int
        Looks without a better one after which training ends; 0 for never.
    held_out : float
        Share of the regions that judge where no others are given.
    seed : int
        Of everything random.
    channel : int or None
        For images that are not RGB.
    device : {"auto", "cpu", "cuda", "mps"}
    precision : {"auto", "float32", "bfloat16"}
    """

    name: str = "clicks"
    steps: int = 200
    batch: int = 8
    rate: float | None = None
    replay_share: float = 0.5
    distillation: float = 0.2
    judge_every: int = 25
    patience: int = 4
    held_out: float = 0.2
    seed: int = 0
    channel: int | None = None
    device: str = "auto"
    precision: str = "auto"

    def __post_init__(self) -> None:
        least = {"steps": 1, "batch": 1, "judge_every": 1, "patience": 0}
        low = [f"{k} = {getattr(self, k)}" for k, v in least.items() if getattr(self, k) < v]
        shares = {"replay_share": self.replay_share, "held_out": self.held_out}
        low += [f"{k} = {v}, allowed is 0 to below 1" for k, v in shares.items() if not 0 <= v < 1]
        if self.rate is not None and self.rate <= 0:
            low.append(f"rate = {self.rate}, allowed is above 0")
        if self.distillation < 0:
            low.append(f"distillation = {self.distillation}, allowed is 0 or more")
        if low:
            raise ValueError(f"Training cannot work like this: {'; '.join(low)}.")
