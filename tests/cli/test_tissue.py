"""``napari-histo tissue`` from slides to masks."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_histo.core import ObjectType
from napari_histo.pipeline.tissue import load_tissue
from napari_histo.slides import open_slide
from napari_histo.store import load_objects


@pytest.fixture
def slide(tmp_path):
    """(300, 400) glass with a pink square of 100 px at (50, 100), at 4 µm/px if it is told."""
    image = np.full((300, 400, 3), 243, np.uint8)
    image[100:200, 50:150] = (225, 150, 190)
    path = tmp_path / "slide.png"
    Image.fromarray(image).save(path)
    return path


def test_outlines_are_annotations_of_tissue(cli, slide, tmp_path):
    out = tmp_path / "mask.geojson"
    ran = cli("tissue", slide, "-o", out, "--pixel-size", 4, "--margin", 0)
    assert ran.code == 0, ran.err
    assert "% tissue in 1 piece" in ran.out
    table = load_objects(out)
    assert table.class_names.tolist() == ["Tissue"]
    assert table.object_type.tolist() == [ObjectType.ANNOTATION]
    assert table.contours.areas_px[0] == pytest.approx(100**2, rel=0.1)


@pytest.mark.parametrize("name", ["mask.png", "mask.tif", "mask.parquet"])
def test_pictures_and_outlines_hold_the_same(cli, slide, tmp_path, name):
    ran = cli("tissue", slide, "-o", tmp_path / name, "--pixel-size", 4)
    assert ran.code == 0, ran.err
    with open_slide(slide) as reader:
        mask = load_tissue(tmp_path / name, reader.info)
    assert mask.share == pytest.approx(0.104, abs=0.01)
    assert mask.contains([(100, 150), (300, 150)]).tolist() == [True, False]


def test_options_reach_the_work(cli, slide, tmp_path):
    def printed(*options):
        return cli("tissue", slide, "-o", tmp_path / "m.png", "--pixel-size", 4, *options).out

    assert "no tissue" in printed("--threshold", 0.5)
    assert "no tissue" in printed("--min-piece", 1e6)
    assert "tissue in 1 piece" in printed("--margin", 200)


def test_several_go_to_a_folder_and_a_bad_one_stops_none(cli, slide, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_text("no image")
    ran = cli("tissue", bad, slide, "-o", tmp_path / "many", "--format", "png")
    assert ran.code == 1
    assert "bad.png" in ran.err
    assert "carries no pixel size" in ran.err
    assert [p.name for p in (tmp_path / "many").iterdir()] == ["slide.png"]


def test_an_unknown_ending_is_told_before_the_work(cli, slide, tmp_path):
    ran = cli("tissue", slide, "-o", tmp_path / "mask.ome.zarr")
    assert ran.code == 1
    assert ".geojson or .parquet" in ran.err
    assert not (tmp_path / "mask.ome.zarr").exists()
