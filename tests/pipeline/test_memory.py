"""Memory of a run depends on the size of a tile, not on how many there are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from napari_histo.testing.synthetic import draw_patch, repeat_tile

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc"),
]


def test_many_tiles_need_hardly_more_memory_than_one(tmp_path):
    """Above what was loaded before; of tiles of 512 px a tenth more was seen."""
    slide = tmp_path / "slide.ome.tif"
    repeat_tile(slide, draw_patch("Tumor"), 4, 4)

    def above_own_mb(n):
        child = Path(__file__).with_name("memory_child.py")
        command = [sys.executable, child, slide, tmp_path / str(n), str(n)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return float(done.stdout.split()[-1])

    one, many = above_own_mb(1), above_own_mb(4)
    assert one > 50  # the network's activations alone
    assert many < 1.2 * one
