"""What changed between two segmentations of one image: objects gained, lost and outlined anew."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import ObjectTable

__all__ = ["MATCHED_IOU", "SAME_IOU", "Changes", "find_changes"]

#: From here on two outlines are of one object, as in `metrics`; no object has two such partners.
MATCHED_IOU = 0.5
#: Below, the outline of a matched object counts as changed.
SAME_IOU = 0.75
_Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Changes:
    """Rows of two tables.

    Attributes
    ----------
    gained : (n,) int
        Rows of the later table that nothing in the earlier one matches.
    lost : (n,) int
        Rows of the earlier table that nothing in the later one matches.
    changed : (n, 2) int
        Rows of the earlier and of the later table: one object with another outline or class.
    kept : (n, 2) int
        The same of those that are as they were.
    """

    gained: _Rows
    lost: _Rows
    changed: _Rows
    kept: _Rows

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Gained, lost, changed, kept."""
        return len(self.gained), len(self.lost), len(self.changed), len(self.kept)


def find_changes(before: ObjectTable, after: ObjectTable, *, same_iou: float = SAME_IOU) -> Changes:
    """Match the objects of two tables and tell how they differ.

    Pairs that share more than half of their union are one object (of two pairs that share exactly
    half, the first). Of these, one has changed where it shares less than `same_iou`, or bears
    another class. Objects without an area match nothing.

    Parameters
    ----------
    before, after : ObjectTable
        In the same px.
    same_iou : float
        From `MATCHED_IOU` to 1.

    Raises
    ------
    ValueError
        `same_iou` is out of range.
    """
    if not MATCHED_IOU <= same_iou <= 1:
        raise ValueError(f"same_iou is {same_iou}; it must lie between {MATCHED_IOU} and 1.")
    pairs, iou = _matches(before, after)
    names = before.class_names[pairs[:, 0]], after.class_names[pairs[:, 1]]
    is_same = (iou >= same_iou) & (names[0] == names[1])
    return Changes(
        np.setdiff1d(np.arange(len(after)), pairs[:, 1]),
        np.setdiff1d(np.arange(len(before)), pairs[:, 0]),
        pairs[~is_same],
        pairs[is_same],
    )


def _matches(before: ObjectTable, after: ObjectTable) -> tuple[_Rows, NDArray[np.float64]]:
    """(n, 2) rows of what matches, by row of the earlier table, and its IoU."""
    import shapely

    old, new = (shapely.make_valid(table.to_shapely()) for table in (before, after))
    i, j = shapely.STRtree(new).query(old, predicate="intersects")
    common = shapely.area(shapely.intersection(old[i], new[j]))
    union = shapely.area(old)[i] + shapely.area(new)[j] - common
    iou = np.divide(common, union, out=np.zeros(len(i)), where=union > 0)
    good = iou >= MATCHED_IOU
    order = np.lexsort((j[good], i[good], -iou[good]))
    i, j, iou = i[good][order], j[good][order], iou[good][order]
    # Partners are unique but for ties at exactly one half: the first of each is taken.
    first = np.zeros(len(i), bool)
    taken: tuple[set[int], set[int]] = set(), set()
    for k, (a, b) in enumerate(zip(i.tolist(), j.tolist(), strict=True)):
        if a not in taken[0] and b not in taken[1]:
            first[k] = True
            taken[0].add(a)
            taken[1].add(b)
    rows = np.stack([i[first], j[first]], axis=1).astype(np.int64)
    by_row = np.argsort(rows[:, 0], kind="stable")
    return rows[by_row], iou[first][by_row]
