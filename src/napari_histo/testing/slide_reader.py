"""The contract of `napari_histo.core.slide.SlideReader`, as tests.

Examples
--------
>>> class TestMyReader(SlideReaderConformance):  # doctest: +SKIP
...     @pytest.fixture
...     def reader(self, tmp_path):
...         return MyReader(tmp_path / "image.xyz")
...
...     @pytest.fixture
...     def expected(self):
...         return np.zeros((64, 48, 3), np.uint8)
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_histo.core.box import Box
from napari_histo.core.slide import SlideInfo, SlideReader
from napari_histo.errors import ImageError

__all__ = ["SlideReaderConformance"]

_coordinate = st.floats(-0.3, 1.3)
_extent = st.floats(0, 1)
_relaxed = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)


def _fill(info: SlideInfo) -> int:
    return 255 if info.is_rgb else 0


def _cut(whole: NDArray[Any], box: Box, fill: int) -> NDArray[Any]:
    """`box` of an array, filled where it reaches beyond; slow and plain on purpose."""
    out = np.full((*box.shape, whole.shape[2]), fill, whole.dtype)
    for row in range(box.height):
        y = box.y + row
        if not 0 <= y < whole.shape[0]:
            continue
        columns = np.arange(box.x, box.right)
        inside = (columns >= 0) & (columns < whole.shape[1])
        out[row, inside] = whole[y, columns[inside]]
    return out


class SlideReaderConformance:
    """Subclass, give the fixtures `reader` and `expected`, and pytest does the rest."""

    #: Largest difference of a sample that a lossy format may show.
    tolerance: float = 0

    @pytest.fixture
    def reader(self) -> SlideReader:
        """A freshly opened reader of a small image (a few hundred px a side)."""
        raise NotImplementedError

    @pytest.fixture
    def expected(self) -> NDArray[Any]:
        """Its pixels at level 0: (h, w, c)."""
        raise NotImplementedError

    def test_satisfies_the_protocol(self, reader: SlideReader) -> None:
        assert isinstance(reader, SlideReader)

    def test_info_is_consistent(self, reader: SlideReader, expected: NDArray[Any]) -> None:
        info = reader.info
        assert (info.height, info.width, info.n_channels) == expected.shape
        assert info.dtype == expected.dtype
        assert info.dtype.isnative
        assert info.name
        assert info.n_levels == len(info.level_downsamples)
        assert info.n_z >= 1
        if info.is_rgb:
            assert info.channel_names == ("Red", "Green", "Blue")
            assert info.dtype == np.uint8

    def test_levels_shrink_by_their_downsample(self, reader: SlideReader) -> None:
        info = reader.info
        assert info.level_downsamples[0] == 1.0
        assert list(info.level_downsamples) == sorted(info.level_downsamples)
        for (height, width), scale in zip(info.level_shapes, info.level_downsamples, strict=True):
            # A side of a level is rounded, up or down, by each program in its own way.
            assert math.isclose(height, info.height / scale, abs_tol=1.5, rel_tol=0.02)
            assert math.isclose(width, info.width / scale, abs_tol=1.5, rel_tol=0.02)

    def test_whole_image(self, reader: SlideReader, expected: NDArray[Any]) -> None:
        self._assert_same(reader.read(reader.info.box), expected)

    def test_every_level_reads_whole(self, reader: SlideReader) -> None:
        info = reader.info
        for level in range(info.n_levels):
            pixels = reader.read(info.level_box(level), level)
            assert pixels.shape == (*info.level_shapes[level], info.n_channels)
            assert pixels.dtype == info.dtype

    @given(x=_coordinate, y=_coordinate, width=_extent, height=_extent)
    @_relaxed
    def test_any_box(
        self,
        reader: SlideReader,
        expected: NDArray[Any],
        x: float,
        y: float,
        width: float,
        height: float,
    ) -> None:
        w, h = reader.info.width, reader.info.height
        box = Box(int(x * w), int(y * h), int(width * w), int(height * h))
        self._assert_same(reader.read(box), _cut(expected, box, _fill(reader.info)))

    @given(x=_coordinate, y=_coordinate, width=_extent, height=_extent)
    @_relaxed
    def test_any_box_of_the_coarsest_level(
        self, reader: SlideReader, x: float, y: float, width: float, height: float
    ) -> None:
        info = reader.info
        level = info.n_levels - 1
        h, w = info.level_shapes[level]
        whole = reader.read(info.level_box(level), level)
        box = Box(int(x * w), int(y * h), int(width * w), int(height * h))
        self._assert_same(reader.read(box, level), _cut(whole, box, _fill(info)))

    @pytest.mark.parametrize(
        "side", ["left", "top", "right", "bottom", "around", "far away", "negative far away"]
    )
    def test_beyond_the_edge_is_filled(
        self, reader: SlideReader, expected: NDArray[Any], side: str
    ) -> None:
        whole = reader.info.box
        box = {
            "left": Box(-7, 3, 12, 9),
            "top": Box(3, -7, 12, 9),
            "right": Box(whole.width - 5, 3, 12, 9),
            "bottom": Box(3, whole.height - 5, 12, 9),
            "around": whole.pad(4),
            "far away": Box(whole.width + 1000, whole.height + 1000, 6, 5),
            "negative far away": Box(-10_000, -10_000, 6, 5),
        }[side]
        self._assert_same(reader.read(box), _cut(expected, box, _fill(reader.info)))

    @pytest.mark.parametrize(("width", "height"), [(0, 0), (0, 5), (5, 0)])
    def test_empty_box(self, reader: SlideReader, width: int, height: int) -> None:
        pixels = reader.read(Box(1, 1, width, height))
        assert pixels.shape == (height, width, reader.info.n_channels)
        assert pixels.dtype == reader.info.dtype

    @pytest.mark.parametrize("shift", [-1, 0, 7], ids=["minus one", "one too many", "far too many"])
    def test_a_level_that_does_not_exist(self, reader: SlideReader, shift: int) -> None:
        level = shift if shift < 0 else reader.info.n_levels + shift
        with pytest.raises(ImageError, match="level"):
            reader.read(Box(0, 0, 2, 2), level)

    def test_arrays_are_fresh(self, reader: SlideReader) -> None:
        box = reader.info.box
        first = reader.read(box)
        before = first.copy()
        assert first.flags.c_contiguous
        assert first.flags.writeable
        first[...] = 17
        np.testing.assert_array_equal(reader.read(box), before)

    def test_threads_read_the_same_as_one_alone(self, reader: SlideReader) -> None:
        info = reader.info
        step_x, step_y = max(1, info.width // 5), max(1, info.height // 5)
        boxes = [Box(i * step_x, j * step_y, step_x, step_y) for j in range(5) for i in range(5)]
        alone = [reader.read(box) for box in boxes]
        with ThreadPoolExecutor(8) as pool:
            together = list(pool.map(reader.read, boxes * 3))
        for pixels, reference in zip(together, alone * 3, strict=True):
            np.testing.assert_array_equal(pixels, reference)

    def test_closing_twice_is_fine(self, reader: SlideReader) -> None:
        reader.close()
        reader.close()

    def test_reading_after_closing_says_so(self, reader: SlideReader) -> None:
        reader.close()
        with pytest.raises(ImageError, match="closed"):
            reader.read(Box(0, 0, 2, 2))

    def test_repr_is_stable_and_names_the_image(self, reader: SlideReader) -> None:
        text = repr(reader)
        assert reader.info.name in text
        assert "0x" not in text
        assert text == repr(reader)

    def _assert_same(self, actual: NDArray[Any], expected: NDArray[Any]) -> None:
        assert actual.shape == expected.shape
        assert actual.dtype == expected.dtype
        if self.tolerance:
            difference = np.abs(actual.astype(np.float64) - expected.astype(np.float64))
            assert difference.max(initial=0) <= self.tolerance
        else:
            np.testing.assert_array_equal(actual, expected)
