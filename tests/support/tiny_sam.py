"""Cellpose-SAM in small: the package's own class on a transformer of two layers, taught spots."""

from __future__ import annotations

import numpy as np
import torch

from support.cellpose_nets import SpotNet
from support.cellpose_package import cellpose_module

_PATCH, _SIDE = 8, 256


def shrink(monkeypatch):
    """Make the package build small transformers where it would build SAM's large one."""
    vit = cellpose_module("vit")
    from segment_anything.build_sam import _build_sam

    def small(checkpoint=None):
        return _build_sam(
            encoder_embed_dim=96,
            encoder_depth=2,
            encoder_num_heads=2,
            encoder_global_attn_indexes=[1],
            checkpoint=checkpoint,
        )

    monkeypatch.setitem(vit.sam_model_registry, "vit_l", small)
    return vit


def taught_weights(vit, seeds=range(6)):
    """Weights by name: random, but for the readout, which is fitted to what `SpotNet` says.

    Of a window for each seed, with 1, 2 or 3 channels in turn.
    """
    torch.manual_seed(0)
    net = vit.CPSAM(dtype=torch.float32).eval()
    with torch.inference_mode():
        windows = torch.from_numpy(np.stack([_window(seed) for seed in seeds]))
        wanted = SpotNet()(windows)[0]
        blocks = wanted.unfold(2, _PATCH, _PATCH).unfold(3, _PATCH, _PATCH)
        blocks = blocks.permute(0, 2, 3, 1, 4, 5).reshape(-1, 3 * _PATCH**2)
        features = _features(net, windows)
        ones = torch.ones(len(features), 1)
        fit = torch.linalg.lstsq(torch.cat([features, ones], 1), blocks).solution
    weights = net.state_dict()
    weights["out.weight"] = fit[:-1].T[:, :, None, None].contiguous()
    weights["out.bias"] = fit[-1].contiguous()
    return weights


def _features(net, windows):
    """What the readout sees of each patch."""
    seen = []
    net.out.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    net(windows)
    return seen[0].permute(0, 2, 3, 1).reshape(-1, seen[0].shape[1])


def picture(height, width, channels=3, seed=3):
    """8-bit, with soft spots on a little noise."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    spots = np.zeros((height, width))
    for x, y in rng.uniform(0, (width, height), (height * width // 1200, 2)):
        spots = np.maximum(spots, np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 80))
    noise = rng.integers(0, 4, (height, width, channels))
    return (spots[..., None] * (220, 190, 160)[:channels] + noise).astype(np.uint8)


def _window(seed):
    """A picture as the network sees it, (3, 256, 256)."""
    pixels = picture(_SIDE, _SIDE, seed=100 + seed)
    low, high = np.percentile(pixels, (1, 99), axis=(0, 1))
    window = ((pixels - low) / (high - low)).astype(np.float32).transpose(2, 0, 1)
    window[1 + seed % 3 :] = 0  # pictures of fewer channels
    return window
