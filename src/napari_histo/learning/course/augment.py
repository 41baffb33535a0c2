"""What scanners, stains and microscopes do to an image, at random.

Each step maps ``(c, n)`` or ``(c, h, w)`` float32 in 0..1. Those of colour work pixel by pixel, so
that the same draw can be applied to a patch and to the pixels of its whole image, whose percentiles
normalise both: training then sees what prediction does.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from napari_histo.ops.stain import OD_FROM_HED

__all__ = [
    "Step",
    "fluo_colour",
    "fluo_texture",
    "he_colour",
    "he_texture",
    "jitter_range",
    "stain_shift",
]

Step = Callable[[Tensor], Tensor]

_HED = OD_FROM_HED / np.linalg.norm(OD_FROM_HED, axis=1, keepdims=True)


def he_colour(rng: np.random.Generator) -> Step:
    """Stain amounts, stain vectors, brightness, contrast, gamma; now and then no colour at all."""
    other = _HED + rng.normal(0, 0.05, (3, 3)) * (rng.random() < 0.6)
    amount = np.exp(rng.normal(0, 0.25, 3)) if rng.random() < 0.8 else np.ones(3)
    matrix = np.linalg.inv(_HED) @ np.diag(amount) @ np.clip(other, 0, None)
    mix = torch.from_numpy(matrix.T.astype(np.float32))
    base = torch.from_numpy(rng.normal(0, 0.015, (3, 1)).astype(np.float32))
    gain = torch.from_numpy(rng.normal(1, 0.04, (3, 1)).astype(np.float32)) * rng.uniform(0.85, 1.1)
    gamma = float(np.exp(rng.normal(0, 0.15)))
    turn = _hue_turn(rng.normal(0, 0.12)) if rng.random() < 0.4 else None
    grey = rng.random() < 0.05

    def apply(x: Tensor) -> Tensor:
        shape = x.shape
        density = -torch.log(x.reshape(3, -1).clamp(1 / 255, 1))
        x = torch.exp(-(mix @ density + base)).clamp(0, 1)
        if turn is not None:
            x = turn @ x
        x = (x * gain).clamp(0, 1) ** gamma
        x = x.mean(0, keepdim=True).expand(3, -1) if grey else x
        return x.reshape(shape)

    return apply


def stain_shift(haematoxylin: float, eosin: float, hue: float = 0.0) -> Step:
    """A fixed change of stain amounts, and of hue (radians), to measure robustness with."""
    matrix = np.linalg.inv(_HED) @ np.diag([haematoxylin, eosin, 1.0]) @ _HED
    mix, turn = torch.from_numpy(matrix.T.astype(np.float32)), _hue_turn(hue)

    def apply(x: Tensor) -> Tensor:
        density = -torch.log(x.reshape(3, -1).clamp(1 / 255, 1))
        return (turn @ torch.exp(-(mix @ density))).clamp(0, 1).reshape(x.shape)

    return apply


def _hue_turn(angle: float) -> Tensor:
    """Rotation of RGB about its grey axis."""
    c, s = np.cos(angle), np.sin(angle)
    k = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
    return torch.from_numpy((c * np.eye(3) + s * k + (1 - c) / 3).astype(np.float32))


def fluo_colour(rng: np.random.Generator) -> Step:
    """Exposure, gamma and an offset."""
    gamma = float(np.exp(rng.normal(0, 0.3)))
    gain, offset = float(np.exp(rng.normal(0, 0.3))), float(abs(rng.normal(0, 0.05)))

    def apply(x: Tensor) -> Tensor:
        return (x.clamp(0, 1) ** gamma * gain + offset).clamp(0, 1.5)

    return apply


def he_texture(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Lower magnification, focus, noise, JPEG."""
    draw = rng.random(4)
    if draw[0] < 0.2:
        x = _coarser(x, rng)
    if draw[1] < 0.25:
        x = _blur(x, rng.uniform(0.3, 1.4))
    if draw[2] < 0.2:
        x = x + torch.from_numpy(rng.normal(0, rng.uniform(0, 0.04), x.shape).astype(np.float32))
    if draw[3] < 0.25:
        x = _jpeg(x, int(rng.integers(30, 90)))
    return x.clamp(0, 1)


def fluo_texture(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Uneven background, focus, shot and read noise."""
    draw = rng.random(4)
    if draw[0] < 0.3:
        x = x + _gradient(x.shape[-1], rng) * float(rng.uniform(0, 0.25)) * float(x.max())
    if draw[1] < 0.3:
        x = _blur(x, rng.uniform(0.4, 1.8))
    if draw[2] < 0.15:
        x = _coarser(x, rng)
    if draw[3] < 0.4:
        sigma = float(rng.uniform(0, 0.05)) * x.clamp(min=0).sqrt() + float(rng.uniform(0, 0.015))
        x = x + sigma * torch.from_numpy(rng.standard_normal(x.shape, dtype=np.float32))
    return x


def _coarser(x: Tensor, rng: np.random.Generator) -> Tensor:
    side = x.shape[-1]
    small = F.interpolate(
        x[None], (int(side / rng.uniform(1.3, 2.2)),) * 2, mode="bilinear", antialias=True
    )
    return F.interpolate(small, (side, side), mode="bilinear", align_corners=False)[0]


def _blur(x: Tensor, sigma: float) -> Tensor:
    r = int(3 * sigma + 1)
    k = torch.exp(-(torch.arange(-r, r + 1) ** 2) / (2 * sigma**2))
    k = (k / k.sum()).expand(x.shape[0], 1, 1, -1).contiguous()
    x = F.pad(x[None], (r, r, r, r), mode="reflect")
    x = F.conv2d(x, k, groups=x.shape[1])
    return F.conv2d(x, k.transpose(2, 3).contiguous(), groups=x.shape[1])[0]


def _jpeg(x: Tensor, quality: int) -> Tensor:
    data = io.BytesIO()
    pixels = (x.permute(1, 2, 0).clamp(0, 1) * 255).byte().numpy()
    Image.fromarray(pixels).save(data, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(data))).permute(2, 0, 1).float() / 255


def _gradient(side: int, rng: np.random.Generator) -> Tensor:
    knots = torch.from_numpy(rng.random((1, 1, 3, 3), dtype=np.float32))
    return F.interpolate(knots, (side, side), mode="bicubic", align_corners=True)[0].clamp(0, 1)


def jitter_range(x: Tensor, rng: np.random.Generator) -> Tensor:
    """As if the percentiles came from another part of the slide."""
    low, high = rng.normal(0, 0.06), 1 + rng.normal(0, 0.1)
    return (x - float(low)) / float(max(high - low, 0.5))
