# SPDX-License-Identifier: GPL-3.0-or-later
"""A QuPath project as a :class:`napari_histo.core.bridge.ProjectBridge`."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import CancelToken, ObjectTable, Progress
from napari_histo.core.bridge import ImageEntry, WriteReport
from napari_histo.errors import BridgeError, WriteError
from qupath_bridge._bridge_checks import (
    check_count,
    check_types,
    expected_bytes,
    limit_s,
    stamp_of,
    whole,
)
from qupath_bridge._class_file import add_classes
from qupath_bridge._sync_bridge import SteppedBridge
from qupath_bridge._transfer import Change, read_entry, verify, write_entry
from qupath_bridge.client import Limits, WorkerClient
from qupath_bridge.project import ProjectEntry, QuPathProject, open_project
from qupath_bridge.safety import (
    EntryFacts,
    backups_of,
    check_disk,
    check_may_write,
    keep_copy,
    new_files,
    project_lock,
    put_in_place,
    restore,
    to_disk,
)

__all__ = ["QuPathBridge"]

_N_KEPT, _N_TRIES = 5, 3


class QuPathBridge(SteppedBridge):
    """Reads and writes the objects of a project's images through QuPath itself.

    Parameters
    ----------
    project : path
        The ``project.qpproj`` or its folder.
    read_only : bool
        Refuse every write.
    n_kept : int
        Copies of an image's data to keep, one a write.
    limits : Limits, optional
        Of the Java process.
    client, checker : WorkerClient, optional
        Running ones, the second to check what the first wrote. They must belong to this project,
        for QuPath keeps one colour a class name as long as Java lives.

    Notes
    -----
    Use as a context manager, or `close` it, to end the Java process. Reading writes nothing to the
    project's folder.
    """

    def __init__(
        self,
        project: Path | str,
        *,
        read_only: bool = False,
        n_kept: int = _N_KEPT,
        limits: Limits | None = None,
        client: WorkerClient | None = None,
        checker: WorkerClient | None = None,
    ) -> None:
        self._file = open_project(project).file
        self._read_only = read_only
        self._n_kept = n_kept
        self._client = client or WorkerClient(limits=limits)
        self._checker = checker or WorkerClient(limits=limits)

    def close(self) -> None:
        """End the Java processes."""
        self._client.close()
        self._checker.close()

    @property
    def project(self) -> QuPathProject:
        """The project as it is on disk now."""
        return open_project(self._file)

    # -- ProjectBridge ---------------------------------------------------------------------------

    def images(self) -> Sequence[ImageEntry]:
        """All images, in the project's order."""
        return self.project.images()

    # -- with progress ---------------------------------------------------------------------------

    def facts(self, entry: ImageEntry) -> EntryFacts:
        """Facts of an image's files now; another save changes them."""
        return EntryFacts.of(self.project.entry(entry.entry_id).folder)

    def reading(
        self, entry: ImageEntry, cancel: CancelToken | None = None
    ) -> Generator[Progress, None, ObjectTable]:
        """Objects of one image, (x, y) in full-resolution px; classes of the project come first.

        Raises
        ------
        BridgeError
            The image is not in the project any more, or its data are damaged.
        """
        project = self.project
        for _ in range(_N_TRIES):
            found = whole(project.entry(entry.entry_id))
            stamp = stamp_of(found)
            if not found.data_file.exists():
                return ObjectTable.empty(project.classes)
            try:
                table = yield from read_entry(self._client, project, found, cancel)
            except BridgeError:
                if stamp == stamp_of(found):
                    raise
                continue  # half of a file that was being saved
            if stamp == stamp_of(found):
                check_count(found, len(table))
                return table
        raise BridgeError(
            f"{found.name!r} was saved by another program each time it was read. Wait until that "
            "is done, then try again."
        )

    def pushing(
        self,
        entry: ImageEntry,
        upserts: ObjectTable,
        removed: NDArray[np.uint8],
        *,
        expected: EntryFacts | None = None,
        mark: str = "",
        cancel: CancelToken | None = None,
    ) -> Generator[Progress, None, WriteReport]:
        """Write whole rows and remove ids (k, 16) uint8, as a merge decided.

        Parameters
        ----------
        expected : EntryFacts
            Facts of the entry's files at the reading that the merge is based on.
        mark : str
            A word for this write, kept in the image's data; see `marks`.

        Raises
        ------
        TargetChangedError, WriteError, BridgeError
            Another program saved the image meanwhile; the project is read-only, the disk is full,
            or the check of the new file failed; as of `reading`. Nothing was written.
        """
        project = self.project
        found = whole(project.entry(entry.entry_id))
        self._check_may_write(project, found)
        if not (len(upserts) or len(removed)):
            return WriteReport(0, 0, 0, 0)
        check_types(upserts)
        with project_lock(project.folder), new_files(found.folder) as (data, summary):
            before = EntryFacts.of(found.folder)
            if expected is not None:
                expected.check_same(found.folder, found.name)
            check_disk(found.folder, expected_bytes(before, len(upserts)))
            change = Change(upserts, removed, mark or uuid4().hex)
            files = (data, summary)
            try:
                answer = yield from write_entry(self._client, project, found, change, files, cancel)
            except BridgeError:
                before.check_same(found.folder, found.name)  # read while it was being saved
                raise
            yield from verify(self._checker, found, data, answer, cancel)
            yield Progress(0, 0, "Putting the new file in place")
            to_disk(data, summary)
            keep_copy(project.folder, found.folder, self._n_kept)
            before.check_same(found.folder, found.name)
            put_in_place(found.folder, data, summary)
            add_classes(project, upserts)
        counts = ("added", "changed", "removed", "unchanged")
        return WriteReport(*(answer[name] for name in counts))

    def marks(
        self, entry: ImageEntry, cancel: CancelToken | None = None
    ) -> Generator[Progress, None, list[str]]:
        """Marks of the writes that an image's data are based on, the latest first.

        QuPath keeps what it has read. Where it had an image open while that was written here, and
        saves it later, its data lack the mark of that write.
        """
        found = whole(self.project.entry(entry.entry_id))
        if not found.data_file.exists():
            return []
        arguments = {"data": str(found.data_file)}
        answer = yield from self._client.call(
            "marks", arguments, limit_s=limit_s(found), cancel=cancel
        )
        return str(answer["marks"]).split()

    def undo(self, entry: ImageEntry) -> bool:
        """Put back an image's data as they were before the last write; False where none is kept.

        What was written since, by whomever, is kept as a copy in its turn.
        """
        project = self.project
        found = project.entry(entry.entry_id)
        copies = backups_of(project.folder, found.entry_id)
        if not copies:
            return False
        self._check_may_write(project, found)
        with project_lock(project.folder):
            keep_copy(project.folder, found.folder, self._n_kept + 1)
            restore(copies[0], found.folder)
        return True

    def _check_may_write(self, project: QuPathProject, entry: ProjectEntry) -> None:
        if self._read_only:
            raise WriteError(f"{project.file} was opened for reading; nothing was written.")
        check_may_write(project.file, entry.folder)
