"""A walk through objects, the least certain first."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import ceil, floor
from uuid import UUID

import numpy as np

from napari_histo.core import Box, ObjectState, ObjectTable
from napari_histo.session.annotation_state import Review
from napari_histo.session.objects import EditableObjects

__all__ = ["Walk"]


class Walk:
    """Ids in the order of the walk, and where it stands. Objects that went meanwhile are skipped.

    Parameters
    ----------
    ids : sequence of UUID
    """

    def __init__(self, ids: Sequence[UUID]) -> None:
        self._ids = list(ids)
        self._at = 0

    def __bool__(self) -> bool:
        return bool(self._ids)

    @classmethod
    def least_certain_first(cls, table: ObjectTable) -> Walk:
        """Through what a model found and nobody confirmed; unknown probabilities come first."""
        rows = np.flatnonzero(table.state == ObjectState.PREDICTED)
        prob = np.nan_to_num(table.det_prob[rows], nan=-1.0)
        return cls(table.select(rows[np.argsort(prob, kind="stable")]).uuids())

    def step(self, objects: EditableObjects, by: int) -> UUID | None:
        """Move on to the next living object in the direction of `by`, or stay where there is none.

        None when the walk is over.
        """
        place, forward = self._at + by, -1 if by < 0 else 1
        while 0 <= place < len(self._ids):
            if self._ids[place] in objects:
                self._at = place
                return self._ids[place]
            place += forward
        if by < 0 and self._at < len(self._ids) and self._ids[self._at] in objects:
            return self._ids[self._at]
        return None

    def after(self, selection: Collection[UUID], objects: EditableObjects) -> UUID | None:
        """The object after the one that is being decided on, where it is the one under review."""
        if not self._ids or self._ids[self._at] not in selection:
            return self._ids[self._at] if self._ids and self._ids[self._at] in objects else None
        return self.step(objects, 1)

    def at(self, object_id: UUID, objects: EditableObjects) -> Review:
        """The review's state, with the object's bounds to bring into view."""
        left, top, right, bottom = objects.get([object_id]).contours.bounds[0].tolist()
        box = Box.from_edges(floor(left), floor(top), ceil(right), ceil(bottom))
        return Review(self._at + 1, len(self._ids), object_id, box)
