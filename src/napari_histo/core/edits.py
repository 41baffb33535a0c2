"""One change to a set of objects: what goes, and what comes in its place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, floor

import numpy as np

from napari_histo.core.box import Box
from napari_histo.core.classes import ClassScheme
from napari_histo.core.objects import ObjectTable

__all__ = ["Edit"]


@dataclass(frozen=True, eq=False)
class Edit:
    """Rows of `before` are replaced by rows of `after`; every gesture is one of these.

    An id in both is an object that changed; one in `before` alone is deleted, one in `after` alone
    is new. So undo is the same edit the other way round, and a journal is a list of edits.

    Attributes
    ----------
    name : str
        In the user's words: "Click", "Merge", "Relabel".
    before, after : ObjectTable
        Whole rows, in full-resolution px. Classes are matched by name.
    schemes : (ClassScheme, ClassScheme) or None
        The class scheme before and after, where the edit adds, renames or recolours classes.
        Positions are kept: a class keeps its place, new ones come last.
    """

    name: str
    before: ObjectTable
    after: ObjectTable
    schemes: tuple[ClassScheme, ClassScheme] | None = None

    @property
    def inverse(self) -> Edit:
        """The edit that takes this one back."""
        schemes = None if self.schemes is None else self.schemes[::-1]
        return replace(self, before=self.after, after=self.before, schemes=schemes)

    @property
    def box(self) -> Box:
        """Whole pixels (full resolution) that must be drawn anew; empty where nothing moved."""
        bounds = np.concatenate([self.before.contours.bounds, self.after.contours.bounds])
        bounds = bounds[np.isfinite(bounds).all(axis=1)]
        if not len(bounds):
            return Box(0, 0, 0, 0)
        left, top = bounds[:, :2].min(axis=0).tolist()
        right, bottom = bounds[:, 2:].max(axis=0).tolist()
        return Box.from_edges(floor(left), floor(top), ceil(right), ceil(bottom))
