"""The journal: every edit in a file before it shows, so that nothing is lost.

A journal is a folder with two kinds of files:

``base-00000120.parquet``
    All objects as they stood after change 120 (GeoParquet, see `store.parquet`).
``edits-00000120.jsonl``
    The changes from 121 on, one JSON object a line, appended and never rewritten. A line's first
    member ``crc32`` is the CRC-32 of the bytes between the comma behind it and the line's end.

The first line of a file of edits is its head: ``journal`` ("napari-histo"), ``version``,
``revision`` (120), ``follows`` (the ``crc32`` of the last line of the file of edits before it, or
null), ``began`` ("nothing", "target" or "base": what holds the state at its beginning), ``target``,
``image``, and ``saved``: which change each state of the target file (by SHA-256) holds.

The other lines are of three kinds. An edit has ``revision`` (one more than before), ``at`` and
``name``; ``removed`` (ids that go) and ``ids`` with whole ``columns`` (rows that come), or, without
``removed``, only those columns of ``ids`` that differ from before; ``schemes`` (classes before and
after) and ``classes`` (new ones), where they changed. ``saved`` says that a file of this SHA-256
with all changes up to ``revision`` is about to become the target; ``base`` says so of a base.

To read one: take the latest base, then do the edits of the file with the same number, then those
of the file that follows it, and so on. Rows that come or change are last, on top of the others.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from threading import RLock
from typing import Any

from napari_histo.core import Edit, ObjectTable
from napari_histo.errors import WriteError
from napari_histo.store._journal_files import (
    clear,
    journal_files,
    make_journal_folder,
    sha256_of,
)
from napari_histo.store._journal_lines import to_line
from napari_histo.store._journal_replay import edit_record, encode_rows
from napari_histo.store._journal_sync import Syncer
from napari_histo.store.write import put_in_place

__all__ = ["FORMAT_VERSION", "Journal", "encode_rows"]

FORMAT_VERSION = 1


class Journal:
    """The end of a journal, to which edits are appended. Any thread may call.

    Parameters
    ----------
    folders : sequence of Path
        Places to write to; the first that takes a file is used, the next when it no longer does.
    head : mapping
        ``target`` and ``image``, for the head of each file.
    revision : int
        Changes so far.
    follows : str or None
        Checksum of the last line of the journal that this one goes on from.
    began : str
        "nothing", "target" or "base": what holds the objects at `revision`.
    saved : mapping of str to int
        Revision that the target held when it had a SHA-256.
    on_trouble : callable
        Told in the user's words when the place changes or the disk reports a fault; any thread.

    Raises
    ------
    WriteError
        No folder takes a file.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        head: Mapping[str, Any],
        *,
        revision: int = 0,
        follows: str | None = None,
        began: str = "nothing",
        saved: Mapping[str, int] | None = None,
        on_trouble: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.revision = revision
        self.saved = dict(saved or {})
        self.path = Path()
        self._folders = list(folders)
        self._all_folders = list(folders)
        self._head = dict(head)
        self._follows = follows
        self._on_trouble = on_trouble
        self._told: set[str] = set()
        self._guard = RLock()
        self._syncer = Syncer(on_trouble)
        self._handle = -1
        self._start = self._base_revision = -1
        self._size = 0
        self._begin(began)

    @property
    def folder(self) -> Path:
        """Where it is written now."""
        return self._folders[0]

    @property
    def start(self) -> int:
        """Revision at which the file that is written now begins."""
        return self._start

    @property
    def size_bytes(self) -> int:
        """Of the file that is written now."""
        return self._size

    def append(self, edit: Edit, rows: Mapping[str, Any] | None = None) -> int:
        """Write an edit; when this returns it survives the end of the process.

        It survives a power cut half a second later, when the disk has been told.

        Parameters
        ----------
        edit : Edit
        rows : mapping, optional
            What `encode_rows` made of it ahead, in another thread.

        Returns
        -------
        int
            The revision that it makes.

        Raises
        ------
        WriteError
            No place takes it; nothing was changed.
        """
        with self._guard:
            told = set(self._told)
            record = {"revision": self.revision + 1, "at": _now(), **edit_record(edit, told, rows)}
            try:
                self._write(record)
            except OSError as error:
                self._move_on(error)
                self._write({**record, **edit_record(edit, told := set(), rows)})
            self._told = told
            self.revision += 1
            return self.revision

    def note_saved(self, sha256: str, revision: int) -> None:
        """Say which file is about to become the target."""
        self._write_note({"saved": sha256, "revision": revision, "at": _now()})
        self.saved[sha256] = revision

    def rotate(self) -> int:
        """Go on in a new file, unless this one is still empty; the revision at which it begins.

        A base for that revision may then be written in the background.
        """
        with self._guard:
            if self.revision > self._start:
                self._begin("edits")
            return self._start

    def write_base(self, table: ObjectTable, revision: int, *, keep: Iterable[Path] = ()) -> None:
        """Keep all objects as they stood where a file begins, then drop older files.

        Slow (a second for 100,000 objects); edits may be appended meanwhile.

        Parameters
        ----------
        table : ObjectTable
            As at `revision`.
        revision : int
            That `rotate` gave back, or `start` of a new journal.
        keep : iterable of Path
                Files to set aside instead.

        Raises
        ------
        WriteError
            The disk is full; the older files stay and the journal is whole without the base.
        """
        from napari_histo.store.parquet import write_parquet

        if revision < self._base_revision:
            return
        name = f"base-{revision:08d}.parquet"
        work = self.folder / f"new-{name}"
        write_parquet(work, table)
        # First said, then done: a base that is there has its checksum in the journal.
        self._write_note({"base": name, "sha256": sha256_of(work), "revision": revision})
        put_in_place(work, work.with_name(name))
        self._base_revision = revision
        clear(self._all_folders, below=revision, keep=keep)

    def move(self, folders: Sequence[Path], head: Mapping[str, Any], start: int) -> None:
        """Go on in other folders, with the edits since revision `start`, which the target holds.

        Raises
        ------
        WriteError
            None of the folders takes a file; the journal stays where it is.
        """
        with self._guard:
            lines = self._lines_since(start)
            before = self.__dict__.copy()
            self._folders, self._all_folders = list(folders), list(folders)
            self._head, self._follows, self.revision = dict(head), None, start
            self._told = set()
            try:
                self._begin("target")
                _write_all(self._handle, lines)
            except (OSError, WriteError):
                self.__dict__.update(before)
                raise
            self.revision, self._size = before["revision"], self._size + len(lines)
            if lines:
                self._follows = _checksum(lines[lines.rfind(b"\n", 0, -1) + 1 :])

    def _lines_since(self, start: int) -> bytes:
        """Lines behind the heads of the files from `start` on."""
        files = journal_files(self._all_folders)
        paths = [
            path for (kind, n), path in sorted(files.items()) if kind == "edits" and n >= start
        ]
        return b"".join(path.read_bytes().partition(b"\n")[2] for path in paths)

    def close(self) -> None:
        """Bring everything to the disk and let go of the file; again is no error."""
        with self._guard:
            if self._handle >= 0:
                self._syncer.let_go(self._handle)
                self._handle = -1
        self._syncer.close()

    # -- files -----------------------------------------------------------------------------------

    def _begin(self, began: str) -> None:
        """Open a new file in the first folder that takes one."""
        trouble: OSError | None = None
        for i, folder in enumerate(self._folders):
            try:
                self._open_in(folder, began)
            except OSError as error:
                trouble = trouble or error
                continue
            self._folders = self._folders[i:]
            return
        raise WriteError(
            f"Cannot keep your edits anywhere: {trouble}. Tried "
            f"{', '.join(map(str, self._folders))}. Free some space, then do the last step again."
        )

    def _open_in(self, folder: Path, began: str) -> None:
        make_journal_folder(folder)
        revision = self.revision
        while ("edits", revision) in journal_files(self._all_folders):
            revision += 1  # a damaged file of an earlier session bears that number
        path = folder / f"edits-{revision:08d}.jsonl"
        line = to_line({**self._about(began), "revision": revision, "follows": self._follows})
        # The file appears with its head, so that one without was cut.
        work = path.with_name(f"new-{path.name}")
        try:
            work.write_bytes(line)
            work.replace(path)
        finally:
            work.unlink(missing_ok=True)
        handle = os.open(path, _FLAGS)
        if self._handle >= 0:
            self._syncer.let_go(self._handle)
        self.path, self._handle, self._size = path, handle, len(line)
        self._follows = _checksum(line)
        self._start = self.revision = revision
        self._told.clear()
        self._syncer.touch(handle)
        with suppress(OSError):  # a folder keeps the file's name; Windows opens no folders
            self._syncer.let_go(os.open(folder, os.O_RDONLY))

    def _about(self, began: str) -> dict[str, Any]:
        return {
            "journal": "napari-histo",
            "version": FORMAT_VERSION,
            "began": began,
            "at": _now(),
            **self._head,
            "saved": self.saved,
        }

    def _write(self, record: Mapping[str, Any]) -> None:
        """Append a line whole, or leave the file as it was."""
        line = to_line(record)
        if not os.fstat(self._handle).st_nlink:
            raise FileNotFoundError(errno.ENOENT, "it was removed")
        try:
            _write_all(self._handle, line)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._handle, self._size)
            raise
        self._size += len(line)
        self._follows = _checksum(line)
        self._syncer.touch(self._handle)

    def _write_note(self, record: Mapping[str, Any]) -> None:
        """Append a line that must be on the disk before what it speaks of."""
        with self._guard:
            try:
                self._write(record)
            except OSError as error:
                self._move_on(error)
                self._write(record)
            handle = os.dup(self._handle)
        with suppress(OSError):  # the next sync reports a fault
            os.fsync(handle)
        os.close(handle)

    def _move_on(self, error: OSError) -> None:
        """Go on in the next place, since this one takes nothing more."""
        before, self._folders = self.folder, self._folders[1:]
        try:
            self._begin("edits")
        except WriteError:
            self._folders.insert(0, before)
            raise
        self._on_trouble(
            f"{before} takes no more edits ({error.strerror or error}). They are now kept in "
            f"{self.folder}. Free some space, then save."
        )


_FLAGS = os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0)


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _checksum(line: bytes) -> str:
    return line[10:18].decode()


def _write_all(handle: int, line: bytes) -> None:
    """A full disk may take a part of a line before it says so."""
    view = memoryview(line)
    while view:
        view = view[os.write(handle, view) :]
