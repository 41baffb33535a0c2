"""The demo does the main job, and says where the results are."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from napari_histo.store import load_objects


def test_demo(cli, tmp_path):
    ran = cli("demo", "-o", tmp_path / "demo", "--no-window")
    assert ran.code == 0, ran.err
    f1 = float(re.search(r"F1@0\.5 .* (\d\.\d+)", ran.out).group(1))
    assert f1 > 0.9
    nuclei = int(re.search(r"(\d+) nuclei", ran.out).group(1))
    assert len(load_objects(tmp_path / "demo" / "he_tile.geojson")) == nuclei
    overlay = np.asarray(Image.open(tmp_path / "demo" / "he_tile_overlay.png"))
    assert overlay.shape == (1024, 1024, 3)
    for file in (tmp_path / "demo").iterdir():
        assert str(file.resolve()) in ran.out


def test_twice_is_safe(cli, tmp_path):
    for _ in range(2):
        assert cli("demo", "-o", tmp_path, "--no-window").code == 0


@pytest.mark.parametrize(
    ("place", "says"),
    [
        pytest.param("file", "a file of that name stands there", id="a-file"),
        pytest.param("file/below", "a part of its path is a file", id="below-a-file"),
        pytest.param("taken", "a folder of that name stands there", id="name-taken"),
    ],
)
def test_odd_places_are_refused_before_the_work(cli, tmp_path, place, says):
    (tmp_path / "file").write_text("x")
    (tmp_path / "taken" / "he_tile_overlay.png").mkdir(parents=True)
    ran = cli("demo", "-o", tmp_path / place, "--no-window")
    assert ran.code == 1
    assert says in ran.err
    assert "Segmenting" not in ran.out
    assert (tmp_path / "file").read_text() == "x"
