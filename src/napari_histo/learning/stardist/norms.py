"""Batch normalisation, and the first guess of a new StarDist network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from napari_histo.learning.stardist.targets import Batch
from napari_histo.models.stardist.net import StarDistNet

__all__ = ["freeze_norms", "renew_batch_statistics", "set_norm_momentum", "set_priors"]


@torch.no_grad()
def renew_batch_statistics(
    net: nn.Module, images: Iterable[Tensor], dtype: torch.dtype = torch.bfloat16
) -> None:
    """Running means and variances as the plain average over batches of images.

    Averaged weights need statistics of their own (Izmailov et al., UAI 2018).
    """
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    if not norms:
        return
    usual = norms[0].momentum
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    device = next(net.parameters()).device
    net.train()
    for image in images:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            net(image.to(device))
    for norm in norms:
        norm.momentum = usual
    net.eval()


def freeze_norms(net: nn.Module) -> None:
    """Let batch normalisation use the statistics that it has."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


@torch.no_grad()
def set_priors(net: StarDistNet, batches: Sequence[Batch]) -> None:
    """Let a new network guess at first what objects are like on average.

    From nothing it would spend a tenth of a short training on finding out how large they are.
    """
    known = torch.cat([b.known.flatten() for b in batches])
    prob = torch.cat([b.prob.flatten() for b in batches])
    share = float((prob * known).sum() / known.sum().clamp(min=1))
    heads: dict[str, Any] = {name: net.layers[name] for name in ("prob", "dist")}
    heads["prob"].bias.fill_(math.log(max(share, 0.01) / (1 - min(share, 0.99))))
    weight = torch.cat([b.weight.flatten() for b in batches])
    far = torch.cat([b.dist.mean(1).flatten() for b in batches])
    if bool(weight.any()):
        heads["dist"].bias.fill_(float((weight * far).sum() / weight.sum()))


def set_norm_momentum(net: nn.Module, momentum: float) -> None:
    """How fast batch normalisation forgets, in torch's sense."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = momentum
