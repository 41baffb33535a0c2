"""From Cellpose's flows to masks: pixels follow the flow, and those that meet are one object.

The algorithm is that of Stringer et al., Nature Methods 2021, as ``cellpose.dynamics`` (version
4.2) has it. Written anew for tiles: whatever depends on a place is computed from the place in the
whole image, so that a tile finds what the package finds in the image, and needs none of its
dependencies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi
from scipy import sparse

from napari_histo.core import Box

__all__ = ["FLOW_SCALE", "Masks", "find_masks", "flow_errors", "ideal_flows"]

#: Networks are taught flows five times their length.
FLOW_SCALE = 5.0
#: Steps of a pixel on its way to its object's middle.
_STEPS = 200
#: A meeting point is where more than so many pixels end, and more than anywhere within 2 px.
_MEETING, _NEAR_PX = 10, 2
#: It spreads so far over places where more than so many pixels end.
_SPREAD_PX, _CROWD = 5, 2
_LEAST_PX = 15
#: Objects over this share of the whole image are background.
_LARGEST_SHARE = 0.4
#: A pixel and its eight neighbours, in the order in which the package adds them up: the slope at an
#: object's middle is what rounding leaves.
_AROUND = [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)]


@dataclass(frozen=True, eq=False)
class Masks:
    """Objects of a box.

    Attributes
    ----------
    labels : (h, w) int32
        0 background, objects from 1 on.
    errors : (n,) float64
        How far the flows that each object ought to have lie from those of the network, mean square.
    """

    labels: NDArray[np.int32]
    errors: NDArray[np.float64]


def find_masks(fields: NDArray[np.float32], threshold: float, box: Box, extent: Box) -> Masks:
    """All objects, also those whose flows are doubtful.

    Parameters
    ----------
    fields : (3, h, w) float32
        What the network says of the pixels of `box`: flow down, flow right, logit.
    threshold : float
        Pixels with a higher logit belong to objects.
    box, extent : Box
        What `fields` covers, and the whole image. Objects that `box` cuts are wrong.
    """
    inside = fields[2] > threshold
    flow = fields[:2] * (inside / np.float32(FLOW_SCALE))
    ends = _follow(flow, inside, box, extent)
    labels = _meet(ends, inside, largest_px=_LARGEST_SHARE * extent.area)
    errors = flow_errors(labels, fields[:2], alike=box == extent)
    return _tidy(labels, errors)


def _follow(
    flow: NDArray[np.float32], inside: NDArray[np.bool_], box: Box, extent: Box
) -> NDArray[np.int64]:
    """Where each pixel of `inside` ends, (n, 2) rows and columns of the box's array.

    In double precision, so that a tile's own place is lost in rounding. The package looks up the
    flow at place p of a line of n pixels at ``p * n / (n - 1) - 1 / 2``; so does this, for the
    line of the whole image.
    """
    import torch
    from torch.nn import functional as F  # noqa: N812 - torch's own idiom

    height, width = inside.shape
    maps = torch.from_numpy(flow[::-1].astype(np.float64))[None]
    place = torch.from_numpy(np.stack(np.nonzero(inside)[::-1], axis=1)).double()
    corner = place.new_tensor([box.x - extent.x, box.y - extent.y])
    last = place.new_tensor([extent.width - 1, extent.height - 1])
    size = place.new_tensor([width, height])
    stretch = 1 / last.clamp_min(1)
    for _ in range(_STEPS if len(place) else 0):
        look = place + (place + corner) * stretch - 0.5
        grid = ((2 * look + 1) / size - 1)[None, None]
        step = F.grid_sample(maps, grid, align_corners=False)[0, :, 0].T
        place = torch.minimum(torch.maximum(place + step, -corner), last - corner)
    ends = torch.minimum(place.clamp_min(0), size - 1)
    return ends.long().flip(1).numpy()


def _meet(
    ends: NDArray[np.int64], inside: NDArray[np.bool_], *, largest_px: float
) -> NDArray[np.int32]:
    """Numbers of the objects that pixels belong to, by where they end."""
    pad = _SPREAD_PX
    shape = (inside.shape[0] + 2 * pad, inside.shape[1] + 2 * pad)
    at = (ends[:, 0] + pad) * shape[1] + ends[:, 1] + pad
    crowd = np.bincount(at, minlength=shape[0] * shape[1]).reshape(shape)
    peaks = (ndi.maximum_filter(crowd, 2 * _NEAR_PX + 1) == crowd) & (crowd > _MEETING)
    y, x = np.nonzero(peaks)
    order = np.argsort(crowd[y, x], kind="stable")
    owner = np.zeros(shape, np.int32)
    if len(order):
        _spread(owner, crowd, y[order], x[order])
    labels = np.zeros(inside.shape, np.int32)
    labels[inside] = owner.ravel()[at]
    large = np.bincount(labels.ravel()) > largest_px
    large[0] = False
    labels[large[labels]] = 0
    return labels


def _spread(
    owner: NDArray[np.int32],
    crowd: NDArray[np.int64],
    y: NDArray[np.int64],
    x: NDArray[np.int64],
) -> None:
    """Number the surroundings of each meeting point, the most crowded last and on top."""
    reach = np.arange(-_SPREAD_PX, _SPREAD_PX + 1)
    rows, columns = y[:, None, None] + reach[:, None], x[:, None, None] + reach
    busy = crowd[rows, columns] > _CROWD
    grown = np.zeros(busy.shape, bool)
    grown[:, _SPREAD_PX, _SPREAD_PX] = True
    for _ in range(_SPREAD_PX):
        grown = ndi.maximum_filter(grown, (1, 3, 3)) & busy
    which, dy, dx = np.nonzero(grown)
    # Of several numbers for one place the last, which is the largest, stays.
    owner[y[which] + dy - _SPREAD_PX, x[which] + dx - _SPREAD_PX] = which + 1


def flow_errors(
    labels: NDArray[np.int32], flow: NDArray[np.float32], *, alike: bool = True
) -> NDArray[np.float64]:
    """Mean square distance of a network's flows from those that objects of this shape have.

    Parameters
    ----------
    labels : (h, w) int32
    flow : (2, h, w) float32
        Of the network, unscaled.
    alike : bool
        Whether heat runs in every object for as long as the longest one wants, as in the package;
        else, for tiles, which do not know the image's longest, for as long as each one wants.

    Returns
    -------
    (labels.max(),) float64
        NaN for numbers that are not there.
    """
    n = int(labels.max(initial=0))
    if not n:
        return np.zeros(0)
    y, x = np.nonzero(labels)
    ideal = _ideal_flow(labels, y, x, alike)
    far = ((ideal - flow[:, y, x] / FLOW_SCALE) ** 2).sum(axis=0)
    numbers = labels[y, x]
    with np.errstate(invalid="ignore"):
        errors = np.bincount(numbers, far, n + 1) / np.bincount(numbers, minlength=n + 1)
    return np.asarray(errors[1:])


def ideal_flows(labels: NDArray[np.int32]) -> NDArray[np.float32]:
    """Flows (2, h, w), down and right, that objects of these shapes have: what networks are taught.

    Of length 1 in objects and 0 between them; not scaled by `FLOW_SCALE`.
    """
    flows = np.zeros((2, *labels.shape), np.float32)
    y, x = np.nonzero(labels)
    if len(y):
        flows[:, y, x] = _ideal_flow(labels, y, x)
    return flows


def _ideal_flow(
    labels: NDArray[np.int32], y: NDArray[np.int64], x: NDArray[np.int64], alike: bool = True
) -> NDArray[np.float64]:
    """Directions (2, n) in which heat flows to each object's middle, for the pixels (y, x)."""
    row_of = np.full((labels.shape[0] + 2, labels.shape[1] + 2), len(y), np.int64)
    row_of[y + 1, x + 1] = np.arange(len(y))
    around = np.stack([row_of[y + 1 + dy, x + 1 + dx] for dy, dx in _AROUND])
    numbers = np.append(labels[y, x], 0)
    same = (numbers[around] == numbers[:-1]).T
    ends = np.append(0, np.cumsum(same.sum(axis=1)))
    beside = around.T[same]
    sums = sparse.csr_array((np.ones(len(beside)), beside, ends), (len(y), len(y)))
    heat = np.append(_heat(sums, *_middles(labels, row_of), numbers[:-1], alike), 0.0)
    at = {step: heat[around[i]] for i, step in enumerate(_AROUND)}
    slope = np.stack([at[1, 0] - at[-1, 0], at[0, 1] - at[0, -1]])
    return np.asarray(slope / (1e-60 + np.sqrt((slope**2).sum(axis=0))))


def _heat(
    sums: sparse.csr_array,
    middles: NDArray[np.int64],
    spans: NDArray[np.int64],
    numbers: NDArray[np.int32],
    alike: bool,
) -> NDArray[np.float64]:
    """Heat of each pixel, fed into the middles and spread within objects."""
    heat = np.zeros(len(numbers))
    steps = 2 * (np.full_like(spans, spans.max(initial=0)) if alike else spans)
    ends = np.zeros(int(numbers.max(initial=0)) + 1, np.int64)
    ends[numbers[middles]] = steps
    ends_of_pixel = ends[numbers]
    for step in range(int(steps.max(initial=0))):
        heat[middles[steps > step]] += 1
        spread = sums @ heat / len(_AROUND)
        heat = spread if alike else np.where(ends_of_pixel > step, spread, heat)
    return heat


def _middles(
    labels: NDArray[np.int32], row_of: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row of the pixel nearest to each object's centroid; its height and width, px."""
    middles, spans = [], []
    for number, where in enumerate(ndi.find_objects(labels), start=1):
        if where is None:
            continue
        rows, columns = np.nonzero(labels[where] == number)
        middle = round(float(rows.mean())), round(float(columns.mean()))
        nearest = int(((rows - middle[0]) ** 2 + (columns - middle[1]) ** 2).argmin())
        at = rows[nearest] + where[0].start + 1, columns[nearest] + where[1].start + 1
        middles.append(row_of[at])
        spans.append(sum(s.stop - s.start for s in where) + 2)
    return np.asarray(middles, np.int64), np.asarray(spans, np.int64)


def _tidy(labels: NDArray[np.int32], errors: NDArray[np.float64]) -> Masks:
    """Without crumbs and holes, numbered from 1 without gaps."""
    labels = _without_crumbs(labels)
    for i, where in enumerate(ndi.find_objects(labels), start=1):
        if where is not None:
            labels[where][ndi.binary_fill_holes(labels[where] == i)] = i
    labels = _without_crumbs(labels)
    there = np.bincount(labels.ravel(), minlength=len(errors) + 1)[1:] > 0
    number = np.append(0, np.where(there, np.cumsum(there), 0)).astype(np.int32)
    return Masks(number[labels], errors[there])


def _without_crumbs(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    small = np.bincount(labels.ravel()) < _LEAST_PX
    return np.where(small[labels], 0, labels).astype(np.int32)
