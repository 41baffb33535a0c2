"""Patches out of larger images: turned, stretched, bent and magnified at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

__all__ = ["PatchShape", "sampling_grid", "warp", "warp_nearest"]


@dataclass(frozen=True)
class PatchShape:
    """How patches are cut.

    Attributes
    ----------
    side : int
        Px.
    log2_scale_sigma, log2_scale_max : float
        Spread of the magnification, and its limit.
    stretch : float
        Largest change of the ratio of the sides.
    elastic_px : float
        Spread of the shifts of six by six points, between which all others follow; 40 % of the
        patches have them.
    on_object : float
        Share of the patches that lie near an object.
    """

    side: int
    log2_scale_sigma: float = 0.35
    log2_scale_max: float = 1.0
    stretch: float = 0.12
    elastic_px: float = 3.0
    on_object: float = 0.85


def sampling_grid(
    size: tuple[int, ...],
    shape: PatchShape,
    rng: np.random.Generator,
    *,
    centre: NDArray[np.float64],
    zoom: float,
) -> Tensor:
    """Where each patch pixel comes from, in grid_sample's -1..1.

    ``size`` is the source's (h, w); ``centre`` (x, y) px of it; ``zoom`` > 1 enlarges.
    """
    factors = zoom * (1 + rng.uniform(-shape.stretch, shape.stretch, 2))
    angle = rng.uniform(0, 2 * np.pi) if rng.random() < 0.5 else rng.integers(4) * np.pi / 2
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.diag([1 / factors[0], rng.choice([-1, 1]) / factors[1]])
    axis = np.arange(shape.side) - (shape.side - 1) / 2
    xy = np.stack(np.meshgrid(axis, axis, indexing="xy"), axis=-1)
    xy = (xy + _elastic(shape, rng)) @ matrix.T + centre
    return torch.from_numpy(((xy * 2 + 1) / size[::-1] - 1).astype(np.float32))[None]


def _elastic(shape: PatchShape, rng: np.random.Generator) -> NDArray[np.float64] | float:
    if rng.random() < 0.6:
        return 0.0
    knots = torch.from_numpy(rng.normal(0, shape.elastic_px, (1, 2, 6, 6)))
    smooth = F.interpolate(knots, (shape.side, shape.side), mode="bicubic", align_corners=True)
    return np.asarray(smooth[0].permute(1, 2, 0).numpy())


def warp(image: Tensor, grid: Tensor) -> Tensor:
    """An image (c, h, w) sampled at a grid of `sampling_grid`; mirrored beyond its edge."""
    return F.grid_sample(image[None], grid, padding_mode="reflection", align_corners=False)[0]


def warp_nearest(values: NDArray[np.integer], grid: Tensor) -> NDArray[np.int32]:
    """Whole numbers (h, w), at least 0, likewise; -1 beyond the edge."""
    # 1 is added so that 0 can mean "outside".
    ids = torch.from_numpy(values.astype(np.float32) + 1)[None, None]
    warped = F.grid_sample(ids, grid, mode="nearest", align_corners=False)[0, 0].numpy()
    return warped.astype(np.int32) - 1
