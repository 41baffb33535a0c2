"""A walk through objects, the least certain first."""

from __future__ import annotations

from collections.abc import Collection
from math import ceil, floor
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, ObjectState, ObjectTable
from napari_histo.session.annotate.objects import EditableObjects
from napari_histo.session.annotate.row_ids import as_keys
from napari_histo.session.annotate.state import Review

__all__ = ["Walk"]


class Walk:
    """Ids in the order of the walk, and where it stands. Objects that went meanwhile are skipped.

    Parameters
    ----------
    object_id : (n, 16) uint8, optional
        As in `ObjectTable`: a million UUIDs would take seconds to make.
    """

    def __init__(self, object_id: NDArray[np.uint8] | None = None) -> None:
        self._ids = np.empty((0, 16), np.uint8) if object_id is None else object_id
        self._at = 0

    def __bool__(self) -> bool:
        return len(self._ids) > 0

    def _living(self, place: int, objects: EditableObjects) -> UUID | None:
        """Id at a place of the walk, where its object is there still."""
        if not 0 <= place < len(self._ids):
            return None
        object_id = UUID(bytes=self._ids[place].tobytes())
        return object_id if object_id in objects else None

    @classmethod
    def least_certain_first(cls, table: ObjectTable) -> Walk:
        """Through what a model found and nobody confirmed; unknown probabilities come first."""
        rows = np.flatnonzero(table.state == ObjectState.PREDICTED)
        prob = np.nan_to_num(table.det_prob[rows], nan=-1.0)
        return cls(table.object_id[rows[np.argsort(prob, kind="stable")]])

    def with_rest(self, object_id: NDArray[np.uint8]) -> Walk:
        """The same walk up to where it stands; then `object_id`, without what was passed."""
        passed = self._ids[: self._at + 1]
        new = ~np.isin(as_keys(object_id), as_keys(passed))
        walk = Walk(np.concatenate([passed, object_id[new]]))
        walk._at = self._at
        return walk

    def step(self, objects: EditableObjects, by: int) -> UUID | None:
        """Move on to the next living object in the direction of `by`, or stay where there is none.

        None when the walk is over.
        """
        place, forward = self._at + by, -1 if by < 0 else 1
        while 0 <= place < len(self._ids):
            object_id = self._living(place, objects)
            if object_id is not None:
                self._at = place
                return object_id
            place += forward
        return self._living(self._at, objects) if by < 0 else None

    def after(self, selection: Collection[UUID], objects: EditableObjects) -> UUID | None:
        """The object after the one that is being decided on, where it is the one under review."""
        current = self._living(self._at, objects)
        return self.step(objects, 1) if current in selection else current

    def at(self, object_id: UUID, objects: EditableObjects) -> Review:
        """The review's state, with the object's bounds to bring into view."""
        left, top, right, bottom = objects.get([object_id]).contours.bounds[0].tolist()
        box = Box.from_edges(floor(left), floor(top), ceil(right), ceil(bottom))
        return Review(self._at + 1, len(self._ids), object_id, box)
