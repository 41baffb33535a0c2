"""Vectorised gathering of ragged slices."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["gather", "gather_offsets", "offsets_of", "range_union"]

Item = TypeVar("Item", bound=np.generic)

#: Ranges that hold fewer items at the mean are gathered by index.
_LONG = 256


def offsets_of(lengths: Iterable[int]) -> NDArray[np.int32]:
    """Where each of the items that follow one another begins, and the last one ends.

    Examples
    --------
    >>> offsets_of([2, 3]).tolist()
    [0, 2, 5]
    """
    sizes = np.fromiter(lengths, np.int64)
    offsets = np.zeros(len(sizes) + 1, np.int32)
    np.cumsum(sizes, out=offsets[1:])
    return offsets


def range_union(starts: NDArray[np.integer], lengths: NDArray[np.integer]) -> NDArray[np.int64]:
    """Concatenation of ``arange(start, start + length)`` for each pair, without a Python loop.

    Examples
    --------
    >>> range_union(np.array([5, 0]), np.array([2, 3]))
    array([5, 6, 0, 1, 2])
    """
    lengths = np.asarray(lengths, np.int64)
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    shift = np.repeat(np.asarray(starts, np.int64) - (ends - lengths), lengths)
    union: NDArray[np.int64] = np.arange(total, dtype=np.int64) + shift
    return union


def gather_offsets(
    offsets: NDArray[np.integer], rows: NDArray[np.integer]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Offsets of the chosen rows, packed anew, and the positions of their items one floor below."""
    packed, starts, lengths = _packed(offsets, rows)
    return packed, range_union(starts, lengths)


def gather(
    items: NDArray[Item], offsets: NDArray[np.integer], rows: NDArray[np.integer]
) -> tuple[NDArray[np.int32], NDArray[Item]]:
    """Offsets of the chosen rows, packed anew, and their items.

    Rows that follow one another are copied in one go: most of a million in a fifth of the time.
    """
    packed, starts, lengths = _packed(offsets, rows)
    ends = starts + lengths
    first = np.flatnonzero(np.concatenate([[True], starts[1:] != ends[:-1]]))[: len(rows)]
    if packed[-1] <= _LONG * len(first):
        return packed, items[range_union(starts, lengths)]
    last = np.append(first[1:], len(rows)) - 1
    runs = zip(starts[first].tolist(), ends[last].tolist(), strict=True)
    return packed, np.concatenate([items[a:b] for a, b in runs])


def _packed(
    offsets: NDArray[np.integer], rows: NDArray[np.integer]
) -> tuple[NDArray[np.int32], NDArray[np.integer], NDArray[np.integer]]:
    """New offsets of the chosen rows; where each began, and its length."""
    starts = offsets[rows]
    lengths = offsets[rows + 1] - starts
    packed = np.zeros(len(rows) + 1, np.int32)
    np.cumsum(lengths, out=packed[1:])
    return packed, starts, lengths
