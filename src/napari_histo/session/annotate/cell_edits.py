"""Edits of objects with two outlines: the one that is edited changes, the other one follows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_histo.core import Box, Contours, ObjectTable, ObjectType
from napari_histo.ops import edit as shapes
from napari_histo.ops.cells import clip
from napari_histo.session.annotate.shape_edits import pieces_of, reshaped
from napari_histo.session.annotate.state import Outline

__all__ = ["cut", "has_nucleus", "merged", "moved", "outline_of", "shown_outline", "with_outline"]


def has_nucleus(rows: ObjectTable) -> np.ndarray:
    """(n,) which rows have a second outline."""
    if rows.nuclei is None:
        return np.zeros(len(rows), bool)
    found: np.ndarray = np.diff(rows.nuclei.object_offsets) > 0
    return found


def outline_of(rows: ObjectTable, which: Outline) -> Contours:
    """The outlines that an edit is about; empty rows where there is no nucleus."""
    if which is Outline.CELL:
        return rows.contours
    return Contours.empty(len(rows)) if rows.nuclei is None else rows.nuclei


def shown_outline(rows: ObjectTable, which: Outline) -> Contours:
    """As `outline_of`; the whole object where it has no nucleus."""
    own = has_nucleus(rows)
    if which is Outline.CELL or rows.nuclei is None or not own.any():
        return rows.contours
    both = Contours.concat([rows.contours, rows.nuclei])
    return both.take(np.arange(len(rows)) + len(rows) * own)


def with_outline(rows: ObjectTable, contours: Contours, which: Outline) -> ObjectTable:
    """Rows with other outlines (n); nuclei stay within their cells.

    A nucleus is clipped to its cell, whichever of the two was edited, and goes where nothing of it
    is left; what gets a nucleus is a cell from then on.
    """
    if which is Outline.CELL:
        after = reshaped(rows, contours)
        return after if rows.nuclei is None else _with_nuclei(after, rows.nuclei)
    return _with_nuclei(reshaped(rows, rows.contours), contours)


def merged(rows: ObjectTable) -> ObjectTable:
    """One object of several: the row of the largest, around all of them; so is its nucleus.

    Nuclei that do not meet are parts of one: a cell with two nuclei loses none.
    """
    largest = rows.select([int(np.argmax(rows.areas_px))])
    after = reshaped(largest, shapes.merge(rows.contours))
    own = has_nucleus(rows)
    if rows.nuclei is None or not own.any():
        return after
    return _with_nuclei(after, shapes.merge(rows.nuclei.take(own)))


def cut(row: ObjectTable, pieces: Contours) -> ObjectTable:
    """One row cut into pieces (k); each keeps what lies in it of the nucleus."""
    copies = pieces_of(row, pieces)
    return copies if copies.nuclei is None else _with_nuclei(copies, copies.nuclei)


def moved(rows: ObjectTable, by: tuple[float, float], within: Box | None) -> ObjectTable:
    """Both outlines moved (x, y), px; nothing beyond a box stays."""
    away = rows.transform(1, by)
    after = reshaped(rows, shapes.clean(away.contours, within=within))
    if away.nuclei is not None:
        after = _with_nuclei(after, shapes.clean(away.nuclei))
    return after.select(np.isfinite(after.contours.bounds).all(axis=1))


def _with_nuclei(rows: ObjectTable, nuclei: Contours) -> ObjectTable:
    """Rows with other nuclei (n), clipped to their cells."""
    clipped = clip(nuclei, rows.contours)
    own = np.diff(clipped.object_offsets) > 0
    kind = np.where(own, ObjectType.CELL, rows.object_type).astype(np.uint8)
    return replace(rows, nuclei=clipped, object_type=kind)
