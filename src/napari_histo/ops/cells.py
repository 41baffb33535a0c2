"""Which nucleus is whose cell's: by overlap, one nucleus a cell; and nuclei kept within cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, sparse
from scipy.sparse import csgraph

from napari_histo.core import Contours

__all__ = ["Overlaps", "assign", "clip", "overlaps", "without"]

#: Groups of up to so many possible pairs are solved as a full matrix, larger ones as a sparse one.
_DENSE = 1 << 14
#: As QuPath writes coordinates.
_GRID_PX = 0.01

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Pairs of a nucleus and a cell that overlap.

    Attributes
    ----------
    nucleus, cell : (k,) int64
        Rows.
    area_px : (k,) float64
        Of what they share, px²; above 0.
    share : (k,) float64
        Share of the nucleus that lies in the cell.
    """

    nucleus: Rows
    cell: Rows
    area_px: NDArray[np.float64]
    share: NDArray[np.float64]

    def take(self, pairs: NDArray[Any]) -> Overlaps:
        """Some pairs, by number or mask."""
        return Overlaps(
            self.nucleus[pairs], self.cell[pairs], self.area_px[pairs], self.share[pairs]
        )

    def moved(self, nucleus: Rows, cell: Rows) -> Overlaps:
        """The same pairs of larger tables, whose rows these were."""
        return Overlaps(nucleus[self.nucleus], cell[self.cell], self.area_px, self.share)

    @staticmethod
    def concat(parts: Sequence[Overlaps]) -> Overlaps:
        """All pairs, by nucleus and cell: the order of the parts does not matter."""
        nothing = np.zeros(0)
        parts = parts or [Overlaps(nothing.astype(int), nothing.astype(int), nothing, nothing)]
        names = ("nucleus", "cell", "area_px", "share")
        whole = Overlaps(*(np.concatenate([getattr(p, n) for p in parts]) for n in names))
        return whole.take(np.lexsort((whole.cell, whole.nucleus)))


def overlaps(nuclei: Contours, cells: Contours) -> Overlaps:
    """All pairs that share an area; found by a tree over the bounds, not each against each."""
    import shapely

    inner, outer = _areas(nuclei), _areas(cells)
    nucleus, cell = shapely.STRtree(outer).query(inner, predicate="intersects")
    shared = shapely.area(shapely.intersection(inner[nucleus], outer[cell]))
    share = shared / np.maximum(shapely.area(inner)[nucleus], np.finfo(float).tiny)
    pairs = Overlaps(nucleus.astype(np.int64), cell.astype(np.int64), shared, share)
    return pairs.take(shared > 0)


def assign(pairs: Overlaps, n_nuclei: int, *, least_share: float = 0.5) -> Rows:
    """The cell of each nucleus: of all ways to give a cell one nucleus, that with the most overlap.

    Pairs that hang together are solved group by group (Jonker and Volgenant, 1987, as in scipy).

    Parameters
    ----------
    pairs : Overlaps
    n_nuclei : int
    least_share : float
        Share of a nucleus that must lie in its cell, 0 to 1.

    Returns
    -------
    (n_nuclei,) int64
        Row of the cell, -1 where there is none. No cell is named twice.
    """
    pairs = pairs.take(pairs.share >= least_share)
    chosen = np.full(n_nuclei, -1, np.int64)
    groups = _groups(pairs, n_nuclei)
    order = np.argsort(groups, kind="stable")
    sizes = np.bincount(groups)
    alone = sizes[groups] == 1
    chosen[pairs.nucleus[alone]] = pairs.cell[alone]
    first = np.cumsum(sizes) - sizes
    for group in np.flatnonzero(sizes > 1).tolist():
        some = pairs.take(order[first[group] : first[group] + sizes[group]])
        best = some.take(_best(some))
        chosen[best.nucleus] = best.cell
    return chosen


def clip(nuclei: Contours, cells: Contours) -> Contours:
    """Nuclei (n) without what reaches beyond their cells (n), row by row.

    Of a nucleus that its cell cuts in two the largest piece stays, unless it was in pieces before;
    one that has nothing in its cell becomes an empty row. Nuclei that lie within are untouched, all
    others are rounded to 0.01 px, and may so stand out by that much.
    """
    import shapely

    inner, outer = _areas(nuclei), _areas(cells)
    out = np.flatnonzero(~shapely.covers(outer, inner) & ~shapely.is_empty(inner))
    if not len(out):
        return nuclei
    cut = _polygonal(shapely.intersection(inner[out], outer[out]))
    single = shapely.get_num_geometries(inner[out]) == 1
    cut[single] = [_largest(shape) for shape in cut[single]]
    return _patched(nuclei, out, cut)


def without(contours: Contours, others: Contours, keep: Contours) -> Contours:
    """Outlines (n) without what `others` (any number) cover; what `keep` (n) holds stays.

    Where an outline falls apart, the piece that holds the most of `keep` stays.
    """
    import shapely

    shapes, kept, there = _areas(contours), _areas(keep), _areas(others)
    row, other = shapely.STRtree(there).query(shapes, predicate="intersects")
    if not len(row):
        return contours
    rows, first = np.unique(row, return_index=True)
    covered = [shapely.union_all(there[some]) for some in np.split(other, first[1:])]
    left = shapely.union(shapely.difference(shapes[rows], np.array(covered)), kept[rows])
    left = _polygonal(left)
    best = [_largest(s, within=k) for s, k in zip(left, kept[rows], strict=True)]
    return _patched(contours, rows, np.array(best, object))


# -- pairs ---------------------------------------------------------------------------------------


def _groups(pairs: Overlaps, n_nuclei: int) -> Rows:
    """(k,) number of the group of pairs that each hangs together with."""
    if not len(pairs.nucleus):
        return np.zeros(0, np.int64)
    n = n_nuclei + int(pairs.cell.max()) + 1
    edges = (np.ones(len(pairs.nucleus), bool), (pairs.nucleus, n_nuclei + pairs.cell))
    _, group = csgraph.connected_components(sparse.coo_array(edges, shape=(n, n)), directed=False)
    numbers: Rows = np.unique(group[pairs.nucleus], return_inverse=True)[1].astype(np.int64)
    return numbers


def _best(pairs: Overlaps) -> Rows:
    """Which pairs of one group together have the largest area, one nucleus a cell."""
    nuclei, i = np.unique(pairs.nucleus, return_inverse=True)
    cells, j = np.unique(pairs.cell, return_inverse=True)
    if len(nuclei) == 1 or len(cells) == 1:
        return np.array([np.argmax(pairs.area_px)])
    if len(nuclei) * len(cells) <= _DENSE:
        gain = np.zeros((len(nuclei), len(cells)))
        gain[i, j] = pairs.area_px
        row, column = optimize.linear_sum_assignment(gain, maximize=True)
    else:
        # Nuclei may stay alone: each has a place of its own, worth next to nothing.
        least = pairs.area_px.min() * 1e-9
        places = sparse.diags_array(np.full(len(nuclei), least))
        found = sparse.coo_array((pairs.area_px, (i, j)), shape=(len(nuclei), len(cells)))
        gain_or_place = sparse.hstack([found, places]).tocsr()
        row, column = csgraph.min_weight_full_bipartite_matching(gain_or_place, maximize=True)
    taken = np.full(len(nuclei), -1)
    taken[row] = column
    best: Rows = np.flatnonzero(taken[i] == j)
    return best


# -- shapes --------------------------------------------------------------------------------------


def _areas(contours: Contours) -> NDArray[np.object_]:
    """Valid areas; lines, points and rows with odd numbers are empty ones."""
    import shapely

    odd = np.zeros(len(contours), bool)
    odd[contours.vertex_object[~np.isfinite(contours.xy).all(axis=1)]] = True
    shapes = np.full(len(contours), shapely.Polygon(), object)
    shapes[~odd] = contours.to_shapely(~odd)
    shapes[contours.kind != 0] = shapely.Polygon()
    bad = ~shapely.is_valid(shapes)
    shapes[bad] = _polygonal(shapely.make_valid(shapes[bad]))
    return shapes


def _polygonal(shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    """Rounded areas, without the lines and points that cutting leaves."""
    import shapely

    rounded = shapely.make_valid(shapely.set_precision(shapes, _GRID_PX))
    mixed = ~np.isin(shapely.get_type_id(rounded), (3, 6))
    rounded[mixed] = [
        shapely.union_all([p for p in shapely.get_parts(s) if p.area > 0]) for s in rounded[mixed]
    ]
    return np.asarray(rounded, object)


def _largest(shape: Any, within: Any = None) -> Any:
    """The largest piece, or that which holds the most of another shape."""
    import shapely

    parts = shapely.get_parts(shape)
    if len(parts) < 2:
        return shape
    held = parts if within is None else shapely.intersection(parts, within)
    return parts[int(np.argmax(shapely.area(held)))]


def _patched(contours: Contours, rows: Rows, shapes: NDArray[np.object_]) -> Contours:
    """Contours with other outlines in some rows."""
    at = np.arange(len(contours))
    at[rows] = len(contours) + np.arange(len(rows))
    return Contours.concat([contours, Contours.from_shapely(shapes)]).take(at)
