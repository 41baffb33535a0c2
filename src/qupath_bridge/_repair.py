# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects that share an id, as after a GeoJSON file was loaded twice, told apart again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from uuid import UUID, uuid5

import numpy as np

from napari_histo.core import ObjectTable
from napari_histo.errors import BridgeError
from qupath_bridge._align import groups_of, ids_array

__all__ = ["Repair", "content_id", "refuse_doubles", "repair"]


@dataclass(frozen=True)
class Repair:
    """What was done about ids that occurred more than once on a side.

    Attributes
    ----------
    ids : tuple of UUID
        The ids; the first object of each keeps it.
    n_dropped : int
        Further objects that said the same as the first; one is enough.
    renamed : tuple of (UUID, UUID)
        Shared id and new id of further objects that say something else. The new id comes from the
        old one and the content, so that a repair that is cut short is not done twice.
    """

    ids: tuple[UUID, ...] = ()
    n_dropped: int = 0
    renamed: tuple[tuple[UUID, UUID], ...] = ()


def repair(table: ObjectTable) -> tuple[ObjectTable, Repair]:
    """A table in which each id stands once."""
    group, first = groups_of(table.object_id)
    if len(first) == len(table):
        return table, Repair()
    later = np.setdiff1d(np.arange(len(table)), first)
    known: set[UUID] = set(table.uuids())
    seen: dict[UUID, set[str]] = {}
    ids, details = table.object_id.copy(), dict(table.details)
    keep, renamed = np.ones(len(table), bool), []
    for row in later.tolist():
        old, head = table.uuid(row), int(first[group[row]])
        heads = seen.setdefault(old, {_digest(table, head)})
        digest = _digest(table, row)
        new = uuid5(old, digest)
        keep[row] = digest not in heads and new not in known
        heads.add(digest)
        if keep[row]:
            ids[row] = np.frombuffer(new.bytes, np.uint8)
            renamed.append((old, new))
            if old in details:
                details[new] = details[old]
    done = Repair(tuple(seen), int((~keep).sum()), tuple(renamed))
    return replace(table, object_id=ids, details=details).select(keep), done


def refuse_doubles(table: ObjectTable) -> None:
    """Raise where a base holds an id twice; it was written by a merge, so it is damaged.

    Raises
    ------
    BridgeError
    """
    _, first = groups_of(table.object_id)
    if len(first) < len(table):
        raise BridgeError(
            f"The snapshot of the last sync holds {len(table) - len(first)} objects twice, which "
            "no sync writes. Take the snapshot before it, or sync without one: then nothing is "
            "deleted."
        )


def content_id(table: ObjectTable, row: int) -> UUID:
    """Id of a copy of an object: the same for the same content, wherever it is made."""
    return uuid5(table.uuid(row), _digest(table, row))


def _digest(table: ObjectTable, row: int) -> str:
    """Hash of all that an object says, its id aside."""
    one = table.select([row])
    outlines = [one.contours] + ([one.nuclei] if one.nuclei is not None else [])
    measured = {k: float(np.float32(v[0])) for k, v in one.measurements.items() if v[0] == v[0]}
    details = one.details_of(0)
    words = (
        one.class_names[0],
        np.array([*one.sources, None], object)[one.source_id[0]],
        int(one.state[0]),
        int(one.object_type[0]),
        sorted(measured.items()),
        [float(one.det_prob[0]), float(one.class_prob[0])],
        [details.name, details.description, details.rgb, details.locked, str(details.parent_id)],
        sorted(details.metadata.items()),
        sorted((k, repr(v)) for k, v in details.geometry_extra.items()),
    )
    digest = hashlib.sha256(repr(words).encode())
    for outline in outlines:
        digest.update(np.round(outline.xy.astype(np.float64), 2).tobytes())
        digest.update(outline.ring_offsets.tobytes() + outline.part_offsets.tobytes())
    return digest.hexdigest()


def renamed_ids(done: Repair) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """(k, 16) ids that a side must be given anew: shared ones and those that took their place."""
    return ids_array([*done.ids, *(new for _, new in done.renamed)])
