# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of one image through the Java process: read, written to new files, and counted again."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import CancelToken, ObjectTable, Progress
from qupath_bridge._bridge_checks import check_read_back, limit_s, refused, unreadable
from qupath_bridge._class_file import in_project_colours
from qupath_bridge.client import Answer, JavaError, WorkerClient
from qupath_bridge.packet import describe_classes, pack, unpack
from qupath_bridge.project import ProjectEntry, QuPathProject

__all__ = ["Change", "read_entry", "verify", "write_entry"]

_LARGE_BYTES = 50_000_000


@dataclass(frozen=True, eq=False)
class Change:
    """What a write does.

    Attributes
    ----------
    upserts : ObjectTable
        Whole rows.
    removed : (k, 16) uint8
        Ids that go.
    mark : str
        A word for this write, kept in the image's data.
    """

    upserts: ObjectTable
    removed: NDArray[np.uint8]
    mark: str


def read_entry(
    client: WorkerClient,
    project: QuPathProject,
    entry: ProjectEntry,
    cancel: CancelToken | None = None,
) -> Generator[Progress, None, ObjectTable]:
    """Objects in the entry's data file, which is there.

    Raises
    ------
    BridgeError
        QuPath cannot read the file.
    """
    with tempfile.TemporaryDirectory(prefix="qupath-bridge-") as folder:
        arguments = {
            "data": str(entry.data_file),
            "classes": describe_classes(project.classes),
            "folder": folder,
        }
        try:
            answer = yield from client.call(
                "read", arguments, limit_s=limit_s(entry), cancel=cancel
            )
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


def write_entry(
    client: WorkerClient,
    project: QuPathProject,
    entry: ProjectEntry,
    change: Change,
    files: tuple[Path, Path],
    cancel: CancelToken | None = None,
) -> Generator[Progress, None, Answer]:
    """Make new data and a new summary at `files`; nothing of the project is touched.

    Raises
    ------
    BridgeError, WriteError
        QuPath cannot write them; the latter where the disk is full.
    """
    table = in_project_colours(change.upserts, project.classes)
    with tempfile.TemporaryDirectory(prefix="qupath-bridge-") as folder:
        pack(table, Path(folder))
        arguments = {
            "project": str(project.file),
            "entry": entry.entry_id,
            "data": str(entry.data_file),
            "folder": folder,
            "removed": [str(UUID(bytes=raw.tobytes())) for raw in change.removed],
            "mark": change.mark,
            "new_data": str(files[0]),
            "new_summary": str(files[1]),
        }
        allowed_s = limit_s(entry, len(table))
        try:
            return (yield from client.call("write", arguments, limit_s=allowed_s, cancel=cancel))
        except JavaError as error:
            raise refused(entry, error) from error


def verify(
    checker: WorkerClient,
    entry: ProjectEntry,
    data: Path,
    written: Answer,
    cancel: CancelToken | None = None,
) -> Generator[Progress, None, None]:
    """Read the new file in another process; what one wrote the same might misread alike.

    Raises
    ------
    WriteError
        It does not hold what was written.
    """
    yield Progress(0, 0, "Checking the new file")
    allowed_s = limit_s(entry, written["n_objects"])
    seen = yield from checker.call("count", {"data": str(data)}, limit_s=allowed_s, cancel=cancel)
    if data.stat().st_size > _LARGE_BYTES:
        checker.kill()  # Java gives no memory back
    check_read_back(entry, written, seen)
