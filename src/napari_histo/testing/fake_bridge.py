"""A project in memory, for tests of whatever talks to one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

import numpy as np

from napari_histo.core import ObjectTable
from napari_histo.core.bridge import ImageEntry, WriteMode, WriteReport
from napari_histo.errors import BridgeError

__all__ = ["FakeBridge"]


class FakeBridge:
    """A `napari_histo.core.bridge.ProjectBridge` without files, QuPath or Java.

    Parameters
    ----------
    objects : mapping of str to ObjectTable
        What each image holds, by name; in the project's order.

    Examples
    --------
    >>> bridge = FakeBridge({"slide 1": ObjectTable.empty()})
    >>> [entry.name for entry in bridge.images()]
    ['slide 1']
    """

    def __init__(self, objects: Mapping[str, ObjectTable]) -> None:
        self._entries = [
            ImageEntry(str(i + 1), name, f"file:///{name}") for i, name in enumerate(objects)
        ]
        self._tables = dict(zip([e.entry_id for e in self._entries], objects.values(), strict=True))

    def images(self) -> Sequence[ImageEntry]:
        """All images."""
        return list(self._entries)

    def read_objects(self, entry: ImageEntry) -> ObjectTable:
        """Objects of an image."""
        try:
            return self._tables[entry.entry_id]
        except KeyError:
            raise BridgeError(
                f"There is no image with id {entry.entry_id!r} ({entry.name}); the project has "
                f"{', '.join(self._tables) or 'none'}. Read the list of images again."
            ) from None

    def write_objects(
        self, entry: ImageEntry, table: ObjectTable, mode: WriteMode = "merge"
    ) -> WriteReport:
        """Write objects, matched by id."""
        before = self.read_objects(entry)
        old, new = _rows_by_id(before), _rows_by_id(table)
        if len(new) < len(table):
            raise BridgeError(
                f"{len(table) - len(new)} objects have the id of another one. Give each its own."
            )
        gone = old.keys() - new.keys() if mode == "replace" else set()
        common = [key for key in new if key in old]
        changed = [key for key in common if not _same(before, old[key], table, new[key])]
        kept = [row for key, row in old.items() if key not in gone and key not in changed]
        added = [row for key, row in new.items() if key not in old]
        written = np.array([*added, *(new[key] for key in changed)], np.int64)
        parts = [ObjectTable.empty(table.classes), before.select(kept), table.select(written)]
        self._tables[entry.entry_id] = ObjectTable.concat(parts)
        return WriteReport(len(added), len(changed), len(gone), len(old) - len(changed) - len(gone))


def _rows_by_id(table: ObjectTable) -> dict[UUID, int]:
    return {key: row for row, key in enumerate(table.uuids())}


def _same(a: ObjectTable, row_a: int, b: ObjectTable, row_b: int) -> bool:
    """Whether two rows say the same, slowly and to the bit."""
    one, other = a.select([row_a]), b.select([row_b])
    names = ("class_prob", "det_prob", "state", "object_type")
    pairs = [(getattr(one, name), getattr(other, name)) for name in names]
    pairs += [(one.contours.xy, other.contours.xy), _nuclei(one, other)]
    pairs += [(one.contours.ring_offsets, other.contours.ring_offsets)]
    absent = np.full(1, np.nan)
    pairs += [
        (one.measurements.get(name, absent), other.measurements.get(name, absent))
        for name in one.measurements.keys() | other.measurements.keys()
    ]
    return (
        one.class_names.tolist() == other.class_names.tolist()
        and one.details_of(0) == other.details_of(0)
        and all(_equal(x, y) for x, y in pairs)
    )


def _nuclei(one: ObjectTable, other: ObjectTable) -> tuple[np.ndarray, np.ndarray]:
    none = np.zeros((0, 2), np.float32)
    a, b = (none if table.nuclei is None else table.nuclei.xy for table in (one, other))
    return a, b


def _equal(x: np.ndarray, y: np.ndarray) -> bool:
    return x.shape == y.shape and bool(np.array_equal(x, y, equal_nan=x.dtype.kind == "f"))
