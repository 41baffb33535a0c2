# SPDX-License-Identifier: GPL-3.0-or-later
"""A QuPath project as a :class:`napari_histo.core.bridge.ProjectBridge`."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import CancelToken, ObjectTable, ObjectType, Progress
from napari_histo.core.bridge import ImageEntry, WriteMode, WriteReport
from napari_histo.errors import BridgeError, WriteError
from qupath_bridge._bridge_checks import (
    check_count,
    check_ids,
    check_read_back,
    check_types,
    expected_bytes,
    limit_s,
    refused,
    stamp_of,
    unreadable,
    whole,
)
from qupath_bridge._class_file import add_classes, in_project_colours
from qupath_bridge._differences import differences
from qupath_bridge.client import Answer, JavaError, Limits, WorkerClient, run
from qupath_bridge.packet import describe_classes, pack, unpack
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
)

__all__ = ["QuPathBridge", "run"]

_N_KEPT, _N_TRIES = 5, 3
_LARGE_BYTES = 50_000_000


class QuPathBridge:
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

    def __enter__(self) -> QuPathBridge:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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

    def read_objects(self, entry: ImageEntry) -> ObjectTable:
        """Objects of one image; see `reading`."""
        return run(self.reading(entry))

    def write_objects(
        self, entry: ImageEntry, table: ObjectTable, mode: WriteMode = "merge"
    ) -> WriteReport:
        """Write objects; see `writing`."""
        return run(self.writing(entry, table, mode))

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
            table = yield from self._read(project, found, cancel)
            if stamp == stamp_of(found):
                check_count(found, len(table))
                return table
        raise BridgeError(
            f"{found.name!r} was saved by another program each time it was read. Wait until that "
            "is done, then try again."
        )

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
        TargetChangedError
            Another program saved the image meanwhile; nothing was written.
        WriteError
            The project is read-only, the disk is full, or the check of the new file failed;
            nothing was written.
        BridgeError
            As of `reading`.
        """
        found = whole(self.project.entry(entry.entry_id))
        check_ids(table)
        before = EntryFacts.of(found.folder)
        current = yield from self.reading(entry, cancel)
        change = differences(current, table)
        upserts = table.select(np.concatenate([change.added, change.changed]))
        gone = change.missing[current.object_type[change.missing] != ObjectType.TMA_CORE]
        removed = current.object_id[gone if mode == "replace" else gone[:0]]
        yield from self.pushing(entry, upserts, removed, expected=before, cancel=cancel)
        return WriteReport(
            added=len(change.added),
            changed=len(change.changed),
            removed=len(removed),
            unchanged=len(current) - len(change.changed) - len(removed),
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
            As of `writing`.
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
            answer = yield from self._write(
                project, found, upserts, removed, (data, summary), mark=mark, cancel=cancel
            )
            yield from self._verify(found, data, answer, cancel)
            yield Progress(0, 0, "Putting the new file in place")
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
        answer = yield from self._ask("marks", arguments, limit_s(found), cancel)
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

    # -- steps -----------------------------------------------------------------------------------

    def _read(
        self, project: QuPathProject, entry: ProjectEntry, cancel: CancelToken | None
    ) -> Generator[Progress, None, ObjectTable]:
        with tempfile.TemporaryDirectory(prefix="qupath-bridge-") as folder:
            arguments = {
                "data": str(entry.data_file),
                "classes": describe_classes(project.classes),
                "folder": folder,
            }
            try:
                answer = yield from self._ask("read", arguments, limit_s(entry), cancel)
            except JavaError as error:
                raise unreadable(entry, error) from error
            table = unpack(Path(folder), project.classes)
        if answer["n_double_ids"]:
            warnings.warn(
                f"{answer['n_double_ids']} objects of {entry.name!r} bear the id of another; they "
                "were given ids of their own.",
                stacklevel=2,
            )
        return table

    def _check_may_write(self, project: QuPathProject, entry: ProjectEntry) -> None:
        if self._read_only:
            raise WriteError(f"{project.file} was opened for reading; nothing was written.")
        check_may_write(project.file, entry.folder)

    def _ask(
        self, command: str, arguments: dict[str, Any], allowed_s: float, cancel: CancelToken | None
    ) -> Generator[Progress, None, Answer]:
        return (yield from self._client.call(command, arguments, limit_s=allowed_s, cancel=cancel))

    def _write(
        self,
        project: QuPathProject,
        entry: ProjectEntry,
        upserts: ObjectTable,
        removed: NDArray[np.uint8],
        files: tuple[Path, Path],
        *,
        mark: str,
        cancel: CancelToken | None,
    ) -> Generator[Progress, None, Answer]:
        table = in_project_colours(upserts, project.classes)
        with tempfile.TemporaryDirectory(prefix="qupath-bridge-") as folder:
            pack(table, Path(folder))
            arguments = {
                "project": str(project.file),
                "entry": entry.entry_id,
                "data": str(entry.data_file),
                "folder": folder,
                "removed": [str(UUID(bytes=raw.tobytes())) for raw in removed],
                "mark": mark or uuid4().hex,
                "new_data": str(files[0]),
                "new_summary": str(files[1]),
            }
            allowed_s = limit_s(entry, len(upserts))
            try:
                return (yield from self._ask("write", arguments, allowed_s, cancel))
            except JavaError as error:
                raise refused(entry, error) from error

    def _verify(
        self, entry: ProjectEntry, data: Path, answer: Answer, cancel: CancelToken | None
    ) -> Generator[Progress, None, None]:
        """Read the new file in another process; what one wrote the same might misread alike."""
        allowed_s, arguments = limit_s(entry, answer["n_objects"]), {"data": str(data)}
        yield Progress(0, 0, "Checking the new file")
        seen = yield from self._checker.call("count", arguments, limit_s=allowed_s, cancel=cancel)
        if data.stat().st_size > _LARGE_BYTES:
            self._checker.kill()  # Java gives no memory back
        check_read_back(entry, answer, seen)
