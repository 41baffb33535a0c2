"""How much memory it takes to learn."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["step_bytes"]

#: Weights, their gradients, two moments, the average and the best, float32 each.
_BYTES_A_WEIGHT = 6 * 4
#: What is kept for learning beside the layers' own answers: activations, halves of a U-Net.
_KEPT = 1.7


@torch.no_grad()
def step_bytes(net: nn.Module, example: Tensor, batch: int, precision: str) -> int:
    """Memory of a network's weights, and of what a step keeps of each layer.

    Parameters
    ----------
    net : Module
    example : (1, ...) float32
        What it is shown, on the network's device.
    batch : int
        How many at once.
    precision : {"float32", "bfloat16"}
    """
    sizes: list[int] = []
    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    hooks = [m.register_forward_hook(lambda _, __, out: sizes.append(out.numel())) for m in layers]
    net(example)
    for hook in hooks:
        hook.remove()
    weights = sum(p.numel() for p in net.parameters())
    bytes_each = 2 if precision == "bfloat16" else 4
    return int(weights * _BYTES_A_WEIGHT + batch * sum(sizes) * bytes_each * _KEPT)
