# SPDX-License-Identifier: GPL-3.0-or-later
"""The hierarchy as an array: for each object the line of its parent, or -1 at the top."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_histo.errors import BridgeError
from qupath_bridge._align import Aligned, ids_array

__all__ = ["lift", "members_of_cycles", "parents_of", "refuse_cycles"]

Mask = NDArray[np.bool_]
Lines = NDArray[np.int64]
_NAMES = ("the last sync", "our side", "their side")


def parents_of(aligned: Aligned, side: int) -> Lines:
    """(n,) line of each object's parent on one side; -1 for none."""
    parents = np.full(len(aligned), -1, np.int64)
    linked = [(k, d.parent_id) for k, d in aligned.tables[side].details.items()]
    pairs = [(child, parent) for child, parent in linked if parent is not None]
    if pairs:
        children = aligned.find(ids_array(child for child, _ in pairs))
        known = children >= 0
        parents[children[known]] = aligned.find(ids_array(p for _, p in pairs))[known]
    parents[~aligned.has(side)] = -1
    return parents


def lift(parents: Lines, alive: Mask, ancestry: Lines) -> Lines:
    """Parents that are not `alive` replaced by the nearest ancestor that is; -1 where none is.

    Parameters
    ----------
    parents : (n,) int64
    alive : (n,) bool
    ancestry : (n,) int64
        Parent of each object that is gone, as it last was.
    """
    lifted = parents.copy()
    # No chain without a cycle is longer than there are objects, nor has more steps than deaths.
    for _ in range(int((~alive).sum()) + 1):
        dead = np.flatnonzero((lifted >= 0) & ~alive[lifted])
        if not len(dead):
            return lifted
        lifted[dead] = ancestry[lifted[dead]]
    lifted[(lifted >= 0) & ~alive[lifted]] = -1
    return lifted


def members_of_cycles(parents: Lines) -> Lines:
    """Lines of objects that are their own ancestors.

    Each round doubles how far up every object looks; whoever is still looked at after more steps
    than there are objects stands on a cycle.
    """
    up, steps = parents.copy(), 1
    while steps <= len(parents) and (up >= 0).any():
        up = np.where(up >= 0, up[up], -1)
        steps *= 2
    return np.unique(up[up >= 0])


def refuse_cycles(aligned: Aligned, parents: Lines, side: int) -> None:
    """Raise where a side's hierarchy bites its own tail; no program can draw it.

    Raises
    ------
    BridgeError
        With ids of objects to mend.
    """
    cycle = members_of_cycles(parents)
    if len(cycle):
        ids = ", ".join(str(aligned.uuid(line)) for line in cycle[:5])
        raise BridgeError(
            f"On {_NAMES[side]}, {len(cycle)} objects are each other's parents: {ids}. A hierarchy "
            "must end at the image. Give one of them another parent, then sync again."
        )
