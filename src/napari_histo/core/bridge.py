"""What the suite asks of a project kept by another program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from napari_histo.core.objects import ObjectTable

__all__ = ["ImageEntry", "ProjectBridge", "WriteMode", "WriteReport"]

WriteMode = Literal["merge", "replace"]


@dataclass(frozen=True, slots=True)
class ImageEntry:
    """An image in a project: its id there, its name, and where its pixels lie."""

    entry_id: str
    name: str
    uri: str


@dataclass(frozen=True, slots=True)
class WriteReport:
    """What a write did: how many objects were added, changed, removed, and left alone."""

    added: int
    changed: int
    removed: int
    unchanged: int


class ProjectBridge(Protocol):
    """Reads and writes the objects of a project's images."""

    def images(self) -> Sequence[ImageEntry]:
        """All images, in the project's order."""
        ...

    def read_objects(self, entry: ImageEntry) -> ObjectTable:
        """Objects of one image, (x, y) in full-resolution px."""
        ...

    def write_objects(self, entry: ImageEntry, table: ObjectTable, mode: WriteMode) -> WriteReport:
        """Write objects, matched by id."""
        ...
