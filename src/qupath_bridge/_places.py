# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command line names by one path: a QuPath project, or an exchange folder."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_histo.core.bridge import ImageEntry
from napari_histo.errors import BridgeError
from qupath_bridge.bridge import QuPathBridge
from qupath_bridge.exchange import ExchangeBridge, is_exchange
from qupath_bridge.images import FoundImage, ImageFinder, PathRule
from qupath_bridge.locate import find_qupath
from qupath_bridge.project import open_project

__all__ = ["Bridge", "Place", "can_read_projects", "place_of", "stem_of"]

Bridge = QuPathBridge | ExchangeBridge


@dataclass(frozen=True)
class Place:
    """Where a project's objects are.

    Attributes
    ----------
    path : Path
        The ``project.qpproj`` or the ``exchange.json``.
    entries : sequence of ImageEntry
    find_image : callable
        The file of an entry's image, or why there is none.
    open : callable
        A bridge; takes whether it must not write.
    """

    path: Path
    entries: Sequence[ImageEntry]
    find_image: Callable[[ImageEntry], FoundImage]
    open: Callable[[bool], Bridge]

    def chosen(self, names: Sequence[str] | None) -> list[ImageEntry]:
        """Images of these names; all where there are none.

        Raises
        ------
        BridgeError
            A name is of no image.
        """
        entries = [e for e in self.entries if not names or e.name in names]
        missing = sorted(set(names or ()) - {e.name for e in entries})
        if missing:
            raise BridgeError(
                f"The project has no image named {', '.join(missing)}. 'qupath-bridge status' "
                "lists its images."
            )
        return entries


def can_read_projects() -> bool:
    """Whether QuPath and paquo are on this machine."""
    return find_qupath() is not None and importlib.util.find_spec("paquo") is not None


def place_of(path: Path, rules: Sequence[PathRule] = ()) -> Place:
    """What a path names.

    Raises
    ------
    BridgeError
        It is neither, or damaged.
    """
    return _exchange(path, rules) if is_exchange(path) else _project(path, rules)


def stem_of(name: str) -> str:
    """A file name without what QuPath or a format puts behind it."""
    safe = "".join("_" if c in '<>:"/\\|?*' or ord(c) < 32 else c for c in name)
    return Path(safe).stem.removesuffix(".ome")


def _project(path: Path, rules: Sequence[PathRule]) -> Place:
    project = open_project(path, rules)
    return Place(
        path=project.file,
        entries=project.images(),
        find_image=lambda entry: project.find_image(project.entry(entry.entry_id)),
        open=lambda read_only: QuPathBridge(path, read_only=read_only),
    )


def _exchange(path: Path, rules: Sequence[PathRule]) -> Place:
    manifest = ExchangeBridge(path).manifest
    entries = [image.entry for image in manifest.images]
    uri = manifest.project_uri or None
    finder = ImageFinder(manifest.folder, uri, rules=rules, uris=[e.uri for e in entries if e.uri])
    return Place(
        path=manifest.path,
        entries=entries,
        find_image=lambda entry: finder.find(entry.uri),
        open=lambda read_only: ExchangeBridge(path, read_only=read_only),
    )
