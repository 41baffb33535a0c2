# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sync asks of the project's side, be it QuPath or a folder of exchanged files."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import CancelToken, ObjectTable, Progress, result_of
from napari_histo.core.bridge import ImageEntry, WriteMode, WriteReport
from qupath_bridge._bridge_checks import check_ids
from qupath_bridge._differences import what_to_write

__all__ = ["SteppedBridge", "SyncBridge"]


class SyncBridge(Protocol):
    """What a sync asks of the project's side."""

    def facts(self, entry: ImageEntry) -> Any:
        """Something that stays equal as long as nobody changes the image's objects."""
        ...

    def reading(
        self, entry: ImageEntry, cancel: CancelToken | None = None
    ) -> Generator[Progress, None, ObjectTable]:
        """Objects of one image; classes of the project come first."""
        ...

    def marks(
        self, entry: ImageEntry, cancel: CancelToken | None = None
    ) -> Generator[Progress, None, list[str]]:
        """Marks of the writes that an image's objects are based on."""
        ...

    def pushing(
        self,
        entry: ImageEntry,
        upserts: ObjectTable,
        removed: NDArray[np.uint8],
        *,
        expected: Any = None,
        mark: str = "",
        cancel: CancelToken | None = None,
    ) -> Generator[Progress, None, WriteReport]:
        """Write whole rows and remove ids, unless `facts` are not `expected` any more."""
        ...


class SteppedBridge(SyncBridge):
    """A :class:`napari_histo.core.bridge.ProjectBridge` by the steps of a `SyncBridge`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of what is kept open; nothing by default."""

    def read_objects(self, entry: ImageEntry) -> ObjectTable:
        """Objects of one image; see `reading`."""
        return result_of(self.reading(entry))

    def write_objects(
        self, entry: ImageEntry, table: ObjectTable, mode: WriteMode = "merge"
    ) -> WriteReport:
        """Write objects; see `writing`."""
        return result_of(self.writing(entry, table, mode))

    def writing(
        self,
        entry: ImageEntry,
        table: ObjectTable,
        mode: WriteMode = "merge",
        cancel: CancelToken | None = None,
    ) -> Generator[Progress, None, WriteReport]:
        """Write what differs in `table`, matched by id.

        Parameters
        ----------
        entry : ImageEntry
        table : ObjectTable
            Ids must be unique.
        mode : {"merge", "replace"}
            Whether objects that `table` lacks stay, or go (TMA cores always stay).
        cancel : CancelToken, optional
            Looked at until the new files are put in place.

        Raises
        ------
        TargetChangedError, WriteError, BridgeError
            As of `pushing` and `reading`.
        """
        check_ids(table)
        before = self.facts(entry)
        current = yield from self.reading(entry, cancel)
        write = what_to_write(current, table, mode)
        yield from self.pushing(entry, write.upserts, write.removed, expected=before, cancel=cancel)
        return write.report
