"""Thresholds that follow the neighbourhood, and a watershed that parts what touches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

__all__ = ["contrasts", "local_otsu", "means", "noise", "part"]

_BINS = 128


def local_otsu(
    signal: NDArray[np.float32], *, block_px: int, reach: int, top: float
) -> NDArray[np.float32]:
    """Otsu's threshold of the blocks around each pixel, linear between the blocks' centres.

    Blocks lie on a lattice from the array's corner, so tiles whose corners are multiples of
    `block_px` apart agree.

    Parameters
    ----------
    signal : (h, w) float32
    block_px : int
        Side of a block, px.
    reach : int
        Blocks on each side whose pixels count along.
    top : float
        The threshold is sought between 0 and this.

    Returns
    -------
    (h, w) float32

    References
    ----------
    Otsu, IEEE Transactions on Systems, Man, and Cybernetics 1979.
    """
    height, width = signal.shape
    rows, columns = -(-height // block_px), -(-width // block_px)
    level = (np.clip(signal / np.float32(top), 0, 1) * (_BINS - 1)).astype(np.intp)
    block = (np.arange(height) // block_px * columns)[:, None] + np.arange(width) // block_px
    counts = np.bincount((block * _BINS + level).ravel(), minlength=rows * columns * _BINS)
    histograms = counts.reshape(rows, columns, _BINS)
    for axis in (0, 1):
        around = np.ones(2 * reach + 1, np.int64)
        histograms = ndi.correlate1d(histograms, around, axis=axis, mode="constant")
    thresholds = _otsu(histograms) * (top / (_BINS - 1))
    return _between_blocks(thresholds, block_px, (height, width))


def _otsu(histograms: NDArray[np.integer]) -> NDArray[np.float64]:
    """First bin of the upper class, for each histogram along the last axis."""
    share = histograms / np.maximum(histograms.sum(axis=-1, keepdims=True), 1)
    below = np.cumsum(share, axis=-1)
    moment = np.cumsum(share * np.arange(_BINS), axis=-1)
    apart = below * (1 - below)
    distance = (moment[..., -1:] * below - moment) ** 2
    variance = np.divide(distance, apart, out=np.zeros_like(apart), where=apart > 1e-12)
    return np.asarray(variance.argmax(axis=-1) + 1, np.float64)


def _between_blocks(
    values: NDArray[np.float64], block_px: int, shape: tuple[int, int]
) -> NDArray[np.float32]:
    for axis, n in enumerate(shape):
        last = values.shape[axis] - 1
        at = np.clip((np.arange(n) + 0.5) / block_px - 0.5, 0, last)
        lower = np.floor(at).astype(np.intp)
        share = np.expand_dims(at - lower, 1 - axis)
        upper = np.minimum(lower + 1, last)
        values = values.take(lower, axis) * (1 - share) + values.take(upper, axis) * share
    return values.astype(np.float32)


def part(
    mask: NDArray[np.bool_],
    signal: NDArray[np.float32],
    *,
    seed_px: int,
    hole_px: int,
    neck: float,
) -> NDArray[np.int32]:
    """Objects of a mask: small holes filled, touching ones parted at their necks.

    A watershed of the distance to the background; basins whose common border is nearly as wide as
    the narrower of the two are one object again.

    Parameters
    ----------
    mask : (h, w) bool
    signal : (h, w) float32
        High within objects; settles which of two equally deep pixels comes first. Without it the
        order of the flood would settle that, and tiles would differ at a pixel here and there.
    seed_px : int
        Seeds are the highest of their neighbourhood of this radius.
    hole_px : int
        Holes of up to this many pixels are filled.
    neck : float
        Two basins are parted where their border is narrower than this share of the narrower one.

    Returns
    -------
    (h, w) int32
        0 background; other numbers need not follow each other.
    """
    from skimage.segmentation import watershed

    mask = _fill_holes(ndi.binary_opening(mask), hole_px)
    depth = ndi.gaussian_filter(ndi.distance_transform_edt(mask).astype(np.float32), 1.0)
    depth += np.float32(0.01) * signal
    highest = (ndi.maximum_filter(depth, 2 * seed_px + 1) == depth) & mask
    seeds, _ = ndi.label(highest, np.ones((3, 3)))
    basins = watershed(-depth, seeds, mask=mask)  # type: ignore[no-untyped-call]
    return _join_wide(np.asarray(basins, np.int32), depth, neck)


def _fill_holes(mask: NDArray[np.bool_], hole_px: int) -> NDArray[np.bool_]:
    gaps, _ = ndi.label(~mask)
    small = np.bincount(gaps.ravel()) <= hole_px
    small[0] = False
    return np.asarray(mask | small[gaps], np.bool_)


def _join_wide(
    basins: NDArray[np.int32], depth: NDArray[np.float32], neck: float
) -> NDArray[np.int32]:
    """One number for basins that are joined by a wide border."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = int(basins.max(initial=0)) + 1
    peak = np.zeros(n, np.float32)
    np.maximum.at(peak, basins.ravel(), depth.ravel())
    first, second, height = _borders(basins, depth)
    pair, which = np.unique(first.astype(np.int64) * n + second, return_inverse=True)
    saddle = np.zeros(len(pair), np.float32)
    np.maximum.at(saddle, which, height)
    a, b = pair // n, pair % n
    wide = saddle > neck * np.minimum(peak[a], peak[b])
    graph = coo_array((np.ones(int(wide.sum()), bool), (a[wide], b[wide])), shape=(n, n))
    joined = connected_components(graph, directed=False)[1]
    return np.asarray(joined[basins], np.int32)


def _borders(
    basins: NDArray[np.int32], depth: NDArray[np.float32]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
    """Smaller and larger number, and depth, of neighbouring pixels of two basins."""
    found = []
    for one, other in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        a, b = basins[one], basins[other]
        at = (a != b) & (a > 0) & (b > 0)
        level = np.minimum(depth[one][at], depth[other][at])
        found.append((np.minimum(a[at], b[at]), np.maximum(a[at], b[at]), level))
    first, second, height = (np.concatenate(x) for x in zip(*found, strict=True))
    return first, second, height


def contrasts(
    labels: NDArray[np.int32],
    signal: NDArray[np.float32],
    threshold: NDArray[np.float32],
    ring_px: int,
) -> NDArray[np.float64]:
    """(max + 1,) mean signal of each object less that of the background in a ring around it.

    Where neighbours leave no background around, twice the height over `threshold` stands for it:
    Otsu's threshold lies midway between the two classes.
    """
    n = int(labels.max(initial=0)) + 1
    ring = np.where(labels == 0, ndi.maximum_filter(labels, 2 * ring_px + 1), 0)
    inside, around = means(labels, signal, n), means(ring, signal, n)
    over = inside - means(labels, threshold, n)
    return np.asarray(np.where(np.isnan(around), 2 * over, inside - around), np.float64)


def means(labels: NDArray[np.int32], values: NDArray[np.float32], n: int) -> NDArray[np.float64]:
    """(n,) mean of `values` under each label; NaN for labels without pixels."""
    counts = np.bincount(labels.ravel(), minlength=n)
    sums = np.bincount(labels.ravel(), values.ravel(), n)
    out = np.full(n, np.nan)
    np.divide(sums, counts, out=out, where=counts > 0)
    return out


def noise(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Share of each pixel in the standard deviation of white noise; its mean over a patch is it.

    Immerkaer's mask, blind to slopes and straight edges (Computer Vision and Image Understanding
    1996).
    """
    mask = np.outer([1, -2, 1], [1, -2, 1])
    rough = np.abs(ndi.convolve(values, mask.astype(np.float32)))
    return np.asarray(rough * np.float32(np.sqrt(np.pi / 2) / 6), np.float32)
