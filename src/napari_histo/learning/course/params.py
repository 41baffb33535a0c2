"""What every course of training is told. Light: no network is imported."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["CourseParams", "PatchParams"]


@dataclass(frozen=True)
class CourseParams:
    """How to train a model on labelled regions.

    Attributes
    ----------
    name : str
        Of the model.
    steps, batch : int
        Steps, and examples a step.
    rate : float or None
        Largest learning rate; None for what is usual for the model.
    replay_share : float
        Share of the examples that come from earlier rounds, where there are any.
    distillation : float
        How much the parent's own answers count where they are held on to; 0 for labels alone.
    judge_every : int
        Steps between two looks at the regions that judge.
    patience : int
        Looks without a better one after which the second half of a training ends; 0 for never.
    held_out : float
        Share of the regions that judge where no others are given.
    seed : int
        Of everything random.
    channel : int or None
        The channel to look at, for images and models that leave a choice.
    device : {"auto", "cpu", "cuda", "mps"}
    precision : {"auto", "float32", "bfloat16"}
    """

    name: str = "nuclei"
    steps: int = 300
    batch: int = 8
    rate: float | None = None
    replay_share: float = 0.5
    distillation: float = 0.2
    judge_every: int = 50
    patience: int = 6
    held_out: float = 0.2
    seed: int = 0
    channel: int | None = None
    device: str = "auto"
    precision: str = "auto"

    def __post_init__(self) -> None:
        if wrong := list(self._wrong()):
            raise ValueError(f"Training cannot work like this: {'; '.join(wrong)}.")

    def _wrong(self) -> Iterator[str]:
        """What cannot be, with what is allowed."""
        for name, least in {"steps": 1, "batch": 1, "judge_every": 1, "patience": 0}.items():
            if getattr(self, name) < least:
                yield f"{name} = {getattr(self, name)}, allowed is {least} or more"
        for name in ("replay_share", "held_out"):
            if not 0 <= getattr(self, name) < 1:
                yield f"{name} = {getattr(self, name)}, allowed is 0 to below 1"
        if self.rate is not None and self.rate <= 0:
            yield f"rate = {self.rate}, allowed is above 0"
        if self.distillation < 0:
            yield f"distillation = {self.distillation}, allowed is 0 or more"


@dataclass(frozen=True)
class PatchParams(CourseParams):
    """How to train on patches; what is not here, `CourseParams` says.

    Attributes
    ----------
    patch_px : int
        Side of a patch; a multiple of what the network halves down to one cell.
    pixel_um : float
        Pixel size of a new network, µm.
    zoom : float
        Spread of the magnification, log2.
    workers : int
        Threads that prepare patches while the network learns; the result does not depend on it.
    """

    patch_px: int = 128
    pixel_um: float = 0.5
    zoom: float = 0.2
    workers: int = 1

    def _wrong(self) -> Iterator[str]:
        yield from super()._wrong()
        if self.patch_px < 16:
            yield f"patch_px = {self.patch_px}, allowed is 16 or more"
        if self.pixel_um <= 0:
            yield f"pixel_um = {self.pixel_um}, allowed is above 0"
        for name in ("zoom", "workers"):
            if getattr(self, name) < 0:
                yield f"{name} = {getattr(self, name)}, allowed is 0 or more"
