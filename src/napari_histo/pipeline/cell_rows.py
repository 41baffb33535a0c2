"""Rows of a table of nuclei and a table of cells as rows of cells with nuclei."""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Contours, Details, ObjectState, ObjectTable, ObjectType

__all__ = ["as_cells", "paired_rows", "with_free_ids"]

#: Classes that say what an outline is, not what the cell is.
_PLAIN = ("Nucleus", "Nuclei", "Cell", "Cells", "None")


def paired_rows(nuclei: ObjectTable, cells: ObjectTable, clipped: Contours) -> ObjectTable:
    """Rows of nuclei (n) with the outlines of cells (n), as `join_cells` says."""
    names = nuclei.class_names
    plain = np.isin(names.astype(str), _PLAIN)
    better = plain & (cells.class_id >= 0)
    classes = nuclei.classes.union(cells.classes)
    place = {name: i for i, name in enumerate(classes.names)} | {None: -1}
    wanted = np.where(better, cells.class_names, names)
    untouched = nuclei.state == ObjectState.PREDICTED
    sources, source_id = _sources(nuclei, cells)
    measured = {k: _filled(nuclei.measurements.get(k), v) for k, v in cells.measurements.items()}
    return nuclei.with_columns(
        contours=cells.contours,
        nuclei=clipped,
        object_type=np.full(len(nuclei), ObjectType.CELL, np.uint8),
        classes=classes,
        class_id=np.array([place[name] for name in wanted], np.int32),
        class_prob=np.where(better, cells.class_prob, nuclei.class_prob),
        state=np.where(untouched, cells.state, nuclei.state),
        sources=sources,
        source_id=source_id,
        measurements={**nuclei.measurements, **measured},
        details=_details(nuclei, cells),
    )


def _filled(own: NDArray[np.float64] | None, other: NDArray[np.float64]) -> NDArray[np.float64]:
    return other if own is None else np.where(np.isnan(own), other, own)


def _sources(nuclei: ObjectTable, cells: ObjectTable) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """Who made each pair: "he-nuclei + cyto3"."""
    both = np.stack([nuclei.source_id, cells.source_id], axis=1)
    pairs, source_id = np.unique(both, axis=0, return_inverse=True)
    listed = ((*nuclei.sources, None), (*cells.sources, None))
    words = [dict.fromkeys(w for w in (listed[0][i], listed[1][j]) if w) for i, j in pairs.tolist()]
    names = [" + ".join(w) for w in words]
    sources = tuple(dict.fromkeys(name for name in names if name))
    place = np.array([sources.index(n) if n else -1 for n in names], np.int32)
    return sources, place[source_id.reshape(-1)] if len(place) else np.zeros(0, np.int32)


def _details(nuclei: ObjectTable, cells: ObjectTable) -> dict[UUID, Details]:
    """The nuclei's, but what says something on the outline is the cells'."""
    if not nuclei.details and not cells.details:
        return {}
    found: dict[UUID, Details] = {}
    for row, key in enumerate(nuclei.uuids()):
        own, outline = nuclei.details_of(row), cells.details_of(row)
        extra = {k: v for k, v in own.geometry_extra.items() if k != "isEllipse"}
        both = replace(own, geometry_extra={**extra, **outline.geometry_extra})
        if both != Details():
            found[key] = both
    return found


def as_cells(table: ObjectTable) -> ObjectTable:
    """Cells whose nucleus nobody found; a nucleus that they came with is another's word."""
    kind = np.full(len(table), ObjectType.CELL, np.uint8)
    return table.with_columns(object_type=kind, nuclei=None)


def with_free_ids(table: ObjectTable, taken: ObjectTable) -> ObjectTable:
    """Rows whose ids others have get new ones, the same at each call."""
    known = set(taken.uuids())
    rows = [row for row, key in enumerate(table.uuids()) if key in known]
    if not rows:
        return table
    ids = table.object_id.copy()
    for row in rows:
        digest = blake2b(ids[row].tobytes(), digest_size=16, person=b"napari-histo").digest()
        ids[row] = np.frombuffer(digest, np.uint8)
        ids[row, 6], ids[row, 8] = ids[row, 6] & 15 | 128, ids[row, 8] & 63 | 128
    return table.with_columns(object_id=ids, details={})
