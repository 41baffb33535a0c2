"""The examples run as they are printed."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from napari_histo.cli.demo import sample_folder
from napari_histo.store import load_objects

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_segment_in_python(tmp_path, monkeypatch, capsys):
    image = tmp_path / "tile.ome.tif"
    image.write_bytes((sample_folder() / "he_tile.ome.tif").read_bytes())
    monkeypatch.setattr(sys, "argv", ["segment_in_python.py", str(image)])
    runpy.run_path(str(EXAMPLES / "segment_in_python.py"), run_name="__main__")
    assert "nuclei, median area" in capsys.readouterr().out
    assert len(load_objects(f"{image}.geojson")) > 100
