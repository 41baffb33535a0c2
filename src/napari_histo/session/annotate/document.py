"""Where the objects of one image live: a file, and a journal of what was done since."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from threading import Lock, Thread
from types import TracebackType
from typing import Any

from napari_histo.core import Edit, ObjectTable, SlideInfo
from napari_histo.errors import HistoError, TargetChangedError, WriteError
from napari_histo.session.annotate.places import Home
from napari_histo.session.annotate.target import NO_FILE, TargetFile, default_target
from napari_histo.store._journal_files import clear, journal_files
from napari_histo.store.journal import Journal
from napari_histo.store.journal_recovery import Recovered, Target, recover

__all__ = ["Document", "Recovery"]

_log = logging.getLogger(__name__)
#: Reading 30 MB of edits back takes some seconds.
_LONG_JOURNAL_BYTES = 30_000_000
#: For another thread that saves the file, or marks a region in it.
_PATIENCE_S = 2.0


@dataclass(frozen=True)
class Recovery:
    """What the journal of an earlier session gave back.

    Attributes
    ----------
    n_edits : int
        Edits that the target does not hold.
    damaged : str or None
        What could not be read, in the user's words.
    snapshot_at : datetime or None
        When all objects were last kept beside the edits.
    """

    n_edits: int
    damaged: str | None = None
    snapshot_at: datetime | None = None


class Document:
    """Objects of one image on disk: opened under a lock, every edit in a journal, saved whole.

    Made by `open`. Methods may be called from any thread. `append` and `prepare_save` return at
    once; `open`, `save`, `close` and what `prepare_save` gives back take seconds for 100,000
    objects.

    Attributes
    ----------
    table : ObjectTable
        As opened: the target's objects with all edits that were recovered.
    recovery : Recovery or None
        None where nothing was left over.
    notice : str
        What the user should know until the next save: edits are kept elsewhere, a file has changed.
    saved_at : datetime or None
        When this document was last saved.
    """

    table: ObjectTable
    recovery: Recovery | None
    notice: str
    saved_at: datetime | None

    def __init__(self, home: Home, image_name: str, info: SlideInfo | None = None) -> None:
        self.table = ObjectTable.empty()
        self.recovery = None
        self.notice = home.notice
        self.saved_at = None
        self._home = home
        self._file = TargetFile(home.target, info)
        self._image_name = image_name
        self._journal: Journal | None = None
        self._saved_revision = 0
        self._saving = Lock()
        self._background: Thread | None = None
        self._damaged_files: list[Path] = []
        self._needs_base = False

    @classmethod
    def open(
        cls,
        target: Path | str | None,
        image_name: str,
        image_path: Path | str | None = None,
        *,
        table: ObjectTable | None = None,
        info: SlideInfo | None = None,
        data_folder: Path | None = None,
    ) -> Document:
        """Open the objects of an image for editing, with all that an earlier session left.

        Parameters
        ----------
        target : path or None
            GeoJSON or Parquet; need not exist. None stands for ``<image>.geojson`` beside
            `image_path`, and for no file yet where the image has none.
        image_name : str
        image_path : path or None
        table : ObjectTable, optional
            Objects to begin with instead of the target's, which the next save replaces. Not used
            where edits are recovered: `recovery` tells.
        info : SlideInfo, optional
            Facts on the image, for the file's head.
        data_folder : Path, optional
            Where journals go when the target's folder takes none; the user's data folder.

        Raises
        ------
        DocumentLockedError
            It is open in another window, of this or another process.
        ObjectsFileError
            The target is damaged or of a format that cannot hold objects.
        WriteError
            No place can be written to.
        """
        if target is None and image_path is not None:
            target = default_target(image_path)
        path = None if target is None else Path(target)
        home = Home.take(path, image_name, data_folder, patience_s=_PATIENCE_S)
        document = cls(home, image_name, info)
        try:
            document._load(table)
        except BaseException:
            document._abandon()
            raise
        return document

    def __enter__(self) -> Document:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- how it stands ---------------------------------------------------------------------------

    @property
    def target(self) -> Path | None:
        """The file; None while an image without a file has none."""
        return self._file.path

    @property
    def journal_folder(self) -> Path:
        """Where edits are kept now."""
        return self._open_journal.folder

    @property
    def n_unsaved(self) -> int:
        """Changes that the target does not hold."""
        return self._open_journal.revision - self._saved_revision

    @property
    def wants_compaction(self) -> bool:
        """True where the journal has grown so long that `prepare_compaction` is worth its while."""
        return self._open_journal.size_bytes > _LONG_JOURNAL_BYTES

    def changed_outside(self) -> bool:
        """True where another program changed the target. Reads the whole file."""
        try:
            self._file.check_unchanged(self._open_journal)
        except TargetChangedError:
            return True
        return False

    @property
    def _open_journal(self) -> Journal:
        if self._journal is None:
            raise HistoError(f"{self.target or self._image_name} is closed. Open it again.")
        return self._journal

    # -- editing ---------------------------------------------------------------------------------

    def append(self, edit: Edit, rows: Mapping[str, Any] | None = None) -> None:
        """Keep an edit. When this returns it survives the end of the process.

        Where the disk is full or gone, another place is taken, and `notice` says which. With
        `rows`, which `encode_rows` makes in any thread, many objects take no time here.

        Raises
        ------
        WriteError
            No place takes it; do not show the edit.
        """
        if self._needs_base:
            self._wait()
        self._open_journal.append(edit, rows)

    def save(
        self, table: ObjectTable, path: Path | str | None = None, *, overwrite: bool = False
    ) -> None:
        """Write all objects to the target now; see `prepare_save`."""
        self.prepare_save(table, path, overwrite=overwrite)()

    def prepare_save(
        self, table: ObjectTable, path: Path | str | None = None, *, overwrite: bool = False
    ) -> Callable[[], None]:
        """Fix what is to be saved; what comes back does it, in any thread.

        Call this with the table as it stands after the last `append`; edits appended later
        are not in the file, and stay in the journal.

        Parameters
        ----------
        table : ObjectTable
        path : path, optional
            Another file: the document lives there from then on.
        overwrite : bool
            Replace the target though another program changed it.

        Returns
        -------
        callable
            Raises TargetChangedError where another program changed the target, WriteError where it
            cannot be written; what stood there is then untouched and the edits stay in the journal.

        Raises
        ------
        WriteError, DocumentLockedError, ObjectsFileError
            There is no file to save to, or `path` is not fit for it.
        """
        if path is None and self.target is None:
            raise WriteError(f"{self._image_name} has no file yet. Choose one to save to.")
        journal = self._open_journal
        start, move = journal.rotate(), None
        if path is not None and Path(path).resolve() != self.target:
            move = self._home.another(Path(path), self._image_name)
        return partial(self._save, table, journal, start, move, overwrite)

    def prepare_compaction(self, read: Callable[[], ObjectTable]) -> Callable[[], None]:
        """Like `prepare_save`, but all objects go into the journal alone, which becomes short.

        Not while a prepared save is still to be done: that one may need the older edits.

        Parameters
        ----------
        read : callable
            Gives the table as it stands after the last `append`; called by what comes back.

        Raises
        ------
        WriteError
            No place takes a new file.
        """
        journal = self._open_journal
        return partial(self._compact, read, journal, journal.rotate())

    def discard(self) -> ObjectTable:
        """Give up all edits since the last save; the target's objects.

        The edits stay in the journal's subfolder ``aside``.

        Raises
        ------
        ObjectsFileError
            The target cannot be read; nothing is given up.
        """
        with self._saving:
            self._wait()
            checksum = self._file.checksum()
            table = self._file.read()
            self._open_journal.close()
            clear(self._home.folders, keep=journal_files(self._home.folders).values())
            self.recovery = None
            self._begin(table, None, checksum)
        return table

    def close(self) -> None:
        """Let go of the file; unsaved edits stay in the journal. Again is no error."""
        with self._saving:
            self._wait()
            if self._journal is None:
                return
            clean = self.n_unsaved == 0
            self._journal.close()
            self._journal = None
            if clean:
                clear(self._home.folders)
            self._home.leave()

    # -- opening ---------------------------------------------------------------------------------

    def _load(self, table: ObjectTable | None) -> None:
        # Before the file is read: what changes it meanwhile is then noticed by the next save.
        checksum = self._file.checksum()
        found = recover(self._home.folders, Target(checksum or None, self._file.read))
        n_edits = 0 if found is None else found.revision - _revision_of(found, checksum)
        if found is not None and n_edits > 0:
            self._go_on(found, n_edits, checksum)
            return
        start = self._file.read() if table is None else table
        if found is not None and found.damage:
            self.recovery = Recovery(0, "; ".join(found.damage))
        clear(self._home.folders, keep=[] if found is None else found.damaged_files)
        self._begin(start, table, checksum)

    def _begin(self, start: ObjectTable, given: ObjectTable | None, checksum: str) -> None:
        """A journal without a past; objects that are `given` stand in no file yet."""
        self.table = start
        self._saved_revision = 0
        self._journal = Journal(
            self._home.usable,
            self._head(),
            revision=int(given is not None),
            began="base" if given is not None else "target" if checksum else "nothing",
            saved={checksum: 0},
            on_trouble=self._tell,
        )
        if given is not None:
            self._journal.write_base(given, self._journal.start)
            if checksum:
                self._tell(f"Saving will replace the objects in {self.target}.")
        elif checksum:
            # Until the base is there, edits are meant for the objects of the target.
            self._needs_base = not self._file.keeps_ids(start)
            self._in_background(partial(self._write_base, start, self._journal.start))

    def _go_on(self, found: Recovered, n_edits: int, checksum: str) -> None:
        """A journal that goes on from what was recovered."""
        self.table = found.table
        self.recovery = Recovery(n_edits, "; ".join(found.damage) or None, found.snapshot_at)
        self._damaged_files = found.damaged_files
        self._saved_revision = found.revision - n_edits
        self._journal = Journal(
            self._home.usable,
            self._head(),
            revision=found.revision,
            follows=found.follows,
            began="edits",
            saved=found.saved,
            on_trouble=self._tell,
        )
        if checksum != NO_FILE and checksum not in found.saved:
            self._tell(str(self._file.refusal()))
        work = partial(self._write_base, found.table, self._journal.start)
        # A damaged journal must not be built upon.
        work() if found.damage else self._in_background(work)

    def _head(self) -> dict[str, str]:
        return {"target": str(self.target or ""), "image": self._image_name}

    def _abandon(self) -> None:
        if self._journal is not None:
            self._journal.close()
        self._home.leave()

    # -- saving ----------------------------------------------------------------------------------

    def _save(
        self, table: ObjectTable, journal: Journal, start: int, move: Home | None, overwrite: bool
    ) -> None:
        try:
            with self._saving:
                self._wait()
                if self._open_journal is not journal or start < self._saved_revision:
                    return  # a later save was faster, or the edits were given up
                if move is None:
                    self._file.write(table, journal, start, overwrite=overwrite)
                else:
                    self._move(table, start, move)
                self._saved_revision = start
                self.saved_at = datetime.now()
                self.notice = ""
                self._write_base(table, start)
        finally:
            if move is not None and self._home is not move:
                move.leave()

    def _move(self, table: ObjectTable, start: int, home: Home) -> None:
        """Live at another file from now on."""
        journal, file = self._open_journal, TargetFile(home.target, self._file.info)
        file.write(table, journal, start, overwrite=True)
        journal.move(home.usable, {**self._head(), "target": str(home.target)}, start)
        clear(self._home.folders)
        self._home.leave()
        self._home, self._file = home, file

    def _compact(self, read: Callable[[], ObjectTable], journal: Journal, start: int) -> None:
        with self._saving:
            self._wait()
            # Not where it was closed or given up meanwhile, or a later save was faster.
            if self._journal is journal and start >= self._saved_revision:
                journal.write_base(read(), start, keep=self._damaged_files)

    # -- in the background -----------------------------------------------------------------------

    def _write_base(self, table: ObjectTable, start: int) -> None:
        """Without a base the journal is whole, only longer."""
        try:
            self._open_journal.write_base(table, start, keep=self._damaged_files)
        except (HistoError, OSError) as error:
            _log.warning("%s", error)

    def _in_background(self, work: Callable[[], None]) -> None:
        self._background = Thread(target=work, name="journal base", daemon=True)
        self._background.start()

    def _wait(self) -> None:
        thread = self._background
        if thread is not None:
            thread.join()
            self._background = None
            self._needs_base = False

    def _tell(self, notice: str) -> None:
        self.notice = f"{self.notice}\n{notice}".strip()


def _revision_of(found: Recovered, checksum: str) -> int:
    """What the target holds; where somebody else changed it, what it held last."""
    return found.saved.get(checksum, max(found.saved.values(), default=0))
