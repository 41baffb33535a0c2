"""What is remembered of an image's last sync, so that files alone tell what moved since."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from qupath_bridge.changes import FileFacts
from qupath_bridge.delta import Delta
from qupath_bridge.exchange import ExchangeFacts, is_exchange
from qupath_bridge.pair import Comparison, Direction, Pair
from qupath_bridge.snapshot import Undo

__all__ = ["Known", "Stamp", "after_sync", "after_undo", "stamp_of"]

#: Size in bytes and time of change in ns since 1970; None for a file that is not there.
Stamp = tuple[int, int] | None
_FILE = "facts.json"
#: The base is written just before the facts; time stamps may be as coarse as 2 s.
_COARSE_NS = 2_000_000_000


def stamp_of(path: Path) -> Stamp:
    """Of a file as it is now; the file is not read."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


@dataclass(frozen=True)
class Known:
    """Both places at the end of a sync.

    Attributes
    ----------
    ours, theirs : Stamp
        Of our file and of the project's data; in an exchange folder of what QuPath exported.
    left_here, left_there : int
        Changes of each side that the other was not given.
    n_open : int
        Conflicts without an answer.
    """

    ours: Stamp
    theirs: Stamp
    left_here: int = 0
    left_there: int = 0
    n_open: int = 0

    @classmethod
    def of(cls, pair: Pair) -> Known | None:
        """What is remembered; None where the pair was never synced.

        A sync from the command line leaves no such facts, but a younger base.
        """
        base = stamp_of(pair.base_file)
        if base is None:
            return None
        facts = stamp_of(pair.folder / _FILE)
        if facts is not None and facts[1] > base[1] - _COARSE_NS:
            with suppress(OSError, ValueError, TypeError, KeyError):
                return cls._load(pair.folder / _FILE)
        return cls(_not_after(base[1], pair.file), _not_after(base[1], _data(pair)))

    @classmethod
    def _load(cls, path: Path) -> Known:
        words = json.loads(path.read_text(encoding="utf-8"))
        ours, theirs = (_read_stamp(words.pop(name)) for name in ("ours", "theirs"))
        return cls(ours, theirs, **words)

    def save(self, pair: Pair) -> None:
        """Keep beside the base; a place that takes no files is no reason to stop."""
        if not pair.folder.is_dir():
            return
        work = pair.folder / f"{_FILE}.part"
        with suppress(OSError):
            work.write_text(json.dumps(asdict(self)), encoding="utf-8")
            work.replace(pair.folder / _FILE)

    def moved(self, pair: Pair) -> tuple[bool, bool]:
        """Whether our file and the project's data are others now, or hold what was not given."""
        ours = stamp_of(pair.file) != self.ours or self.left_here > 0
        theirs = stamp_of(_data(pair)) != self.theirs or self.left_there > 0
        return ours, theirs


def after_sync(found: Comparison, direction: Direction) -> Known:
    """Facts to keep once `found` was carried out."""
    pair, merged = found.pair, found.merge
    wrote_ours = found.writes_ours(direction)
    return Known(
        ours=stamp_of(pair.file) if wrote_ours else _as_stamp(found.ours),
        theirs=_theirs(pair, found.theirs, is_written=found.writes_theirs(direction)),
        left_here=_n(merged.to_theirs) if direction == "pull" else 0,
        left_there=_n(merged.to_ours) if direction == "push" else 0,
        n_open=merged.n_open,
    )


def after_undo(pair: Pair, kept: Undo) -> Known:
    """Facts to keep once a sync was taken back: what it had carried over waits again."""
    ours, theirs = stamp_of(pair.file), stamp_of(_data(pair))
    return Known(ours, theirs, left_here=_n(kept.theirs), left_there=_n(kept.ours))


def _n(delta: Delta) -> int:
    return len(delta.upserts) + len(delta.deletions)


def _theirs(pair: Pair, facts: Any, *, is_written: bool) -> Stamp:
    """Of the project's side; what QuPath exported is written by QuPath alone."""
    if isinstance(facts, ExchangeFacts):
        return _as_stamp(facts.exported)
    return stamp_of(_data(pair)) if is_written else _as_stamp(facts.data)


def _as_stamp(facts: FileFacts | None) -> Stamp:
    return None if facts is None else (facts.size, facts.mtime_ns)


def _read_stamp(words: Sequence[int] | None) -> Stamp:
    return None if words is None else (int(words[0]), int(words[1]))


def _data(pair: Pair) -> Path:
    folder, key = pair.project.parent, pair.entry.entry_id
    if is_exchange(pair.project):
        return folder / "from-qupath" / f"{key}.geojson"
    return folder / "data" / key / "data.qpdata"


def _not_after(moment_ns: int, path: Path) -> Stamp:
    """The file's own stamp where it is not younger; else one that no file has."""
    stamp = stamp_of(path)
    return stamp if stamp is None or stamp[1] <= moment_ns else (-1, -1)
