# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a QuPath project of 0.2 to 0.7 from its files alone: no Java, and nothing is written.

A project is a folder::

    project.qpproj          JSON: version, timestamps, and for each image an id and its "builder"
    project.qpproj.backup   the one before the last save
    classifiers/classes.json
    data/<id>/data.qpdata   the objects, in Java's own format; only QuPath reads it
    data/<id>/summary.json  how many there are, and when they were saved
    data/<id>/server.json   the builder once more
    data/<id>/thumbnail.jpg

Layout and fields after ``DefaultProject`` of QuPath 0.2 to 0.7.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from napari_histo.core import ClassScheme, SlideReader
from napari_histo.core.bridge import ImageEntry
from napari_histo.errors import BridgeError
from qupath_bridge._json_files import read_json_object
from qupath_bridge._opening import OpenSlide, open_entry
from qupath_bridge._project_classes import read_classes
from qupath_bridge.images import FoundImage, ImageFinder, PathRule
from qupath_bridge.project_entry import ProjectEntry, parse_entry

__all__ = ["OpenSlide", "ProjectEntry", "QuPathProject", "open_project"]

_SUFFIX = ".qpproj"


@dataclass(frozen=True)
class QuPathProject:
    """A project as it was when it was opened.

    Attributes
    ----------
    file : Path
        The ``.qpproj``.
    version : str
        Of the QuPath that saved it last.
    uri : str or None
        Where it lay then.
    created_ms, modified_ms : int
        Milliseconds since 1970.
    last_id : int
        The highest id ever given.
    entries : tuple of ProjectEntry
        In the file's order.
    rules : tuple of PathRule
        The user's, for moved images.
    """

    file: Path
    version: str
    uri: str | None
    created_ms: int
    modified_ms: int
    last_id: int
    entries: tuple[ProjectEntry, ...]
    rules: tuple[PathRule, ...] = ()

    @property
    def folder(self) -> Path:
        """The project's folder."""
        return self.file.parent

    @cached_property
    def classes(self) -> ClassScheme:
        """The project's classes; empty where it has none.

        Raises
        ------
        BridgeError
            ``classes.json`` is damaged.
        """
        return read_classes(self.folder / "classifiers" / "classes.json")

    def images(self) -> Sequence[ImageEntry]:
        """All images in the suite's words (`napari_histo.core.bridge.ProjectBridge.images`)."""
        return [ImageEntry(e.entry_id, e.name, e.uri) for e in self.entries]

    def entry(self, entry_id: str) -> ProjectEntry:
        """The image of an id.

        Raises
        ------
        BridgeError
            There is none, or more than one.
        """
        found = [e for e in self.entries if e.entry_id == entry_id]
        if len(found) == 1:
            return found[0]
        if found:
            raise BridgeError(_doubled(self.file, entry_id, found))
        raise BridgeError(
            f"{self.file} has no image with the id {entry_id}; it has {len(self.entries)} images. "
            "It may have been removed in QuPath since."
        )

    def problems(self) -> Iterator[str]:
        """What is wrong with the project, one message each; reads the files of every image."""
        counts = Counter(e.entry_id for e in self.entries)
        for entry_id in (i for i, n in counts.items() if n > 1):
            same = [e for e in self.entries if e.entry_id == entry_id]
            yield _doubled(self.file, entry_id, same)
        try:
            _ = self.classes
        except BridgeError as error:
            yield str(error)
        for entry in self.entries:
            message = entry.check_data().message
            if message:
                yield message

    def find_image(self, entry: ProjectEntry) -> FoundImage:
        """Where the file of an image is; of one put together from several, the first that lacks."""
        found = [self._finder.find(uri) for uri in entry.builder.uris] or [self._finder.find("")]
        return next((f for f in found if f.path is None), found[0])

    def open_image(self, entry: ProjectEntry, open_slide: OpenSlide) -> SlideReader:
        """A reader of an image's pixels, in the coordinates of the project's objects.

        Parameters
        ----------
        entry : ProjectEntry
        open_slide : callable
            `napari_histo.slides.open_slide`. It is handed in because the bridge knows no reader.

        Raises
        ------
        BridgeError
            The file is not found, is of another size than the project says, or QuPath shows it
            through steps (a rotation, a crop, …) that are not done here: its objects would lie
            elsewhere.
        ImageError
            The file is found but no reader takes it.
        """
        return open_entry(entry, self.find_image(entry), open_slide)

    @cached_property
    def _finder(self) -> ImageFinder:
        uris = [uri for entry in self.entries for uri in entry.builder.uris]
        return ImageFinder(self.folder, self.uri, rules=self.rules, uris=uris)


def open_project(path: Path | str, rules: Sequence[PathRule] = ()) -> QuPathProject:
    """Read a project.

    Parameters
    ----------
    path : path
        The ``project.qpproj``, or its folder.
    rules : sequence of PathRule
        Where images lie now that are not where the project says.

    Raises
    ------
    BridgeError
        There is no project, it is damaged, or it is older than QuPath 0.2.

    Notes
    -----
    Reads the project file alone; what belongs to an image is read when it is asked for. Any thread
    may call it.
    """
    file = _project_file(Path(path).expanduser())
    words = read_json_object(file, what="QuPath project", remedy=_remedy(file))
    try:
        _refuse_old(file, words)
        return _parse(file, words, tuple(rules))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise BridgeError(
            f"QuPath project {file} is not as QuPath writes it ({type(error).__name__}: {error}). "
            f"{_remedy(file)}"
        ) from error


def _project_file(path: Path) -> Path:
    if path.is_file() and _SUFFIX in path.name:
        return path
    if path.is_file():
        raise BridgeError(
            f"{path} is no QuPath project. Name the project's folder or its project.qpproj."
        )
    usual = path / f"project{_SUFFIX}" if path.is_dir() else path
    if usual.is_file():
        return usual
    _refuse_half_saved(usual)
    if not path.is_dir():
        raise BridgeError(
            f"There is no QuPath project at {path}. Name its folder or its project.qpproj."
        )
    found = sorted(p for p in path.glob(f"*{_SUFFIX}") if p.is_file())
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(p.name for p in found)
        raise BridgeError(f"The folder {path} holds {len(found)} projects ({names}). Name one.")
    raise BridgeError(
        f"The folder {path} holds no QuPath project. Name the folder in which {usual.name} lies."
    )


def _refuse_half_saved(file: Path) -> None:
    """QuPath moves the old file to the backup, then the new one into its place."""
    if file.with_name(file.name + ".backup").is_file():
        raise BridgeError(
            f"QuPath is saving {file} just now, or was stopped while it did: only its backup is "
            f"there. Wait and try again; if it stays so, close QuPath and rename a copy of "
            f"{file.name}.backup to {file.name}."
        )


def _remedy(file: Path) -> str:
    backup = file.with_name(file.name + ".backup")
    if not backup.is_file():
        return "Put a backup copy of the file in its place."
    return (
        f"QuPath keeps the version before the last save as {backup.name}: close QuPath, keep a "
        f"copy of both, and rename that to {file.name}."
    )


def _refuse_old(file: Path, words: Mapping[str, Any]) -> None:
    """After ``DefaultProject.loadProject``, which refuses the same."""
    version = words.get("version")
    if version in ("v0.2.0-m1", "v0.2.0-m2") or (version is None and "lastID" not in words):
        raise BridgeError(
            f"QuPath project {file} was written by QuPath {version or 'before 0.2'}, in a format "
            "of that time. Make a new project in QuPath 0.2 or later and add the images there."
        )


def _parse(file: Path, words: Mapping[str, Any], rules: tuple[PathRule, ...]) -> QuPathProject:
    listed = words.get("images", [])
    if not isinstance(listed, list):
        raise TypeError(f"'images' is a {type(listed).__name__}, not a list")
    entries = tuple(parse_entry(e, file.parent) for e in listed)
    uri = words.get("uri")
    highest = max((int(e.entry_id) for e in entries), default=0)
    return QuPathProject(
        file=file,
        version=str(words.get("version") or ""),
        uri=uri if isinstance(uri, str) else None,
        created_ms=int(words.get("createTimestamp") or 0),
        modified_ms=int(words.get("modifyTimestamp") or 0),
        last_id=max(highest, int(words.get("lastID") or 0)),
        entries=entries,
        rules=rules,
    )


def _doubled(file: Path, entry_id: str, entries: Sequence[ProjectEntry]) -> str:
    names = ", ".join(f"'{e.name}'" for e in entries)
    return (
        f"{file} gives the id {entry_id} to {len(entries)} images ({names}), so that they share "
        "their objects. In QuPath duplicate one of them, and remove the old one from the project "
        "without deleting its data."
    )
