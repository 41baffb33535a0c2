"""What an annotator might draw on a known object, at random: clicks, squiggles, boxes, mistakes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import skeletonize

from napari_histo.core import BoxPrompt, PointPrompt, Prompt, ScribblePrompt

Mask = NDArray[np.bool_]


def click(mask: Mask, rng: np.random.Generator, *, positive: bool = True) -> PointPrompt:
    """Anywhere in the mask: half of the time near its core, as people aim."""
    if rng.random() < 0.5:
        depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        mask = depth >= rng.uniform(0.3, 1.0) * depth.max()
    ys, xs = np.nonzero(mask)
    i = rng.integers(len(ys))
    return PointPrompt(float(xs[i] + 0.5), float(ys[i] + 0.5), positive)


def squiggle(mask: Mask, rng: np.random.Generator, *, positive: bool = True) -> ScribblePrompt:
    """Along the skeleton, or a path through random points of the mask; then a trembling hand."""
    skeleton = np.argwhere(skeletonize(mask)) if rng.random() < 0.4 else np.empty((0, 2))
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
    steps = np.concatenate([np.linspace(a, b, 12) for a, b in zip(stops, stops[1:], strict=False)])
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


def exclusions(labels: NDArray[np.int32], target: int, rng: np.random.Generator) -> list[Prompt]:
    """Clicks on the neighbours: all, some or none; now and then a false one on background."""
    mode = rng.random()
    share = 0.0 if mode < 0.3 else 1.0 if mode < 0.65 else rng.uniform(0.1, 0.9)
    found: list[Prompt] = []
    for other, where in enumerate(ndimage.find_objects(labels), start=1):
        if other == target or where is None or rng.random() > share:
            continue
        mask = labels[where] == other
        if mask.sum() < 12:
            continue
        point = click(mask, rng, positive=False)
        found.append(PointPrompt(point.x + where[1].start, point.y + where[0].start, False))
    if rng.random() < 0.15 and (labels == 0).any():
        found.append(click(labels == 0, rng, positive=False))
    if rng.random() < 0.05 and (labels == 0).any():
        found.append(squiggle(labels == 0, rng, positive=False))
    return found


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


def neighbours_drawn(
    labels: NDArray[np.int32], target: int, rng: np.random.Generator
) -> Mask | None:
    """The outlines of some neighbours, as known objects: filled, a little smaller; or none."""
    if rng.random() < 0.75:
        return None
    others = np.setdiff1d(np.unique(labels), [0, target])
    known = others[rng.random(len(others)) < rng.uniform(0.3, 1.0)]
    mask: Mask = np.isin(labels, known)
    return ndimage.binary_erosion(mask) if rng.random() < 0.7 else mask


def first_gesture(mask: Mask, kinds: Sequence[float], rng: np.random.Generator) -> list[Prompt]:
    """One gesture; ``kinds`` are the shares of click, box and squiggle."""
    kind = rng.choice(3, p=np.asarray(kinds))
    if kind == 0:
        return [click(mask, rng)]
    return [box(mask, rng)] if kind == 1 else [squiggle(mask, rng)]
