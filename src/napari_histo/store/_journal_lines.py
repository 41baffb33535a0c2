"""Lines of a journal: each a JSON object that carries the checksum of the rest of its line."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

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


def last_unsaved(records: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The last edit of a file's records, unless the target was saved with it."""
    if not records:
        return None
    head, *rest = records
    saved = max(
        [0, *head.get("saved", {}).values(), *(r["revision"] for r in rest if "saved" in r)]
    )
    edits = [r for r in rest if "name" in r and r["revision"] > saved]
    return edits[-1] if edits else None
