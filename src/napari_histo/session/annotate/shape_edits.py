"""Rows of a table as an edit of their outlines leaves them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Contours, ObjectState, ObjectTable, new_ids

__all__ = ["pieces_of", "reshaped", "touched"]


def touched(rows: ObjectTable) -> NDArray[np.uint8]:
    """State of rows after a person's hand: what was drawn stays drawn, all else is edited."""
    drawn = rows.state == ObjectState.DRAWN
    return np.where(drawn, ObjectState.DRAWN, ObjectState.EDITED).astype(np.uint8)


def reshaped(rows: ObjectTable, contours: Contours) -> ObjectTable:
    """Rows with other outlines; measurements of the old ones are void."""
    void = {name: np.full(len(rows), np.nan) for name in rows.measurements}
    return rows.with_columns(contours=contours, state=touched(rows), measurements=void)


def pieces_of(row: ObjectTable, pieces: Contours) -> ObjectTable:
    """One row cut into pieces (k): copies of it, of which the largest keeps the id."""
    order = np.argsort(-pieces.areas_px, kind="stable")
    copies = reshaped(row.select(np.zeros(len(order), np.int64)), pieces.take(order))
    ids = new_ids(len(order))
    ids[0] = row.object_id[0]
    kept = {row.uuid(0): row.details_of(0)} if row.details else {}
    return copies.with_columns(object_id=ids, details=kept)
