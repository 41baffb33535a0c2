"""What a training will take, before it begins."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from torch import Tensor, nn

from napari_histo.core import CancelToken
from napari_histo.learning.course.sheets import nuclei_of
from napari_histo.learning.stardist.run import Run
from napari_histo.learning.training import Examples, Preflight, StarDistTraining
from napari_histo.models.stardist.net import StarDistConfig, StarDistNet

__all__ = ["preflight"]

_TIMED_STEPS = 3
#: Choosing thresholds tries about as many as so many looks.
_LOOKS_AT_THE_END = 4
#: Weights, their gradients, two moments, the average and the best, float32 each.
_BYTES_A_WEIGHT = 6 * 4
#: What is kept for learning beside the layers' own answers: activations, halves of the U-Net.
_KEPT = 1.7


def preflight(
    parent: Path | str | StarDistConfig,
    regions: Examples,
    replay: Examples = (),
    params: StarDistTraining | None = None,
    cancel: CancelToken | None = None,
    *,
    validation: Examples = (),
) -> Preflight:
    """Time and memory of a training, from a few steps that are thrown away.

    Takes seconds; call it in any thread but the window's. The words are those of `train_stardist`.

    Raises
    ------
    ObjectsFileError, ImageError, PixelSizeUnknownError, ModelError, Cancelled
    """
    params, cancel = params or StarDistTraining(), cancel or CancelToken()
    run = Run.of(parent, regions, replay, validation, params)
    with run.batches.ahead(0, params.workers) as batches:
        run.learner.learn(next(batches), 1e-6)  # the first step is slow: memory, threads
        began = time.monotonic()
        for _ in range(_TIMED_STEPS):
            cancel.raise_if_cancelled()
            run.learner.learn(next(batches), 1e-6)
        a_step = (time.monotonic() - began) / _TIMED_STEPS
    looks = params.steps // params.judge_every + _LOOKS_AT_THE_END
    return Preflight(
        params.steps * a_step + looks * _look_seconds(run, cancel),
        _memory(run.start.net, params, run.precision) + run.batches.nbytes,
        run.device,
        len(run.teach),
        sum(len(nuclei_of(e.labels.objects)) for e in run.teach),
    )


def _look_seconds(run: Run, cancel: CancelToken) -> float:
    for _ in run.read_judges(cancel):
        pass
    began = time.monotonic()
    if run.exams:
        run.glance()
    return time.monotonic() - began


def _memory(net: StarDistNet, params: StarDistTraining, precision: str) -> int:
    """Bytes of weights, and of what a step keeps of each layer."""
    weights = sum(p.numel() for p in net.parameters())
    sizes: list[int] = []

    def note(_: nn.Module, __: tuple[Tensor, ...], out: Tensor) -> None:
        sizes.append(out.numel())

    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    hooks = [m.register_forward_hook(note) for m in layers]
    with torch.no_grad():
        net(torch.zeros(1, net.config.n_channel_in, params.patch_px, params.patch_px))
    for hook in hooks:
        hook.remove()
    bytes_each = 2 if precision == "bfloat16" else 4
    return int(weights * _BYTES_A_WEIGHT + params.batch * sum(sizes) * bytes_each * _KEPT)
