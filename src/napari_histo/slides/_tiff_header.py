"""Is a TIFF all there? Follows its directories without decoding anything.

tifffile reads what is left of a truncated file and only logs the rest: half of the channels may be
missing without an error. Layout: TIFF 6.0, section 2, and the BigTIFF proposal.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.errors import ImageError

__all__ = ["check_directories"]

_SUB_IFDS = 330
#: Offsets and byte counts of strips, and of tiles.
_SEGMENTS = ((273, 279), (324, 325))
#: Hamamatsu's NDPI keeps the upper half of its 64-bit offsets elsewhere; it is not followed.
_NDPI = 65420
_MAX_DIRECTORIES = 100_000
#: Bytes of one value of each TIFF type; unknown types count as nothing.
_TYPE_SIZES = np.array([0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8], np.float64)


@dataclass(frozen=True)
class _Format:
    """Classic TIFF or BigTIFF: types of numbers in it."""

    count: np.dtype[Any]
    pointer: np.dtype[Any]
    entry: np.dtype[Any]

    @classmethod
    def of(cls, head: bytes) -> _Format | None:
        """Format of a file by its first four bytes; None where it is no TIFF."""
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        if order is None or len(head) < 8:
            return None
        version = int(np.frombuffer(head, f"{order}u2", 1, 2)[0])
        if version not in (42, 43):
            return None
        count, pointer = ("u2", "u4") if version == 42 else ("u8", "u8")
        fields = [("tag", "u2"), ("type", "u2"), ("count", pointer), ("value", pointer)]
        entry = np.dtype([(name, f"{order}{kind}") for name, kind in fields])
        return cls(np.dtype(f"{order}{count}"), np.dtype(f"{order}{pointer}"), entry)


def check_directories(path: Path) -> None:
    """Raise ImageError where a TIFF points beyond its end: to a directory, a value or pixels."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(16)
        form = _Format.of(head)
        if form is None:
            return
        start = 4 if form.pointer.itemsize == 4 else 8
        if len(head) < start + form.pointer.itemsize:
            raise _truncated(path, start + form.pointer.itemsize, size)
        todo = [int(np.frombuffer(head, form.pointer, 1, start)[0])]
        seen: set[int] = set()
        while todo and len(seen) < _MAX_DIRECTORIES:
            offset = todo.pop()
            if offset and offset not in seen:
                seen.add(offset)
                todo += _follow(path, file, offset, size, form)


def _follow(path: Path, file: IO[bytes], offset: int, size: int, form: _Format) -> list[int]:
    """Check the directory at `offset`; offsets of those that it names."""
    counted = offset + form.count.itemsize
    if counted > size:
        raise _truncated(path, counted, size)
    file.seek(offset)
    n = int(np.frombuffer(file.read(form.count.itemsize), form.count)[0])
    end = counted + n * form.entry.itemsize + form.pointer.itemsize
    if end > size:
        raise _truncated(path, end, size)
    entries = np.frombuffer(file.read(n * form.entry.itemsize), form.entry)
    following = int(np.frombuffer(file.read(form.pointer.itemsize), form.pointer)[0])
    if _NDPI in entries["tag"]:
        return []
    lengths = _TYPE_SIZES[np.where(entries["type"] < 19, entries["type"], 0)] * entries["count"]
    ends = np.where(lengths > form.pointer.itemsize, entries["value"] + lengths, 0)
    if ends.max(initial=0) > size:
        raise _truncated(path, int(ends.max()), size)
    last = _last_segment(file, entries, form)
    if last >= size:
        raise _truncated(path, last + 1, size)
    children = _values(file, entries, _SUB_IFDS, form)
    return [following, *(int(offset) for offset in children)]


def _last_segment(file: IO[bytes], entries: NDArray[Any], form: _Format) -> int:
    """Where the last strip or tile that is not empty starts.

    Its length is left alone: writers round that of the last strip up.
    """
    last = 0
    for offset_tag, count_tag in _SEGMENTS:
        offsets = _values(file, entries, offset_tag, form)
        counts = _values(file, entries, count_tag, form)
        n = min(len(offsets), len(counts))
        last = max(last, int(np.where(counts[:n] > 0, offsets[:n], 0).max(initial=0)))
    return last


def _values(file: IO[bytes], entries: NDArray[Any], tag: int, form: _Format) -> NDArray[np.integer]:
    """Whole numbers of a tag, which stand in its entry where they are few, else elsewhere."""
    found = entries[entries["tag"] == tag]
    if not len(found):
        return np.zeros(0, np.uint64)
    entry = found[0]
    n, width = int(entry["count"]), int(_TYPE_SIZES[min(int(entry["type"]), 18)])
    if width not in (1, 2, 4, 8):
        return np.zeros(0, np.uint64)
    kind = np.dtype(f"{form.pointer.str[0]}u{width}")
    if n * width <= form.pointer.itemsize:
        return np.frombuffer(entry.tobytes()[-form.pointer.itemsize :], kind, n)
    file.seek(int(entry["value"]))
    return np.frombuffer(file.read(n * width), kind)


def _truncated(path: Path, needed: int, size: int) -> ImageError:
    return ImageError(
        f"{path.name} is truncated or damaged: it points to byte {needed:,}, "
        f"but the file ends at byte {size:,}. Copy or export it again."
    )
