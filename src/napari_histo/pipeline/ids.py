"""Ids that belong to a place: the same proposal keeps its id when thresholds move."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["anchored_ids"]


def anchored_ids(points: NDArray[np.float32], seed: int | None = None) -> NDArray[np.uint8]:
    """UUIDs from anchor points and the seed of a run.

    Parameters
    ----------
    points : (n, 2) float32
        Distinct anchors, px.
    seed : int, optional
        Of the run; random by default, so that two runs never share ids.

    Returns
    -------
    (n, 16) uint8
        Version 8 UUIDs (RFC 9562): 122 bits of hash (splitmix64; Steele et al., OOPSLA 2014).
    """
    salt = np.random.default_rng(seed).integers(0, 2**64, 2, np.uint64)
    key = np.ascontiguousarray(points, np.float32).view(np.uint32).astype(np.uint64)
    packed = (key[:, 0] << np.uint64(32)) | key[:, 1]
    halves = np.stack([_mix(packed ^ s) for s in salt], axis=1)
    ids = np.ascontiguousarray(halves).view(np.uint8).reshape(-1, 16)
    ids[:, 6] = (ids[:, 6] & 0x0F) | 0x80
    ids[:, 8] = (ids[:, 8] & 0x3F) | 0x80
    return ids


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
