"""Windows of a fixed size in which a Cellpose network sees an image, and the mean of its answers.

The lattice follows from the size of the whole image alone, as in the ``cellpose`` package
(``core.run_net`` with ``transforms.make_tiles`` and ``average_tiles``, versions 3.1 and 4.2): the
image in a frame of zeros, windows evenly spread and overlapping by a tenth, answers faded towards
the windows' edges. So a tile of any size finds what the package finds in the whole image.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box

__all__ = ["CONVOLUTION", "TRANSFORMER", "Answers", "Lattice", "Windows", "average", "cut"]

_BLOCK_PX = 16
_OVERLAP = 0.1
_FADE_PX, _FADE_FROM_PX = 7.5, 20

#: From windows (n, h, w, c) to maps (n, 3, h, w).
Network = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class Lattice:
    """What windows a network wants.

    Attributes
    ----------
    window_px : int
        Side of a window.
    always_whole : bool
        True where smaller images are framed until they fill a window.
    """

    window_px: int
    always_whole: bool


#: Cellpose 1 to 3; Cellpose-SAM.
CONVOLUTION, TRANSFORMER = Lattice(224, False), Lattice(256, True)


@dataclass(frozen=True)
class Windows:
    """Where the windows of an image lie.

    Attributes
    ----------
    rows, columns : (n,) int64
        First pixels, in px of the image; they may lie before it.
    height, width : int
        Of each window, px.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    height: int
    width: int

    @classmethod
    def of(cls, extent: Box, lattice: Lattice) -> Windows:
        """The windows of a whole image."""
        rows, height = _starts(extent.height, lattice)
        columns, width = _starts(extent.width, lattice)
        return cls(rows + extent.y, columns + extent.x, height, width)

    def touching(self, box: Box) -> Iterator[Box]:
        """Windows that share pixels with `box`, row by row."""
        for y in self.rows[(self.rows < box.bottom) & (self.rows + self.height > box.y)]:
            for x in self.columns[(self.columns < box.right) & (self.columns + self.width > box.x)]:
                yield Box(int(x), int(y), self.width, self.height)


def _starts(length_px: int, lattice: Lattice) -> tuple[NDArray[np.int64], int]:
    """First pixels of the windows along one side of an image, and their length."""
    window = lattice.window_px
    short = -length_px % _BLOCK_PX
    if lattice.always_whole and length_px < window:
        short = max(0, window - length_px - _BLOCK_PX)
    framed = length_px + short + _BLOCK_PX
    size = min(window, framed)
    n = 1 if framed <= window else math.ceil((1 + 2 * _OVERLAP) * framed / window)
    starts = np.linspace(0, framed - size, n).astype(np.int64)
    return starts - _BLOCK_PX // 2 - short // 2, size


class Answers:
    """A network that is asked once about each window that tiles share; for one image.

    Parameters
    ----------
    network : callable
    lattice : Lattice
    keep_bytes : int
        Of answers that are kept, the latest asked for.
    batch : int
        Windows at once.
    """

    def __init__(self, network: Network, lattice: Lattice, *, keep_bytes: int, batch: int) -> None:
        self.lattice = lattice
        self._network, self._room, self._batch = network, keep_bytes, batch
        self._kept: OrderedDict[Box, NDArray[np.float32]] = OrderedDict()

    def of(
        self, boxes: Sequence[Box], cut: Callable[[Box], NDArray[np.float32]]
    ) -> Iterator[tuple[Box, NDArray[np.float32]]]:
        """Windows with what the network says of each; `cut` gives a window's pixels."""
        for start in range(0, len(boxes), self._batch):
            some = boxes[start : start + self._batch]
            known = {box: self._kept[box] for box in some if box in self._kept}
            if new := [box for box in some if box not in known]:
                answers = self._network(np.stack([cut(box) for box in new]))
                known |= dict(zip(new, answers, strict=True))
            for box in some:
                self._keep(box, known[box])
                yield box, known[box]

    def _keep(self, box: Box, answer: NDArray[np.float32]) -> None:
        self._kept[box] = answer
        self._kept.move_to_end(box)
        while len(self._kept) * answer.nbytes > self._room:
            self._kept.popitem(last=False)


def average(
    image: NDArray[np.float32], read: Box, want: Box, extent: Box, answers: Answers
) -> NDArray[np.float32]:
    """What a network says of each pixel of `want`, the mean of all windows that see it.

    Parameters
    ----------
    image : (h, w, c) float32
        Pixels of `read`.
    read, want, extent : Box
        What there are pixels of, what is wanted, the whole image. `read` must hold all that the
        windows touching `want` see of the image, or zeros stand for the rest.
    answers : Answers

    Returns
    -------
    (3, want.height, want.width) float32
    """
    windows = Windows.of(extent, answers.lattice)
    fade = _fade(windows.height, windows.width, answers.lattice.window_px)
    total = np.zeros((3, want.height, want.width), np.float32)
    weight = np.zeros((want.height, want.width))
    boxes = list(windows.touching(want))
    for box, answer in answers.of(boxes, lambda box: cut(image, read, box)):
        part = box.intersect(want)
        here, there = _slices(part, want), _slices(part, box)
        total[:, *here] += answer[:, *there] * fade[there]
        weight[here] += fade[there]
    total /= weight
    return total


def cut(image: NDArray[np.float32], read: Box, box: Box) -> NDArray[np.float32]:
    """A window's pixels; zeros beyond what was read."""
    part = box.intersect(read)
    out = np.zeros((box.height, box.width, image.shape[2]), np.float32)
    if not part.is_empty:
        out[_slices(part, box)] = image[_slices(part, read)]
    return out


def _slices(part: Box, of: Box) -> tuple[slice, slice]:
    """Rows and columns of `part` in an array of `of`."""
    top, left = part.y - of.y, part.x - of.x
    return slice(top, top + part.height), slice(left, left + part.width)


@lru_cache(maxsize=4)
def _fade(height: int, width: int, window_px: int) -> NDArray[np.float64]:
    """How much each pixel of a window counts: 1 in its middle, little at its edges."""
    off = np.abs(np.arange(window_px) - (window_px - 1) / 2)
    line = 1 / (1 + np.exp((off - (window_px / 2 - _FADE_FROM_PX)) / _FADE_PX))
    rows, columns = (line[(window_px - n) // 2 :][:n] for n in (height, width))
    fade: NDArray[np.float64] = rows[:, None] * columns
    return fade
