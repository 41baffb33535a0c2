"""An exchange folder in the words of a QuPath project, so that the panel lists both alike.

Where the folder lies in its project, as QuPath's export script puts it, the project tells the rest:
small pictures, rounds, and the steps through which QuPath shows an image. Elsewhere the image file
alone is opened, and refused where its size is not the one that QuPath knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from napari_histo.core import ClassScheme
from napari_histo.errors import BridgeError
from qupath_bridge._builders import Builder
from qupath_bridge._exchange_files import ExchangeImage, Manifest, read_head
from qupath_bridge._qpdata import DataCheck, DataState
from qupath_bridge._summary import Summary
from qupath_bridge.exchange import ExchangeBridge, is_exchange
from qupath_bridge.images import FoundImage, PathRule
from qupath_bridge.project import ProjectEntry, QuPathProject, open_project

__all__ = ["ExchangeEntry", "ExchangeProject", "is_exchange", "open_any"]


@dataclass(frozen=True)
class ExchangeEntry(ProjectEntry):
    """An image, with its files in the exchange folder.

    Attributes
    ----------
    exported, pending : Path
        Its objects from QuPath, and what of ours waits for QuPath; there or not.
    n_objects : int
        At the last export.
    lacks : str
        Why it was not exported; empty where it was.
    """

    exported: Path = field(kw_only=True)
    pending: Path = field(kw_only=True)
    n_objects: int = field(kw_only=True)
    lacks: str = field(kw_only=True)

    @property
    def data_file(self) -> Path:
        """What QuPath exported."""
        return self.exported

    def summary(self) -> Summary | None:
        """The export's count; it does not tell of which kind they are."""
        return None if self.lacks else Summary(0, "", self.n_objects, {"Objects": self.n_objects})

    def check_data(self) -> DataCheck:
        """Whether the image was exported."""
        return DataCheck(DataState.ABSENT if self.lacks else DataState.SAVED, self.lacks)

    def waits(self) -> bool:
        """Whether something of ours waits for the import script in QuPath; reads first lines."""
        if not self.pending.exists():
            return False
        with suppress(BridgeError, LookupError, TypeError):  # a sync tells what is damaged
            writes = read_head(self.pending, "")["writes"]
            taken = read_head(self.exported, "")["marks"]
            return any(write["mark"] not in taken for write in writes)
        return False


@dataclass(frozen=True)
class ExchangeProject(QuPathProject):
    """A project as its exchange folder tells of it; `file` is the ``exchange.json``.

    Attributes
    ----------
    manifest : Manifest
    origin : QuPathProject or None
        The project in whose folder it lies.
    """

    manifest: Manifest = field(kw_only=True)
    origin: QuPathProject | None = field(kw_only=True, default=None)

    @cached_property
    def classes(self) -> ClassScheme:
        """The project's classes at the last export."""
        return self.manifest.classes

    def find_image(self, entry: ProjectEntry) -> FoundImage:
        """Where the file of an image is."""
        if self.origin is not None:
            return self.origin.find_image(entry)
        return super().find_image(entry)


def open_any(path: Path, rules: Sequence[PathRule] = ()) -> QuPathProject:
    """A QuPath project, or an exchange folder; see `open_project`.

    Raises
    ------
    BridgeError
        It is neither, or damaged.
    """
    return _open_exchange(path, rules) if is_exchange(path) else open_project(path, rules)


def _open_exchange(path: Path, rules: Sequence[PathRule]) -> ExchangeProject:
    manifest = ExchangeBridge(path).manifest
    origin = _origin(manifest, rules)
    return ExchangeProject(
        file=manifest.path,
        version="" if origin is None else origin.version,
        uri=manifest.project_uri or None,
        created_ms=manifest.created_ms,
        modified_ms=0,
        last_id=0,
        entries=tuple(_entry(manifest, image, origin) for image in manifest.images),
        rules=tuple(rules),
        manifest=manifest,
        origin=origin,
    )


def _origin(manifest: Manifest, rules: Sequence[PathRule]) -> QuPathProject | None:
    """The project around the folder, where that is the one that was exported."""
    with suppress(BridgeError):
        project = open_project(manifest.folder.absolute().parent, rules)
        ids = {entry.entry_id for entry in project.entries}
        is_same = project.created_ms == manifest.created_ms
        if is_same and all(image.entry.entry_id in ids for image in manifest.images):
            return project
    return None


def _entry(manifest: Manifest, image: ExchangeImage, origin: QuPathProject | None) -> ExchangeEntry:
    key, lacks = image.entry.entry_id, ""
    exported = manifest.folder / "from-qupath" / f"{key}.geojson"
    try:
        manifest.exported(image)
    except BridgeError as error:
        lacks = str(error)
    known = None if origin is None else origin.entry(key)
    return ExchangeEntry(
        entry_id=key,
        name=image.entry.name,
        randomized_name="",
        description="",
        metadata={} if known is None else known.metadata,
        tags=(),
        builder=_plain(image) if known is None else known.builder,
        folder=manifest.folder / "data" / key if known is None else known.folder,
        words={},
        exported=exported,
        pending=manifest.pending(image),
        n_objects=image.n_objects,
        lacks=lacks,
    )


def _plain(image: ExchangeImage) -> Builder:
    size = {"width": image.width, "height": image.height}
    return Builder("uri", uri=image.entry.uri or None, metadata=size)
