"""A process that the system itself gives no more memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_histo.core import ObjectTable
from napari_histo.store import load_objects
from napari_histo.testing.synthetic import draw_patch, repeat_tile

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's"),
]
#: Too little for a tile of 1024 px (400 MB were), enough for a part of it (230 were).
_MORE_MB = 300
#: Address space that threads reserve but do not use would count too.
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}


def run(slide: Path, folder: Path, more_mb: int) -> tuple[ObjectTable, list[str]]:
    """Objects and notes of a run with so much more memory; 0 for all there is."""
    folder.mkdir()
    child = Path(__file__).with_name("short_of_memory_child.py")
    command = [sys.executable, child, slide, folder, str(more_mb)]
    subprocess.run(command, check=True, env=os.environ | _ENVIRONMENT)
    whole = folder / "whole"
    notes: list[str] = json.loads((whole / "summary.json").read_text())["notes"]
    return load_objects(whole / "objects.parquet"), notes


def test_with_too_little_memory_the_objects_are_the_same_and_the_user_is_told(tmp_path):
    slide = repeat_tile(tmp_path / "slide.ome.tif", draw_patch("Tumor"), 1, 1).path
    free, notes = run(slide, tmp_path / "free", 0)
    assert notes == []
    limited, notes = run(slide, tmp_path / "limited", _MORE_MB)
    assert notes
    assert all("Memory ran out" in note for note in notes)
    assert len(free) == len(limited) > 200
    assert np.array_equal(free.object_id, limited.object_id)
    assert np.allclose(free.centroids, limited.centroids, atol=0.01)
