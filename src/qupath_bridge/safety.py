# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing to an entry of a project so that nothing can be lost.

QuPath locks nothing and the last save wins. So a write goes: take our lock; remember the facts of
the entry's files; make new files beside the old ones; check these; compare the facts again; copy
the old files aside; put the new ones in their place, each by one rename. Whoever is killed at
whatever step leaves the old state or the new one, never half of either.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from napari_histo.errors import DocumentLockedError, TargetChangedError, WriteError
from napari_histo.store.lock import FileLock
from qupath_bridge.changes import FileFacts

__all__ = [
    "Backup",
    "EntryFacts",
    "backups_of",
    "check_may_write",
    "keep_copy",
    "new_files",
    "project_lock",
    "put_in_place",
    "restore",
    "to_disk",
]

OWN_FOLDER = "napari-histo"
_FILES = ("data.qpdata", "summary.json")
_WRITE_BITS = 0o222


@dataclass(frozen=True)
class EntryFacts:
    """What an entry's files are at one moment; None for a file that is not there."""

    data: FileFacts | None
    summary: FileFacts | None

    @classmethod
    def of(cls, folder: Path) -> EntryFacts:
        """Facts of the files in ``data/<id>``; both are read whole, for their hash."""
        return cls(*(FileFacts.of(folder / name) for name in _FILES))

    def check_same(self, folder: Path, name: str) -> None:
        """Raise TargetChangedError where the entry's files are not these any more."""
        if self == EntryFacts.of(folder):
            return
        raise TargetChangedError(
            f"QuPath or another program saved the image {name!r} meanwhile; nothing was written. "
            "Pull its objects again, then push."
        )


# -- may we --------------------------------------------------------------------------------------


def check_may_write(project_file: Path, folder: Path) -> None:
    """Raise WriteError where the project is marked as read-only, for administrators too."""
    nearest = next(p for p in (folder, *folder.parents) if p.exists())
    named = [project_file, project_file.parent, nearest, *(folder / name for name in _FILES)]
    for path in named:
        if path.exists() and not (path.stat().st_mode & _WRITE_BITS and os.access(path, os.W_OK)):
            raise WriteError(
                f"{path} is read-only, so nothing was written. Make the project writable, or work "
                "on a copy of it."
            )


@contextmanager
def project_lock(project_folder: Path) -> Iterator[None]:
    """Exclusive right of this process to write to a project, among our own programs.

    QuPath knows nothing of it; against QuPath stands the comparison of the files' facts. The
    system lets go of it when the process ends, however it ends.

    Raises
    ------
    DocumentLockedError
        Another process of ours writes.
    """
    path = make_folder(project_folder / OWN_FOLDER) / "write.lock"
    try:
        lock = FileLock(path, f"The project {project_folder}")
    except DocumentLockedError:
        with contextlib.suppress(OSError):
            who = path.read_text(encoding="utf-8").strip()
            raise DocumentLockedError(
                f"The project {project_folder} is being written by {who or 'another program'}. "
                "Wait until that is done, then try again."
            ) from None
        raise  # it has just let go
    except OSError as error:
        raise _write_error(path, error) from error
    try:
        yield
    finally:
        lock.release()


# -- copies --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Backup:
    """Files of an entry as they were before a write.

    Attributes
    ----------
    folder : Path
        Holds those of ``data.qpdata`` and ``summary.json`` that there were.
    entry_id : str
    taken : str
        When, UTC: ``20260102T030405Z`` and a count.
    """

    folder: Path
    entry_id: str
    taken: str


def keep_copy(project_folder: Path, entry_folder: Path, n_kept: int) -> Backup:
    """Copy an entry's files aside; the oldest copies beyond `n_kept` go."""
    place = project_folder / OWN_FOLDER / "before" / entry_folder.name
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    target = place / now
    _sweep(place, ".*.part")  # of a process that was killed
    work = make_folder(place / f".{now}.part")
    try:
        for name in _FILES:
            if (entry_folder / name).exists():
                shutil.copy2(entry_folder / name, work / name)
        work.replace(target)
    except OSError as error:
        shutil.rmtree(work, ignore_errors=True)
        raise _write_error(target, error) from error
    for old in backups_of(project_folder, entry_folder.name)[n_kept:]:
        shutil.rmtree(old.folder, ignore_errors=True)
    return Backup(target, entry_folder.name, now)


def backups_of(project_folder: Path, entry_id: str) -> Sequence[Backup]:
    """Copies of an entry, the latest first."""
    place = project_folder / OWN_FOLDER / "before" / entry_id
    found = sorted(place.glob("[0-9]*Z"), reverse=True) if place.is_dir() else []
    return [Backup(path, entry_id, path.name) for path in found]


def restore(backup: Backup, entry_folder: Path) -> None:
    """Put the bytes of a copy back; a file that was not there then goes.

    Raises
    ------
    WriteError
        A file cannot be written.
    """
    with new_files(entry_folder) as files:
        for name, new in zip(_FILES, files, strict=True):
            try:
                if (backup.folder / name).exists():
                    shutil.copy2(backup.folder / name, new)
                else:
                    (entry_folder / name).unlink(missing_ok=True)
            except OSError as error:
                raise _write_error(entry_folder / name, error) from error
        to_disk(*(f for f in files if f.exists()))
        put_in_place(entry_folder, *(f if f.exists() else None for f in files))


# -- new files -----------------------------------------------------------------------------------


@contextmanager
def new_files(entry_folder: Path) -> Iterator[tuple[Path, Path]]:
    """Names for new data and a new summary beside the old ones; what is left there is removed.

    Take `project_lock` first: what an earlier process left when it was killed goes, too.
    """
    make_folder(entry_folder)
    _sweep(entry_folder, f".{OWN_FOLDER}-*")
    token = secrets.token_hex(4)
    data, summary = (entry_folder / f".{OWN_FOLDER}-{token}-{name}" for name in _FILES)
    try:
        yield data, summary
    finally:
        _sweep(entry_folder, f".{OWN_FOLDER}-{token}-*")


def _sweep(folder: Path, pattern: str) -> None:
    for path in folder.glob(pattern):
        with contextlib.suppress(OSError):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def to_disk(*files: Path) -> None:
    """Wait until files are on the disk itself: a rename must not be there before them.

    This may take seconds. Do it before the last look whether another program saved, not after.
    """
    for path in files:
        try:
            handle = os.open(path, os.O_RDWR)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise _write_error(path, error) from error


def put_in_place(entry_folder: Path, data: Path | None, summary: Path | None) -> None:
    """Make finished new files the entry's own; each by one rename, the data first.

    Raises
    ------
    WriteError
        The data could not be put in place; nothing was changed.
    """
    if data is not None:
        try:
            data.replace(entry_folder / _FILES[0])
        except OSError as error:
            raise _write_error(entry_folder / _FILES[0], error) from error
    if summary is None:
        return
    try:
        summary.replace(entry_folder / _FILES[1])
    except OSError as error:
        # It tells counts for lists, and both QuPath and we see from its time that it is of before.
        warnings.warn(
            f"{entry_folder / _FILES[1]} cannot be written ({error.strerror}); lists of images "
            "show the counts of before until the next save.",
            stacklevel=2,
        )


def make_folder(path: Path) -> Path:
    """A folder, made with its parents if need be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _write_error(path, error) from error
    return path


def check_disk(entry_folder: Path, needed_bytes: int) -> None:
    """Raise WriteError before long work where the disk lacks room for the new files."""
    free = shutil.disk_usage(entry_folder).free
    if free < needed_bytes:
        raise WriteError(
            f"The disk of {entry_folder} has {free / 1e6:,.0f} MB free and about "
            f"{needed_bytes / 1e6:,.0f} MB are needed; nothing was written. Free some space."
        )


def _write_error(path: Path, error: OSError) -> WriteError:
    full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
    reason = "the disk is full; free some space" if full else (error.strerror or str(error))
    return WriteError(f"Cannot write {path}: {reason}. The project is as it was.")
