"""Cuts a stream of GeoJSON into runs of whole features, without building the document.

Only braces, quotes and backslashes are looked at, a block at a time with numpy; each run of
features is then parsed by orjson. Memory is that of one block and of the longest feature.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
import orjson
from numpy.typing import NDArray

from napari_histo.errors import ObjectsFileError

__all__ = ["FeatureRun", "FeatureSplitter"]

_BOM = b"\xef\xbb\xbf"
_FEATURES = re.compile(rb'"features"\s*:\s*\[\s*$')
_GEOMETRIES = {
    "Point",
    "MultiPoint",
    "LineString",
    "MultiLineString",
    "Polygon",
    "MultiPolygon",
    "GeometryCollection",
}


@dataclass(frozen=True)
class FeatureRun:
    """Neighbouring features of a file.

    Attributes
    ----------
    text : bytes
        The features with the commas between them.
    spans : list of (int, int)
        Where each feature starts and ends in `text`.
    position : int
        Byte of the (decompressed) file at which `text` starts.
    index : int
        Number of the first feature in the file, from 0.
    """

    text: bytes
    spans: list[tuple[int, int]]
    position: int
    index: int

    def feature(self, i: int) -> bytes:
        """Text of one feature."""
        start, end = self.spans[i]
        return self.text[start:end]


class _BraceScanner:
    """Finds where objects of one depth start and end; blocks may cut strings and objects."""

    def __init__(self, depth_of_features: int) -> None:
        self.depth = 0
        self._level = depth_of_features
        self._in_string = False
        self._position = 0

    def feed(self, block: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Absolute positions of starts, and one past the ends. No block ends with a backslash."""
        if b"\\" in block:
            block = block.replace(b"\\\\", b"__").replace(b'\\"', b"__")
        codes = np.frombuffer(block, np.uint8)
        quotes = np.flatnonzero(codes == ord('"'))
        # One pass for both braces: 123 and 125 are the only codes that give 127 here, but for
        # 121, 127 ("y" and DEL), which the next line drops.
        braces = np.flatnonzero((codes | 6) == 127)
        braces = braces[(codes[braces] == 123) | (codes[braces] == 125)]
        in_string = (np.searchsorted(quotes, braces) + self._in_string) % 2 == 1
        braces = braces[~in_string]
        opens = codes[braces] == 123
        depth = self.depth + np.cumsum(np.where(opens, 1, -1))
        starts = braces[opens & (depth == self._level + 1)] + self._position
        ends = braces[~opens & (depth == self._level)] + self._position + 1
        self.depth = int(depth[-1]) if len(depth) else self.depth
        self._in_string = (len(quotes) + self._in_string) % 2 == 1
        self._position += len(block)
        return starts, ends


@dataclass
class FeatureSplitter:
    """Iterates over the `FeatureRun` s of a stream.

    Takes a FeatureCollection, a bare list of features, one Feature, or one geometry; with a byte
    order mark, with other members before or after the features, or quoted as one JSON string.

    Parameters
    ----------
    stream : binary file
        The decompressed text.
    name : str
        File name for messages.
    block_bytes : int
        How much is read at once.

    Attributes
    ----------
    members : dict
        Other members of the FeatureCollection; those before the features are there with the first
        run, those behind them after the last.

    Raises
    ------
    ObjectsFileError
        While iterating, where the text is cut off, is not JSON or not GeoJSON; with the position.
    """

    stream: BinaryIO
    name: str
    block_bytes: int = 1 << 21
    members: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._skeleton = bytearray()  # the document without its features
        self._inside = False  # between the brackets of the features
        self._found = False
        self._n_features = 0

    def __iter__(self) -> Iterator[FeatureRun]:
        first = self._first_block()
        if first[:1] == b'"':
            yield from self._quoted(first)
            return
        if first[:1] not in (b"[", b"{"):
            raise self._not_geojson(f"it starts with {_shown(first[:20])}")
        scanner = _BraceScanner(0 if first[:1] == b"[" else 1)
        pending, base, cut = b"", 0, 0
        starts = ends = np.zeros(0, np.int64)
        block = first
        while block:
            new_starts, new_ends = scanner.feed(block)
            pending, base = pending[cut - base :] + block, cut
            starts, ends = np.concatenate([starts, new_starts]), np.concatenate([ends, new_ends])
            n = min(len(starts), len(ends))
            yield from self._runs(pending, base, cut, np.stack([starts[:n], ends[:n]], axis=1))
            cut = int(ends[n - 1]) if n else cut
            starts, ends = starts[n:], ends[n:]
            block = self._read()
        rest = pending[cut - base :]
        if scanner.depth != 0 or len(starts):
            raise self._truncated(base + len(pending))
        yield from self._finish(rest, base + len(pending))

    def _first_block(self) -> bytes:
        block = self._read()
        if block.startswith(_BOM):
            block = block[len(_BOM) :]
        block = block.lstrip()
        while not block:
            more = self._read()
            if not more:
                raise self._not_geojson("it is empty")
            block = more.lstrip()
        return block

    def _read(self) -> bytes:
        """Next block, lengthened until it does not end within an escape."""
        try:
            block = self.stream.read(self.block_bytes)
            while block.endswith(b"\\"):
                more = self.stream.read(1)
                if not more:
                    break
                block += more
            return block
        except EOFError as error:
            raise self._damaged("its compressed data end too early") from error
        except OSError as error:  # gzip's CRC and header errors are OSErrors too
            raise self._damaged(str(error)) from error
        except Exception as error:  # zlib.error has no public base but Exception
            raise self._damaged(f"its compressed data are damaged ({error})") from error

    def _runs(
        self, text: bytes, base: int, cursor: int, spans: NDArray[np.int64]
    ) -> Iterator[FeatureRun]:
        """Runs among the objects at `spans`; what stands between them is checked on the way."""
        run: list[tuple[int, int]] = []
        at = cursor - base
        for start, end in (spans - base).tolist():
            gap = text[at:start]
            if self._inside and (gap == b"," or gap.strip() == b","):
                run.append((start, end))
            else:
                if run:
                    yield self._run(text, base, run)
                    run = []
                if self._enters(gap, base + at):
                    run.append((start, end))
                else:
                    self._skeleton += text[start:end]
            at = end
        if run:
            yield self._run(text, base, run)

    def _enters(self, gap: bytes, position: int) -> bool:
        """Take up text between objects; true where the object behind it is the first feature."""
        if self._inside and not gap.lstrip().startswith(b"]"):
            what = "a comma is missing" if not gap.strip() else f"unexpected {_shown(gap.strip())}"
            raise ObjectsFileError(
                f"{self.name} is damaged between features {self._n_features} and "
                f"{self._n_features + 1} (byte {position:,}): {what}. Export it again."
            )
        self._inside = False
        self._skeleton += gap
        opened = self._skeleton.strip() == b"[" or _FEATURES.search(self._skeleton) is not None
        if opened and not self._found:
            self._inside = self._found = True
            if self._skeleton[:1] == b"{":
                self._take_members(bytes(self._skeleton) + b"]}")
            return True
        return False

    def _run(self, text: bytes, base: int, spans: list[tuple[int, int]]) -> FeatureRun:
        first, last = spans[0][0], spans[-1][1]
        run = FeatureRun(
            text[first:last],
            [(a - first, b - first) for a, b in spans],
            base + first,
            self._n_features,
        )
        self._n_features += len(spans)
        return run

    def _finish(self, rest: bytes, size: int) -> Iterator[FeatureRun]:
        self._skeleton += rest
        text = bytes(self._skeleton)
        try:
            document = json.loads(text)
        except ValueError as error:
            if self._found and not rest.strip():
                raise self._truncated(size) from error
            raise self._not_geojson(f"{error}") from error
        self._take_members(text)
        if self._found:
            return
        kind = document.get("type") if isinstance(document, dict) else None
        if kind == "Feature" or kind in _GEOMETRIES:
            yield FeatureRun(text, [(0, len(text))], 0, 0)
        elif document != [] and not (
            kind == "FeatureCollection" and document.get("features") == []
        ):
            keys = list(document)[:8] if isinstance(document, dict) else _shown(text[:20])
            raise self._not_geojson(f"it is JSON with {keys}")

    def _take_members(self, text: bytes) -> None:
        try:
            document = orjson.loads(text)
        except orjson.JSONDecodeError:
            return  # what is wrong shows at the end of the file
        if isinstance(document, dict):
            self.members.update(
                (k, v) for k, v in document.items() if k not in ("type", "features")
            )

    def _quoted(self, first: bytes) -> Iterator[FeatureRun]:
        """A document that somebody dumped twice: one JSON string that holds JSON."""
        text = first
        while block := self._read():
            text += block
        try:
            inner = json.loads(text)
        except ValueError as error:
            raise self._not_geojson(f"{error}") from error
        again = FeatureSplitter(io.BytesIO(inner.encode()), self.name, self.block_bytes)
        yield from again
        self.members.update(again.members)

    def _truncated(self, size: int) -> ObjectsFileError:
        return ObjectsFileError(
            f"{self.name} ends too early: the text stops at byte {size:,}, after "
            f"{self._n_features:,} whole features. Copy or export it again."
        )

    def _damaged(self, reason: str) -> ObjectsFileError:
        return ObjectsFileError(
            f"{self.name} cannot be read to its end: {reason}, after {self._n_features:,} whole "
            "features. Copy or export it again."
        )

    def _not_geojson(self, reason: str) -> ObjectsFileError:
        return ObjectsFileError(
            f"{self.name} is not GeoJSON: {reason}. Wanted is a FeatureCollection, a list of "
            "features, one Feature or one geometry, as QuPath exports under File > Export objects "
            "as GeoJSON."
        )


def _shown(text: bytes) -> str:
    return repr(text[:20].decode("utf-8", "replace"))
