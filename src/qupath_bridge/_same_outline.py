# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether two outlines are the same, although one went through QuPath.

QuPath keeps float32, writes two decimals, may begin a ring at another vertex, turn it round, or
list parts and holes in another order. None of that is an edit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Contours, GeometryKind

__all__ = ["TOLERANCE_PX", "same_outlines"]

TOLERANCE_PX = 0.01
#: float32 rounds to this share of a coordinate, so that 100,000 px adds 0.012 px.
_FLOAT32 = 2.0**-23
_CHUNK_ROWS = 1 << 15

Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]
Points = NDArray[np.float64]


def same_outlines(a: Contours, rows_a: Rows, b: Contours, rows_b: Rows) -> Mask:
    """Compare rows of `a` with rows of `b`, pair by pair.

    Parameters
    ----------
    a, b : Contours
        Full-resolution px.
    rows_a, rows_b : (k,) int64

    Returns
    -------
    (k,) bool
        Equal within 0.01 px and float32's rounding, whatever the order of vertices and parts.

    Notes
    -----
    Three sieves, each for what the one before left over: vertices in their order (a second for a
    million nuclei), rings turned and shifted, parts in any order.
    """
    same = np.zeros(len(rows_a), bool)
    for start in range(0, len(rows_a), _CHUNK_ROWS):
        part = slice(start, start + _CHUNK_ROWS)
        same[part] = _same_chunk(a, rows_a[part], b, rows_b[part])
    return same


def _same_chunk(a: Contours, rows_a: Rows, b: Contours, rows_b: Rows) -> Mask:
    same = _as_they_stand(a.take(rows_a), b.take(rows_b))
    left = np.flatnonzero(~same & (a.kind[rows_a] == b.kind[rows_b]))
    if len(left):
        first, second = _Rings.of(a.take(rows_a[left])), _Rings.of(b.take(rows_b[left]))
        same[left] = _turned(first, second)
        for i in left[~same[left] & (first.n_parts == second.n_parts) & (first.n_rings > 1)]:
            same[i] = _in_any_order(a.parts(rows_a[i]), b.parts(rows_b[i]), a.kind[rows_a[i]])
    return same


def _near(a: NDArray[np.floating], b: NDArray[np.floating]) -> Mask:
    """(n,) whether points (n, 2) are the same."""
    a = a.astype(np.float64)
    near = np.abs(a - b) <= TOLERANCE_PX + _FLOAT32 * np.abs(a)
    # Column by column: numpy's own ``all(axis=1)`` over two takes five times as long.
    both: Mask = near[:, 0] & near[:, 1]
    return both


def _all_in(mask: Mask, offsets: NDArray[np.integer]) -> Mask:
    """Whether each run of `mask` is true throughout; empty runs are."""
    bad = np.concatenate([[0], np.cumsum(~mask)])
    whole: Mask = bad[offsets[1:]] == bad[offsets[:-1]]
    return whole


# -- first sieve: vertices in their order ---------------------------------------------------------


def _as_they_stand(a: Contours, b: Contours) -> Mask:
    alike = _alike(a, b)
    if not alike.any():
        return alike
    if not alike.all():
        rows = np.flatnonzero(alike)
        a, b = a.take(rows), b.take(rows)
    vertices = a.ring_offsets[a.part_offsets[a.object_offsets]]
    out = alike.copy()
    out[alike] = _all_in(_near(a.xy, b.xy), vertices)
    return out


def _alike(a: Contours, b: Contours) -> Mask:
    """Same kind, and as many parts, rings and vertices, each in its place."""
    levels = ("kind", "object_offsets", "part_offsets", "ring_offsets")
    if all(np.array_equal(getattr(a, name), getattr(b, name)) for name in levels):
        return np.ones(len(a), bool)
    alike: Mask = (a.kind == b.kind) & (np.diff(a.object_offsets) == np.diff(b.object_offsets))
    for level in ("part_offsets", "ring_offsets"):
        rows = np.flatnonzero(alike)
        lengths_a, owner = _lengths(a, level, rows)
        lengths_b, _ = _lengths(b, level, rows)
        alike[rows[owner[lengths_a != lengths_b]]] = False
    return alike


def _lengths(
    contours: Contours, level: str, rows: Rows
) -> tuple[NDArray[np.integer], NDArray[np.int64]]:
    """Lengths of the parts (in rings) or rings (in vertices) of `rows`; which row each is of."""
    picked = contours.take(rows)
    bounds = picked.object_offsets
    if level == "ring_offsets":
        bounds = picked.part_offsets[bounds]
    lengths: NDArray[np.integer] = np.diff(getattr(picked, level))
    return lengths, np.repeat(np.arange(len(rows)), np.diff(bounds))


# -- second sieve: rings turned and shifted -------------------------------------------------------


class _Rings:
    """Rings without repeated vertices, flat.

    A ring's last vertex repeats its first, and writers repeat vertices of short rings.
    """

    def __init__(self, xy: Points, offsets: NDArray[np.int64], closed: Mask) -> None:
        self.xy, self.offsets, self.closed = xy, offsets, closed
        self.n_parts = self.n_rings = self.owner = np.zeros(0, np.int64)

    @classmethod
    def of(cls, contours: Contours) -> _Rings:
        xy = contours.xy.astype(np.float64)
        n_rings = np.diff(contours.part_offsets[contours.object_offsets])
        owner = np.repeat(np.arange(len(contours)), n_rings)
        closed = contours.kind[owner] == GeometryKind.POLYGON
        keep = _not_repeated(xy, contours.ring_offsets, closed)
        offsets = np.concatenate([[0], np.cumsum(keep)])[contours.ring_offsets]
        rings = cls(xy[keep], offsets, closed)
        rings.n_parts, rings.n_rings = np.diff(contours.object_offsets), n_rings
        rings.owner = owner
        return rings

    def take(self, chosen: Rows) -> _Rings:
        """The chosen rings, ascending or not."""
        if len(chosen) == len(self.closed) and (np.diff(chosen) == 1).all():
            return self
        lengths = np.diff(self.offsets)[chosen]
        ends = np.cumsum(lengths)
        index = np.repeat(self.offsets[chosen] - (ends - lengths), lengths)
        xy = self.xy[index + np.arange(len(index))]
        return _Rings(xy, np.concatenate([[0], ends]), self.closed[chosen])


def _not_repeated(xy: Points, offsets: NDArray[np.integer], closed: Mask) -> Mask:
    """Vertices that differ, in two decimals, from the one before; at least one a ring."""
    lengths = np.diff(offsets)
    filled = lengths > 0
    starts, ends = offsets[:-1][filled], offsets[1:][filled]
    rounded = np.round(xy, 2)
    before = np.roll(rounded, 1, axis=0)
    before[starts] = rounded[ends - 1]
    keep: Mask = (rounded[:, 0] != before[:, 0]) | (rounded[:, 1] != before[:, 1])
    keep[starts[~closed[filled]]] = True
    none = np.add.reduceat(keep, starts) == 0 if len(starts) else np.zeros(0, bool)
    keep[starts[none]] = True
    return keep


def _turned(a: _Rings, b: _Rings) -> Mask:
    """(n,) objects whose rings, each in its place, are the same when turned and shifted."""
    alike: Mask = (a.n_parts == b.n_parts) & (a.n_rings == b.n_rings)
    in_a, in_b = np.flatnonzero(alike[a.owner]), np.flatnonzero(alike[b.owner])
    bad = in_a[~_same_rings(a.take(in_a), b.take(in_b))]
    alike[a.owner[bad]] = False
    return alike


def _same_rings(a: _Rings, b: _Rings) -> Mask:
    """Rings of `a` against rings of `b`, pair by pair."""
    same: Mask = np.diff(a.offsets) == np.diff(b.offsets)
    open_ = np.flatnonzero(same & (np.diff(a.offsets) > 0))
    same[open_] = False
    for shift in _candidates(a, b, open_):
        tried = open_[shift >= 0]
        if not len(tried):
            return same
        first, second, start = a.take(tried), b.take(tried), shift[shift >= 0]
        last = np.diff(second.offsets) - 1
        for step, end in ((1, 0), (-1, last)):
            # A line that runs on from its last vertex to its first would be another line.
            whole = second.closed | (start == end)
            walked = _near(first.xy, _walk(second, start, step))
            same[tried] |= whole & _all_in(walked, first.offsets)
    return same


def _candidates(a: _Rings, b: _Rings, rings: Rows) -> Iterator[NDArray[np.int64]]:
    """For each ring, places in `b` where the first vertex of `a` may be; -1 when there is none.

    Nearly always one; a ring that passes through a vertex twice has two.
    """
    first, second = a.take(rings), b.take(rings)
    lengths = np.diff(second.offsets)
    anchors = np.repeat(first.xy[first.offsets[:-1]], lengths, axis=0)
    hits = np.flatnonzero(_near(anchors, second.xy))
    owner = np.repeat(np.arange(len(rings)), lengths)[hits]
    place = hits - second.offsets[owner]
    # A line may run the other way, but has no other beginning.
    end = (place == 0) | (place == lengths[owner] - 1)
    ok = second.closed[owner] | end
    owner, place = owner[ok], place[ok]
    rank = np.arange(len(owner)) - np.searchsorted(owner, owner)
    for k in range(int(rank.max(initial=-1)) + 1):
        shift = np.full(len(rings), -1, np.int64)
        shift[owner[rank == k]] = place[rank == k]
        yield shift


def _walk(rings: _Rings, start: NDArray[np.int64], step: int) -> Points:
    """Vertices of each ring from `start` on, forwards or backwards."""
    lengths = np.diff(rings.offsets)
    first = np.repeat(rings.offsets[:-1], lengths)
    i = np.arange(len(rings.xy)) - first
    places = (np.repeat(start, lengths) + step * i) % np.repeat(lengths, lengths)
    walked: Points = rings.xy[first + places]
    return walked


# -- third sieve: parts in any order --------------------------------------------------------------


def _in_any_order(
    a: Sequence[Sequence[NDArray[np.float32]]],
    b: Sequence[Sequence[NDArray[np.float32]]],
    kind: int,
) -> bool:
    """Whether each part of `a` has its own in `b`, and each hole; one object at a time."""
    outlines_a, outlines_b = [p[0] for p in a if len(p)], [p[0] for p in b if len(p)]
    pairs = _pair_up(outlines_a, outlines_b, kind)
    if pairs is None:
        return False
    parts_a, parts_b = [p for p in a if len(p)], [p for p in b if len(p)]
    return all(
        _pair_up(part[1:], parts_b[j][1:], kind) is not None
        for part, j in zip(parts_a, pairs, strict=True)
    )


def _pair_up(
    a: Sequence[NDArray[np.float32]], b: Sequence[NDArray[np.float32]], kind: int
) -> list[int] | None:
    """For each ring of `a` another ring of `b`; None where one has no partner."""
    if len(a) != len(b):
        return None
    if not a:
        return []
    rings_a, rings_b = (_Rings.of(_one_ring_each(rings, kind)) for rings in (a, b))
    centres_a, centres_b = _box_centres(rings_a), _box_centres(rings_b)
    free, pairs = np.ones(len(b), bool), []
    for i, centre in enumerate(centres_a):
        near = np.flatnonzero(free & _near(np.broadcast_to(centre, centres_b.shape), centres_b))
        match = _same_rings(rings_a.take(np.full(len(near), i)), rings_b.take(near))
        if not match.any():
            return None
        pairs.append(int(near[match][0]))
        free[pairs[-1]] = False
    return pairs


def _box_centres(rings: _Rings) -> Points:
    """Centres of bounding boxes, which neither order nor direction changes."""
    starts = rings.offsets[:-1]
    low = np.minimum.reduceat(rings.xy, starts, axis=0)
    return (low + np.maximum.reduceat(rings.xy, starts, axis=0)) / 2


def _one_ring_each(rings: Sequence[NDArray[np.float32]], kind: int) -> Contours:
    steps = np.arange(len(rings) + 1, dtype=np.int32)
    offsets = np.concatenate([[0], np.cumsum([len(r) for r in rings])]).astype(np.int32)
    kinds = np.full(len(rings), kind, np.uint8)
    return Contours(np.concatenate(rings), offsets, steps, steps, kinds)
