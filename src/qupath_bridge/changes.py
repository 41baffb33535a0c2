# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells what changed in a project since a snapshot, from its files alone.

QuPath writes no history and locks nothing: whoever saves last wins. So that neither side loses
work, a snapshot of each image's facts is taken when both are in step, and compared before anything
is written. Time and size of a file come first; it is read and hashed only where these moved, or
where it was written so shortly before the snapshot that a second save could hide behind the same
time stamp (git calls such a file "racily clean").
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from napari_histo.errors import BridgeError, WriteError
from qupath_bridge._json_files import read_json_object
from qupath_bridge._summary import Summary
from qupath_bridge.project import ProjectEntry, QuPathProject

__all__ = ["FileFacts", "ImageFacts", "ProjectChanges", "Snapshot", "changes_since"]

_FORMAT = "napari-histo project snapshot 1"
# Coarsest time stamps in use: FAT's 2 s.
_RACY_NS = 2_000_000_000


@dataclass(frozen=True)
class FileFacts:
    """A file's size in bytes, time of change in ns since 1970, and SHA-256 in hexadecimal."""

    size: int
    mtime_ns: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> FileFacts | None:
        """Facts of a file, which is read whole; None where there is none."""
        try:
            with path.open("rb") as file:
                stat = os.fstat(file.fileno())
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BridgeError(
                f"{path} cannot be read ({error.strerror or error}). Check that you may read it "
                "and that no other program keeps it locked."
            ) from error
        return cls(stat.st_size, stat.st_mtime_ns, digest)

    def stands(self, path: Path, taken_ns: int) -> bool:
        """Whether time and size alone prove that the file is the same."""
        try:
            stat = path.stat()
        except OSError:
            return False
        same = (stat.st_size, stat.st_mtime_ns) == (self.size, self.mtime_ns)
        return same and stat.st_mtime_ns < taken_ns - _RACY_NS


@dataclass(frozen=True)
class ImageFacts:
    """What is remembered of an image.

    Attributes
    ----------
    name : str
    details : str
        SHA-256 of its entry in the project file but for the name: place, description, metadata,
        tags.
    data : FileFacts or None
        Of ``data.qpdata``; None before QuPath's first save.
    timestamp_ms : int or None
        Of ``summary.json``; where it moved, the data are read even if their time and size stand.
    n_objects : int or None
        Of ``summary.json``, for people.
    """

    name: str
    details: str
    data: FileFacts | None
    timestamp_ms: int | None = None
    n_objects: int | None = None


@dataclass(frozen=True)
class Snapshot:
    """A project at one moment.

    Attributes
    ----------
    created_ms : int
        The project's ``createTimestamp``, by which another project is known.
    taken_ns : int
        When the snapshot was begun, ns since 1970, by this machine's clock.
    images : mapping of str to ImageFacts
        By id.
    """

    created_ms: int
    taken_ns: int
    images: Mapping[str, ImageFacts]

    @classmethod
    def of(cls, project: QuPathProject) -> Snapshot:
        """Facts of all images; reads each ``data.qpdata`` whole, for its hash."""
        taken = time.time_ns()
        images = {e.entry_id: _facts(e) for e in _unique(project)}
        return cls(project.created_ms, taken, images)

    @classmethod
    def load(cls, path: Path) -> Snapshot:
        """A snapshot that `save` wrote.

        Raises
        ------
        BridgeError
            The file is missing, damaged or something else.
        """
        remedy = "Take a new snapshot when QuPath and napari-histo are in step."
        words = read_json_object(path, what="Snapshot", remedy=remedy)
        try:
            if words["format"] != _FORMAT:
                raise ValueError(f"its format is {words['format']!r}, not {_FORMAT!r}")
            images = {str(k): _image_facts(v) for k, v in words["images"].items()}
            return cls(int(words["created_ms"]), int(words["taken_ns"]), images)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise BridgeError(
                f"Snapshot {path} is damaged ({type(error).__name__}: {error}). {remedy}"
            ) from error

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all.

        Raises
        ------
        WriteError
            The file cannot be written; one that stood there is untouched.
        """
        words = {"format": _FORMAT, **asdict(self)}
        work = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            work.write_text(json.dumps(words, indent=1), encoding="utf-8")
            work.replace(path)
        except OSError as error:
            with suppress(OSError):
                work.unlink(missing_ok=True)
            raise WriteError(
                f"The snapshot {path} cannot be written ({error.strerror or error}). Choose a "
                "folder that you may write to, with space on its disk."
            ) from error


@dataclass(frozen=True)
class ProjectChanges:
    """What is different now; each a tuple of image ids, and an image may be in several.

    Attributes
    ----------
    added, removed : tuple of str
        Images that are new in the project, or no longer in it.
    renamed : tuple of str
        Images with another name.
    edited : tuple of str
        Images whose place, description, metadata or tags are different.
    changed : tuple of str
        Images whose saved data are different, byte by byte. QuPath's save of what nobody changed
        gives the same bytes, but for the first one after the project moved: the data hold its path.
    untouched : tuple of str
        All others.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    renamed: tuple[str, ...] = ()
    edited: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    untouched: tuple[str, ...] = ()

    def words_for(self, entry_id: str) -> tuple[str, ...]:
        """The lists that an image is in: ``("renamed", "changed")``."""
        return tuple(name for name, ids in asdict(self).items() if entry_id in ids)


def changes_since(snapshot: Snapshot, project: QuPathProject) -> ProjectChanges:
    """Compare a project, as opened just now, with a snapshot of it.

    Raises
    ------
    BridgeError
        The snapshot is of another project, or the project gives one id to two images.
    """
    if snapshot.created_ms != project.created_ms:
        raise BridgeError(
            f"The snapshot is of another project: its was made at {snapshot.created_ms} ms after "
            f"1970, {project.file} at {project.created_ms}. Take a new snapshot of this one."
        )
    before, now = snapshot.images, {e.entry_id: e for e in _unique(project)}
    kept = [i for i in now if i in before]
    renamed = tuple(i for i in kept if now[i].name != before[i].name)
    edited = tuple(i for i in kept if _details(now[i]) != before[i].details)
    changed = tuple(i for i in kept if _data_changed(before[i], now[i], snapshot.taken_ns))
    touched = {*renamed, *edited, *changed}
    return ProjectChanges(
        added=tuple(i for i in now if i not in before),
        removed=tuple(i for i in before if i not in now),
        renamed=renamed,
        edited=edited,
        changed=changed,
        untouched=tuple(i for i in kept if i not in touched),
    )


def _data_changed(before: ImageFacts, entry: ProjectEntry, taken_ns: int) -> bool:
    if before.data is None:
        return entry.data_file.exists()
    stands = before.data.stands(entry.data_file, taken_ns)
    if stands and _timestamp(entry) == before.timestamp_ms:
        return False
    now = FileFacts.of(entry.data_file)
    return now is None or now.sha256 != before.data.sha256


def _unique(project: QuPathProject) -> list[ProjectEntry]:
    return [project.entry(entry.entry_id) for entry in project.entries]


def _facts(entry: ProjectEntry) -> ImageFacts:
    summary = _summary(entry)
    return ImageFacts(
        name=entry.name,
        details=_details(entry),
        data=FileFacts.of(entry.data_file),
        timestamp_ms=summary.timestamp_ms if summary else None,
        n_objects=summary.n_objects if summary else None,
    )


def _timestamp(entry: ProjectEntry) -> int | None:
    summary = _summary(entry)
    return summary.timestamp_ms if summary else None


def _summary(entry: ProjectEntry) -> Summary | None:
    """None also where it is damaged: `ProjectEntry.check_data` says so, the data decide here."""
    try:
        return entry.summary()
    except BridgeError:
        return None


def _details(entry: ProjectEntry) -> str:
    words = [entry.description, sorted(entry.metadata.items()), sorted(entry.tags)]
    text = json.dumps([*words, entry.words.get("serverBuilder")], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _image_facts(words: Mapping[str, Any]) -> ImageFacts:
    data = words["data"]
    return ImageFacts(**{**words, "data": None if data is None else FileFacts(**data)})
