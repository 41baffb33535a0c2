"""What a journal holds, read up to the damage."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from napari_histo.core import ObjectTable
from napari_histo.errors import HistoError, ObjectsFileError
from napari_histo.store._journal_files import journal_files, sha256_of
from napari_histo.store._journal_lines import Lines, read_lines
from napari_histo.store._journal_replay import Replay
from napari_histo.store.journal import FORMAT_VERSION

__all__ = ["Recovered", "Target", "recover"]

_MISFIT = (KeyError, ValueError, TypeError, IndexError, AttributeError)


@dataclass(frozen=True)
class Target:
    """The file that the journal's edits are meant for, as it stands.

    Attributes
    ----------
    sha256 : str or None
        None where there is no file.
    read : callable
        Gives its objects; asked only where the journal needs them.
    """

    sha256: str | None
    read: Callable[[], ObjectTable]


@dataclass
class Recovered:
    """What was found.

    Attributes
    ----------
    table : ObjectTable
        Objects after the last good edit.
    revision : int
        Number of that edit.
    saved : dict of str to int
        Revision that the target held when it had a SHA-256.
    follows : str or None
        Checksum of the last good line.
    damage : list of str
        What could not be read, in the user's words; empty when all is well.
    damaged_files : list of Path
    snapshot_at : datetime or None
        When all objects were kept last; None where the journal began with none.
    """

    table: ObjectTable
    revision: int = 0
    saved: dict[str, int] = field(default_factory=dict)
    follows: str | None = None
    damage: list[str] = field(default_factory=list)
    damaged_files: list[Path] = field(default_factory=list)
    snapshot_at: datetime | None = None


@dataclass(frozen=True)
class _Edits:
    """A file of edits."""

    path: Path
    head: Mapping[str, Any]
    lines: Lines

    @property
    def revision(self) -> int:
        return int(self.head["revision"])


def recover(folders: Iterable[Path], target: Target) -> Recovered | None:
    """Objects and edits of a journal; None where there is none. Damage is told, never raised.

    Raises
    ------
    ObjectsFileError
        A newer version of the program wrote it.
    """
    files = journal_files(folders)
    if not files:
        return None
    return _Recovery(files, target).run()


class _Recovery:
    def __init__(self, files: Mapping[tuple[str, int], Path], target: Target) -> None:
        self._target = target
        self._bases = {n: path for (kind, n), path in files.items() if kind == "base"}
        self._found = Recovered(ObjectTable.empty())
        self._is_guess = False
        self._n_misfits = 0
        self._edits: dict[int, _Edits] = {}
        for (kind, number), path in files.items():
            edits = self._read(path) if kind == "edits" else None
            if edits is not None:
                self._edits[number] = edits

    def run(self) -> Recovered:
        found = self._found
        start, base = self._beginning()
        replay = Replay(base)
        found.revision = start
        edits, used = self._edits.get(start), set[int]()
        while edits is not None and edits.revision not in used:
            used.add(edits.revision)
            self._replay(edits, replay)
            edits = self._next(edits)
        self._tell_unused(start, used)
        if self._n_misfits and not self._is_guess:
            found.damage.append(f"{self._n_misfits} steps were for objects that are not there")
        found.table = replay.table()
        return found

    # -- reading ---------------------------------------------------------------------------------

    def _read(self, path: Path) -> _Edits | None:
        try:
            lines = read_lines(path)
        except OSError as error:
            self._tell(path, f"it cannot be read: {error.strerror or error}")
            return None
        head = lines.records[0] if lines.records else {}
        if int(head.get("version", 1)) > FORMAT_VERSION:
            raise ObjectsFileError(
                f"The journal {path} was written by a newer version of napari-histo (format "
                f"{head['version']}; this one reads up to {FORMAT_VERSION}). Update napari-histo."
            )
        if "revision" not in head or "journal" not in head:
            self._tell(path, lines.damage or "its head is missing")
            return None
        return _Edits(path, head, lines)

    def _tell(self, path: Path, what: str) -> None:
        self._found.damage.append(f"{path.name}: {what}")
        self._found.damaged_files.append(path)

    # -- where to begin --------------------------------------------------------------------------

    def _beginning(self) -> tuple[int, ObjectTable]:
        """Revision and objects to begin with: the latest base, else the file, else nothing."""
        for number in sorted(self._bases, reverse=True):
            table = self._read_base(number)
            if table is not None:
                return number, table
        if not self._edits:
            return 0, ObjectTable.empty()
        first = min(self._edits)
        head = self._edits[first].head
        if head["began"] == "nothing":
            return first, ObjectTable.empty()
        saved = {**head["saved"], **self._saved_later()}
        number = saved.get(self._target.sha256, -1)
        table = self._read_target()
        if table is not None and number in self._edits:
            return number, table
        self._is_guess = True
        if any("ids" in r for edits in self._edits.values() for r in edits.lines.records):
            self._tell(
                self._edits[first].path,
                "the objects that it began with are gone; its steps were done on the file as it is",
            )
        return first, ObjectTable.empty() if table is None else table

    def _saved_later(self) -> dict[str, int]:
        records = (r for edits in self._edits.values() for r in edits.lines.records[1:])
        return {r["saved"]: r["revision"] for r in records if "saved" in r}

    def _read_base(self, number: int) -> ObjectTable | None:
        from napari_histo.store.parquet import read_parquet

        path = self._bases[number]
        try:
            wanted = self._checksums().get(path.name)
            if wanted is not None and sha256_of(path) != wanted:
                self._tell(path, "its content is not what was written")
                return None
            table = read_parquet(path)
            self._found.snapshot_at = datetime.fromtimestamp(path.stat().st_mtime)
        except (HistoError, OSError, *_MISFIT) as error:
            self._tell(path, f"it cannot be read: {error}")
            return None
        return table

    def _checksums(self) -> dict[str, str]:
        records = (r for edits in self._edits.values() for r in edits.lines.records[1:])
        return {r["base"]: r["sha256"] for r in records if "base" in r}

    def _read_target(self) -> ObjectTable | None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return self._target.read()
        except HistoError:
            return None

    # -- going on --------------------------------------------------------------------------------

    def _replay(self, edits: _Edits, replay: Replay) -> None:
        found = self._found
        found.saved.update(edits.head["saved"])
        found.revision = max(found.revision, edits.revision)
        found.follows = str(edits.head["crc32"])
        for record in edits.lines.records[1:]:
            if "saved" in record:
                found.saved[record["saved"]] = record["revision"]
            elif "ids" in record and not self._apply(edits, record, replay):
                return
            found.follows = str(record["crc32"])
        if edits.lines.damage and self._next(edits) is None:
            self._tell(edits.path, edits.lines.damage)

    def _apply(self, edits: _Edits, record: Mapping[str, Any], replay: Replay) -> bool:
        """Do an edit; False where one before it is missing, which is the end."""
        number = int(record["revision"])
        if number != self._found.revision + 1:
            self._tell(edits.path, f"step {number} comes after step {self._found.revision}")
            return False
        try:
            missing = replay.apply(record)
        except _MISFIT:
            missing = 1
        self._n_misfits += missing > 0
        self._found.revision = number
        return True

    def _next(self, edits: _Edits) -> _Edits | None:
        """The file that goes on from the last good line."""
        follows = self._found.follows
        return next(
            (e for e in self._edits.values() if e is not edits and e.head["follows"] == follows),
            None,
        )

    def _tell_unused(self, start: int, used: set[int]) -> None:
        for number, edits in self._edits.items():
            if number > start and number not in used and len(edits.lines.records) > 1:
                self._tell(edits.path, "it follows something that is missing")
