# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder through which QuPath and napari-histo exchange objects: no Java, no paquo.

A script that QuPath runs fills the folder, another one takes what we wrote::

    exchange.json               images, classes, the project; written by QuPath's scripts alone
    from-qupath/<id>.geojson    objects of an image; written by QuPath's scripts alone
    to-qupath/<id>.geojson      what is to be added, changed and removed; written here alone
    before/<id>.qpdata          the image's data before the last import

No file has two writers, each is replaced by one rename, and the first line of each GeoJSON tells
what the scripts need to know. An export holds a fingerprint of each object; what we write repeats
those that it is based on, so that the import script sees what QuPath's user changed meanwhile,
leaves it alone and says so. Reading here lays what still waits over the export.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import CancelToken, ObjectTable, Progress
from napari_histo.core.bridge import ImageEntry, WriteReport
from napari_histo.errors import TargetChangedError, WriteError
from qupath_bridge._align import is_in
from qupath_bridge._bridge_checks import check_types
from qupath_bridge._class_file import in_project_colours
from qupath_bridge._exchange_files import MANIFEST, ExchangeImage, Exported, Manifest
from qupath_bridge._exchange_pending import Pending, Waiting
from qupath_bridge._sync_bridge import SteppedBridge
from qupath_bridge.changes import FileFacts
from qupath_bridge.safety import make_folder, project_lock

__all__ = ["ExchangeBridge", "ExchangeFacts", "is_exchange"]

_WRITE_BITS = 0o222


def is_exchange(path: Path) -> bool:
    """Whether a path is an exchange folder or its list of images."""
    return path.name == MANIFEST or (path / MANIFEST).is_file()


@dataclass(frozen=True)
class ExchangeFacts:
    """What an image's files are at one moment; None for a file that is not there."""

    exported: FileFacts | None
    pending: FileFacts | None


class ExchangeBridge(SteppedBridge):
    """Reads and writes the objects of a project's images through files.

    Parameters
    ----------
    folder : path
        The exchange folder, or its ``exchange.json``.
    read_only : bool
        Refuse every write.

    Raises
    ------
    BridgeError
        The folder's list of images is missing or damaged.
    """

    def __init__(self, folder: Path | str, *, read_only: bool = False) -> None:
        path = Path(folder).expanduser()
        self._file = path if path.name == MANIFEST else path / MANIFEST
        self._read_only = read_only
        _ = self.manifest

    @property
    def manifest(self) -> Manifest:
        """The list of images as it is on disk now."""
        return Manifest.read(self._file)

    # -- ProjectBridge ---------------------------------------------------------------------------

    def images(self) -> Sequence[ImageEntry]:
        """All images, in the project's order."""
        return [image.entry for image in self.manifest.images]

    # -- with progress ---------------------------------------------------------------------------

    def facts(self, entry: ImageEntry) -> ExchangeFacts:
        """Facts of an image's files now."""
        manifest = self.manifest
        image = manifest.image(entry)
        exported = FileFacts.of(manifest.exported(image))
        return ExchangeFacts(exported, FileFacts.of(manifest.pending(image)))

    def reading(
        self, entry: ImageEntry, cancel: CancelToken | None = None
    ) -> Generator[Progress, None, ObjectTable]:
        """Objects of one image as they will be once QuPath has taken what waits.

        Raises
        ------
        BridgeError
            The image is not in the project any more or was never exported, or a file is damaged.
        """
        yield Progress(0, 0, "Reading objects")
        manifest = self.manifest
        exported, waiting = _read(manifest, manifest.image(entry))
        _check(cancel)
        table = waiting.delta.apply(exported.table)
        return ObjectTable.concat([ObjectTable.empty(manifest.classes), table])

    def pushing(
        self,
        entry: ImageEntry,
        upserts: ObjectTable,
        removed: NDArray[np.uint8],
        *,
        expected: ExchangeFacts | None = None,
        mark: str = "",
        cancel: CancelToken | None = None,
    ) -> Generator[Progress, None, WriteReport]:
        """Let whole rows, and ids (k, 16) uint8 to remove, wait for QuPath.

        Parameters
        ----------
        expected : ExchangeFacts
            Facts of the image's files at the reading that the merge is based on.
        mark : str
            A word for this write; see `marks`.

        Raises
        ------
        TargetChangedError
            QuPath exported, or another process wrote, meanwhile; nothing was written.
        WriteError
            The folder is read-only, or the disk is full; nothing was written.
        BridgeError
            As of `reading`.
        """
        manifest = self.manifest
        image = manifest.image(entry)
        path = manifest.pending(image)
        self._check_may_write(path)
        check_types(upserts)
        with project_lock(manifest.folder):
            before = self.facts(entry)
            if expected is not None and before != expected:
                raise _moved_on(entry)
            yield Progress(0, 0, "Reading objects")
            exported, waiting = _read(manifest, image)
            report = _report(waiting.delta.apply(exported.table), upserts, removed)
            if not (len(upserts) or len(removed) or waiting.has_refused):
                return report
            table = in_project_colours(upserts, manifest.classes)
            joined = waiting.joined(mark or uuid4().hex, table, removed)
            _check(cancel)
            yield Progress(0, 0, f"Writing {path.name}")
            if self.facts(entry) != before:
                raise _moved_on(entry)
            make_folder(path.parent)
            joined.write(path, manifest, image)
        return report

    def marks(
        self, entry: ImageEntry, cancel: CancelToken | None = None
    ) -> Generator[Progress, None, list[str]]:
        """Marks of the writes that an image's objects are based on, the latest first.

        That of a write is missing where QuPath's user changed something of it before it came in,
        or saved an older state over it.
        """
        yield Progress(0, 0, "Looking what QuPath has taken")
        manifest = self.manifest
        _, waiting = _read(manifest, manifest.image(entry))
        return waiting.marks()

    def n_waiting(self, entry: ImageEntry) -> int:
        """How many objects wait for the import script."""
        manifest = self.manifest
        _, waiting = _read(manifest, manifest.image(entry))
        return sum(len(write.ids) for write in waiting.writes)

    def _check_may_write(self, path: Path) -> None:
        if self._read_only:
            raise WriteError(f"{self._file.parent} was opened for reading; nothing was written.")
        for place in (self._file.parent, path.parent, path):
            marked = place.exists() and not place.stat().st_mode & _WRITE_BITS
            if marked or (place.exists() and not os.access(place, os.W_OK)):
                raise WriteError(
                    f"{place} is read-only, so nothing was written. Make the folder writable, or "
                    "work on a copy of it."
                )


# -- steps ---------------------------------------------------------------------------------------


def _read(manifest: Manifest, image: ExchangeImage) -> tuple[Exported, Waiting]:
    """The export, and what waits beside it."""
    exported = Exported.read(manifest.exported(image), manifest, image)
    pending = Pending.read(manifest.pending(image), manifest, image)
    return exported, pending.beside(exported)


def _report(current: ObjectTable, upserts: ObjectTable, removed: NDArray[np.uint8]) -> WriteReport:
    changed = int(is_in(upserts.object_id, current.object_id).sum())
    gone = int(is_in(current.object_id, removed).sum())
    return WriteReport(len(upserts) - changed, changed, gone, len(current) - changed - gone)


def _moved_on(entry: ImageEntry) -> TargetChangedError:
    return TargetChangedError(
        f"The exchanged files of {entry.name!r} were written by QuPath or another program "
        "meanwhile; nothing was written. Sync again."
    )


def _check(cancel: CancelToken | None) -> None:
    if cancel is not None:
        cancel.raise_if_cancelled()
