"""What an annotator might draw on a known object, at random: to train with and to evaluate.

Masks are (h, w) bool; gestures are in their pixels, x before y, a pixel covering [i, i + 1).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_histo.core import BoxPrompt, PointPrompt, ScribblePrompt

__all__ = ["box", "centroid_click", "click", "correction", "jittered", "squiggle"]

Mask = NDArray[np.bool_]


def click(mask: Mask, rng: np.random.Generator, *, positive: bool = True) -> PointPrompt:
    """Anywhere in the mask: half of the time near its core, as people aim."""
    if rng.random() < 0.5:
        depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        mask = depth >= rng.uniform(0.3, 1.0) * depth.max()
    ys, xs = np.nonzero(mask)
    i = rng.integers(len(ys))
    return PointPrompt(float(xs[i] + 0.5), float(ys[i] + 0.5), positive)


def centroid_click(mask: Mask) -> PointPrompt:
    """The pixel of the mask that is nearest to its centroid."""
    ys, xs = np.nonzero(mask)
    near = np.argmin((ys - ys.mean()) ** 2 + (xs - xs.mean()) ** 2)
    return PointPrompt(float(xs[near] + 0.5), float(ys[near] + 0.5))


def jittered(
    point: PointPrompt, mask: Mask, radius_px: float, rng: np.random.Generator
) -> PointPrompt:
    """The click moved at random within a disc, but still in the mask: people hit what they mean."""
    for _ in range(50):
        angle, r = rng.uniform(0, 2 * np.pi), radius_px * np.sqrt(rng.random())
        x, y = point.x + r * np.cos(angle), point.y + r * np.sin(angle)
        row, column = int(np.floor(y)), int(np.floor(x))
        if 0 <= row < mask.shape[0] and 0 <= column < mask.shape[1] and mask[row, column]:
            return PointPrompt(float(x), float(y), point.positive)
    return point


def squiggle(mask: Mask, rng: np.random.Generator, *, positive: bool = True) -> ScribblePrompt:
    """Along the skeleton, or a path through random points of the mask; then a trembling hand."""
    from skimage.morphology import skeletonize

    thin = np.zeros_like(mask)
    if rng.random() < 0.4:
        thin = skeletonize(mask)  # type: ignore[no-untyped-call]
    skeleton = np.argwhere(thin)
    xy = _along(skeleton, rng) if len(skeleton) >= 8 else _through(mask, rng)
    xy = xy[:, ::-1] + 0.5 + rng.normal(0, rng.uniform(0, 1.2), xy.shape)
    return ScribblePrompt(xy.astype(np.float32), positive)


def _along(skeleton: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.float64]:
    """A connected run of skeleton pixels, from a random one to far away, (n, 2) as (y, x)."""
    left = {(int(y), int(x)) for y, x in skeleton}
    at = tuple(int(v) for v in skeleton[rng.integers(len(skeleton))])
    path = [at]
    for _ in range(int(len(skeleton) * rng.uniform(0.3, 1.0))):
        near = [(at[0] + dy, at[1] + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        near = [p for p in near if p in left and p != at]
        if not near:
            break
        at = near[rng.integers(len(near))]
        left.difference_update([at])
        path.append(at)
    return np.array(path[::2], float)


def _through(mask: Mask, rng: np.random.Generator) -> NDArray[np.float64]:
    """A path through two to six points, nearest next, bent back into the mask; (n, 2) (y, x)."""
    ys, xs = np.nonzero(mask)
    some = rng.integers(len(ys), size=int(rng.integers(2, 7)))
    stops = np.stack([ys[some], xs[some]], axis=1).astype(float)
    order, rest = [0], set(range(1, len(stops)))
    while rest:
        order.append(min(rest, key=lambda i: float(np.hypot(*(stops[i] - stops[order[-1]])))))
        rest.discard(order[-1])
    stops = stops[order]
    steps = np.concatenate([np.linspace(a, b, 12) for a, b in pairwise(stops)])
    rows, columns = (steps + 0.5).astype(int).T
    inside = mask[rows.clip(0, mask.shape[0] - 1), columns.clip(0, mask.shape[1] - 1)]
    outside_run = np.flatnonzero(~inside)
    # A hand stays inside: stop where the straight way would leave for long.
    if len(outside_run) > 3 and outside_run[0] >= 4:
        steps = steps[: outside_run[0]]
    return np.asarray(steps)


def box(mask: Mask, rng: np.random.Generator) -> BoxPrompt:
    """The bounding box, each side moved by up to a tenth, more often outwards."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    dy, dx = 0.1 * (bottom - top) + 1, 0.1 * (right - left) + 1
    out = rng.uniform(-0.5, 1.0, 4)
    return BoxPrompt(
        left - dx * out[0], top - dy * out[1], right + dx * out[2], bottom + dy * out[3]
    )


def correction(truth: Mask, found: Mask, rng: np.random.Generator) -> PointPrompt | None:
    """A click where the answer is most wrong: the core of the largest error (Sofiiuk, 2021)."""
    best: tuple[int, Mask, bool] | None = None
    for wrong, positive in ((truth & ~found, True), (found & ~truth, False)):
        regions, n = ndimage.label(wrong)
        if n:
            sizes = np.bincount(regions.ravel())[1:]
            if best is None or sizes.max() > best[0]:
                best = int(sizes.max()), regions == sizes.argmax() + 1, positive
    if best is None or best[0] < 6:
        return None
    return click(best[1], rng, positive=best[2])
