"""Where a TIFF keeps the pixels of a box, and reading only those.

Pages are cut into segments (tiles or strips). A box is read by decoding the segments that it
touches, in the thread that asks. Pages that lie uncompressed in one piece are mapped into memory
instead, so that a small box of a huge page costs a few disk blocks. tifffile's own zarr store does
the same work but sends every segment through one event loop: 2 to 14 times slower for 512² px.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core.box import Box
from napari_histo.core.latest import Latest
from napari_histo.errors import ImageError

__all__ = ["ArrayStack", "PageFiles", "PageStack", "Plane", "SegmentCache"]

#: Segments of pages by page and number; boxes of neighbours share them.
SegmentCache = Latest[tuple[int, int], NDArray[Any]]


@dataclass(frozen=True)
class Plane:
    """The pixels of one page, or of one that would follow it.

    Attributes
    ----------
    page : tifffile.TiffPage or TiffFrame or None
        None where a file of a set is missing: such a plane is empty.
    shift : int
        Bytes from the page's own pixels to the plane's: ImageJ and numpy stacks may describe many
        planes, one after the other, by a single page.
    """

    page: Any
    shift: int = 0


class PageFiles:
    """Bytes of the file, or files, that hold the pages of an image.

    Any thread may call, and a forked process too: reads name their place and move no file pointer.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: dict[str, IO[bytes]] = {}
        self._maps: dict[str, NDArray[np.uint8]] = {}

    def read(self, page: Any, offset: int, count: int) -> bytes:
        """`count` bytes from `offset` of the page's file, fewer at its end."""
        path = str(page.parent.filehandle.path)
        with self._lock:
            if path not in self._files:
                self._files[path] = Path(path).open("rb", buffering=0)  # noqa: SIM115 - kept
            file = self._files[path]
            if not hasattr(os, "pread"):  # Windows
                file.seek(offset)
                return file.read(count)
        return os.pread(file.fileno(), count, offset)

    def map(self, page: Any) -> NDArray[np.uint8]:
        """The page's whole file, mapped."""
        path = str(page.parent.filehandle.path)
        with self._lock:
            if path not in self._maps:
                self._maps[path] = np.memmap(path, np.uint8, "r")
            return self._maps[path]

    def close(self) -> None:
        """Close the files and drop the mappings."""
        with self._lock:
            for file in self._files.values():
                file.close()
            self._files.clear()
            self._maps.clear()


class PageStack:
    """Planes of equal layout, one after the other, as the channels of one pyramid level.

    Parameters
    ----------
    planes : sequence of Plane
        In the order of the channels; a page of several samples gives several channels.
    keyframe : tifffile.TiffPage
        The page that describes the layout of all.
    files, cache
        Shared by the levels of an image.
    empty : number
        Value of segments that the file leaves out (sparse tiles).
    """

    def __init__(
        self,
        planes: Sequence[Plane],
        keyframe: Any,
        *,
        files: PageFiles,
        cache: SegmentCache,
        empty: float = 0,
    ) -> None:
        self._planes = tuple(planes)
        self._key = keyframe
        self._files = files
        self._cache = cache
        self._empty = empty
        self._separate, _, self.height, self.width, self._contiguous = keyframe.shaped
        if keyframe.is_tiled:
            self._segment_shape = (int(keyframe.tilelength), int(keyframe.tilewidth))
        else:
            rows = min(int(keyframe.rowsperstrip), self.height)
            self._segment_shape = (rows, self.width)

    @property
    def samples(self) -> int:
        """Samples of a page."""
        return int(self._separate * self._contiguous)

    def read(self, box: Box) -> NDArray[Any]:
        """Raw samples of a box inside the level: (h, w, planes * samples)."""
        n = self.samples
        out = np.empty((*box.shape, len(self._planes) * n), self._key.dtype)
        for i, plane in enumerate(self._planes):
            self._read_plane(plane, box, out[..., i * n : (i + 1) * n])
        return out

    def check_complete(self, file_size: int) -> None:
        """Raise ImageError where the directory names bytes beyond the end of the file."""
        for plane in self._planes:
            if plane.page is None:
                continue
            needed = self._last_byte(plane)
            if needed > file_size and plane.page.parent is self._key.parent:
                raise ImageError(
                    f"{plane.page.parent.filehandle.name} is truncated: its pixels reach to byte "
                    f"{needed:,}, but the file ends at byte {file_size:,}. Copy or export it again."
                )

    def _last_byte(self, plane: Plane) -> int:
        offsets = np.asarray(plane.page.dataoffsets, np.int64)
        if not len(offsets):
            return 0
        if self._key.is_final:
            return int(offsets[0]) + plane.shift + int(self._key.nbytes)
        counts = np.asarray(plane.page.databytecounts, np.int64)
        n = min(len(offsets), len(counts))
        ends = np.where(counts[:n] > 0, offsets[:n] + counts[:n], 0)
        return int(ends.max(initial=0)) + plane.shift

    def _read_plane(self, plane: Plane, box: Box, out: NDArray[Any]) -> None:
        if plane.page is None:
            out[...] = self._empty
        elif self._key.is_final:
            self._copy_mapped(plane, box, out)
        else:
            self._copy_segments(plane, box, out)

    def _copy_mapped(self, plane: Plane, box: Box, out: NDArray[Any]) -> None:
        dtype = self._key.dtype.newbyteorder(self._key.parent.byteorder)
        shape = (self._separate, self.height, self.width, self._contiguous)
        start = int(plane.page.dataoffsets[0]) + plane.shift
        page: NDArray[Any] = np.ndarray(shape, dtype, self._files.map(plane.page).data, start)
        part = page[:, box.y : box.bottom, box.x : box.right]
        for s in range(self._separate):
            out[..., s * self._contiguous : (s + 1) * self._contiguous] = part[s]

    def _copy_segments(self, plane: Plane, box: Box, out: NDArray[Any]) -> None:
        rows, columns = self._segment_shape
        for sample, index, y, x in self._touched(box):
            segment = self._segment(plane.page, index)
            part = Box(x, y, columns, rows).intersect(box)
            target = out[..., sample : sample + self._contiguous]
            target[_window(part, box.x, box.y)] = segment[_window(part, x, y)]

    def _touched(self, box: Box) -> Iterator[tuple[int, int, int, int]]:
        """First sample, index and corner (y, x) of each segment that the box touches."""
        rows, columns = self._segment_shape
        across, down = -(-self.width // columns), -(-self.height // rows)
        for s in range(self._separate):
            for j in range(box.y // rows, -(-box.bottom // rows)):
                for i in range(box.x // columns, -(-box.right // columns)):
                    yield s, (s * down + j) * across + i, j * rows, i * columns

    def _segment(self, page: Any, index: int) -> NDArray[Any]:
        """Decoded segment: (rows, columns, samples), shorter at the image's edge for strips."""
        # Some files leave out the last row of tiles altogether.
        count = page.databytecounts[index] if index < len(page.databytecounts) else 0
        offset = page.dataoffsets[index] if index < len(page.dataoffsets) else 0
        if not count or not offset:
            return np.full((*self._segment_shape, self._contiguous), self._empty, self._key.dtype)
        key = (id(page), index)
        return self._cache.get(key, lambda: self._decode(page, index, int(offset), int(count)))

    def _decode(self, page: Any, index: int, offset: int, count: int) -> NDArray[Any]:
        tables: dict[str, Any] = {"_fullsize": True}
        if page.jpegtables is not None:
            tables["jpegtables"] = page.jpegtables
        if self._key.jpegheader is not None:
            tables["jpegheader"] = self._key.jpegheader
        data = self._files.read(page, offset, count)
        if len(data) < count:
            raise ImageError(f"The file ends within a segment at byte {offset + len(data):,}.")
        segment, _, _ = self._key.decode(data, index, **tables)
        pixels: NDArray[Any] = np.asarray(segment)[0]
        return pixels


class ArrayStack:
    """Channels of a level that lie across the file's pages, unfolded: see `Layout.unfold`.

    Parameters
    ----------
    planes : (h, w, c) array
        Perhaps a view of a mapped file.
    samples : int
        Channels that belong together.
    """

    def __init__(self, planes: NDArray[Any], samples: int) -> None:
        self._planes = planes
        self.height, self.width = planes.shape[:2]
        self.samples = samples

    def read(self, box: Box) -> NDArray[Any]:
        """Raw samples of a box inside the level: (h, w, channels)."""
        part = self._planes[_window(box, 0, 0)]
        return np.array(part, part.dtype.newbyteorder("="), order="C")

    def check_complete(self, file_size: int) -> None:
        """Unfolding has read the file already."""


def _window(part: Box, x: int, y: int) -> tuple[slice, slice]:
    """Rows and columns of `part` in an array whose corner lies at (x, y)."""
    return slice(part.y - y, part.bottom - y), slice(part.x - x, part.right - x)
