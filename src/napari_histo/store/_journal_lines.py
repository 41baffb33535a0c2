"""Lines of a journal: each a JSON object that carries the checksum of the rest of its line."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from napari_histo.store._journal_files import journal_files

__all__ = ["Lines", "last_unsaved", "read_lines", "to_line"]

_HEAD = re.compile(rb'\{"crc32":"([0-9a-f]{8})",')
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY


def to_line(record: Mapping[str, Any]) -> bytes:
    """A record as a line; it must have at least one member.

    The first member is the CRC-32 (zlib's) of the bytes behind its comma, without the line's end.
    """
    body = orjson.dumps(dict(record), option=_OPTIONS)[1:]
    return b'{"crc32":"%08x",%b\n' % (zlib.crc32(body), body)


@dataclass(frozen=True)
class Lines:
    """What could be read of a file.

    Attributes
    ----------
    records : list of dict
        Up to the damage; each has its ``crc32``.
    damage : str or None
        What follows the last good record, in the user's words.
    cut : bool
        True where the file merely ends within its last record, as after a power cut.
    """

    records: list[dict[str, Any]]
    damage: str | None = None
    cut: bool = False


def read_lines(path: Path) -> Lines:
    """All records up to the first that is damaged; no exception for damaged content.

    Raises
    ------
    OSError
        The file cannot be read at all.
    """
    records: list[dict[str, Any]] = []
    content = path.read_bytes()
    position = 0
    while position < len(content):
        end = content.find(b"\n", position)
        cut = end < 0
        end = len(content) if cut else end
        record = _from_line(content[position:end])
        if record is None:
            return Lines(records, _damage(content, position, end, cut), cut)
        records.append(record)
        position = end + 1
    return Lines(records)


def _from_line(line: bytes) -> dict[str, Any] | None:
    head = _HEAD.match(line)
    if head is None or int(head[1], 16) != zlib.crc32(line[head.end() :]):
        return None
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return record if isinstance(record, dict) else None


def _damage(content: bytes, position: int, end: int, cut: bool) -> str:
    if cut:
        return f"it ends within a step, at byte {len(content):,}"
    behind = content.count(b"\n", end + 1) + (not content.endswith(b"\n"))
    also = f"; {behind:,} later steps could not be used" if behind else ""
    return f"it is damaged at byte {position:,}{also}"


def last_unsaved(folders: Iterable[Path]) -> Mapping[str, Any] | None:
    """The last edit of a journal that its target does not hold.

    A file's edits may have been saved after a newer file began: each save begins one.
    """
    files = journal_files(folders)
    edits = sorted((n, path) for (kind, n), path in files.items() if kind == "edits")
    saved = 0
    for _, path in reversed(edits):
        try:
            stat = path.stat()
            tail = _tail(path, stat.st_mtime_ns, stat.st_size)
        except OSError:  # it went meanwhile, for a newer one holds all that it held
            continue
        saved = max(saved, tail.saved)
        if tail.edit is not None and tail.edit["revision"] > saved:
            return tail.edit
    return None


class _Tail(NamedTuple):
    edit: Mapping[str, Any] | None
    saved: int


@lru_cache(maxsize=16)
def _tail(path: Path, _mtime_ns: int, _size: int) -> _Tail:
    """Last edit of a file, and the revision it was saved with; read once for each state of it."""
    records = read_lines(path).records
    if not records:
        return _Tail(None, 0)
    head, *rest = records
    saved = [*head.get("saved", {}).values(), *(r["revision"] for r in rest if "saved" in r)]
    return _Tail(next((r for r in reversed(rest) if "name" in r), None), max(saved, default=0))
