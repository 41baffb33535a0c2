"""A box costs what it covers: no more segments, no more memory, no library before it is needed."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_histo.core.box import Box
from napari_histo.slides import open_slide
from napari_histo.slides._tiff_planes import PageStack, SegmentCache

RGB = np.random.default_rng(4).integers(0, 256, (300, 500, 3), np.uint8)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the segments that were decoded, in order."""
    numbers: list[int] = []
    decode = PageStack._decode

    def count(self: PageStack, page: Any, index: int, *rest: int) -> np.ndarray:
        numbers.append(index)
        return decode(self, page, index, *rest)

    monkeypatch.setattr(PageStack, "_decode", count)
    return numbers


@pytest.mark.parametrize(
    ("options", "box", "expected"),
    [
        ({"tile": (64, 64)}, Box(70, 70, 20, 20), [9]),
        ({"tile": (64, 64)}, Box(60, 60, 8, 8), [0, 1, 8, 9]),
        ({"tile": (64, 64)}, Box(64, 64, 64, 64), [9]),
        ({"rowsperstrip": 10}, Box(400, 95, 5, 10), [9, 10]),
        ({"tile": (64, 64)}, Box(-50, -50, 10, 10), []),
        ({"tile": (64, 64)}, Box(10, 10, 0, 0), []),
    ],
    ids=["inside a tile", "a corner of four", "just a tile", "two strips", "outside", "empty"],
)
def test_only_touched_segments_are_decoded(
    tmp_path: Path, decoded: list[int], options: dict[str, Any], box: Box, expected: list[int]
) -> None:
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, RGB, photometric="rgb", compression="zlib", **options)
    with open_slide(path) as reader:
        reader._cache.clear()
        decoded.clear()
        reader.read(box)
    assert decoded == expected


def test_neighbouring_boxes_share_segments(tmp_path: Path, decoded: list[int]) -> None:
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, RGB, photometric="rgb", compression="zlib", tile=(128, 128))
    with open_slide(path) as reader:
        for x in range(0, 500, 50):
            reader.read(Box(x - 10, 0, 70, 100))
    assert sorted(decoded) == [0, 1, 2, 3]


def test_opening_decodes_next_to_nothing(tmp_path: Path, decoded: list[int]) -> None:
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, RGB, photometric="rgb", compression="zlib", tile=(16, 16))
    with open_slide(path):
        assert len(decoded) <= 2


def test_memory_for_a_box_of_a_large_slide(data_dir: Path) -> None:
    path = data_dir / "slides" / "large_image_yb10kx5k.zstd.tiff"
    with open_slide(path) as reader:
        reader._cache.clear()
        tracemalloc.start()
        reader.read(Box(800, 800, 512, 512))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    # Four tiles of 1024² RGB, one of them twice while it is decoded, and the box.
    assert peak < 5.5 * 3 * 2**20
    assert reader.info.box.area * 3 > 140 * 10**6


def test_memory_for_a_box_of_an_uncompressed_page(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, np.zeros((3000, 4000, 3), np.uint8), photometric="rgb")
    with open_slide(path) as reader:
        tracemalloc.start()
        reader.read(Box(1000, 1000, 256, 256))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork")
def test_forked_processes_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, RGB, photometric="rgb", compression="zlib", tile=(16, 16))
    with open_slide(path) as reader:
        reader._cache = SegmentCache(0)
        child = os.fork()
        same = all(np.array_equal(reader.read(reader.info.box), RGB) for _ in range(5))
        if child == 0:
            os._exit(0 if same else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert same


@pytest.mark.parametrize(
    "library",
    ["tifffile", "zarr", "dask", "PIL", "openslide", "imagecodecs", "torch", "napari", "qtpy"],
)
def test_importing_the_room_brings_no_library(library: str, imported: set[str]) -> None:
    assert library not in imported


@pytest.fixture(scope="module")
def imported() -> set[str]:
    code = "import sys, napari_histo.slides; print(*{m.partition('.')[0] for m in sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "napari_histo" in run.stdout
    return set(run.stdout.split())
