"""Whole slides at the command line: run folders, going on, tissue, exports."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_histo.models._classical import ClassicalSegmenter
from napari_histo.store import load_objects

PROPOSE = ClassicalSegmenter.propose


def segment(cli, *arguments):
    return cli("segment", *arguments, "--model", "classical", "--tile", "100")


@pytest.fixture
def small_is_large(monkeypatch):
    monkeypatch.setattr("napari_histo.cli._job._LARGE_PX", 1000)


@pytest.fixture
def cut(monkeypatch):
    """Makes the model fail after so many tiles."""

    def after(n):
        calls = iter(range(100))

        def propose(self, images, min_prob):
            # The rehearsal before the first tile is smaller than any tile.
            if min(images.shape[1:3]) > 32 and next(calls) >= n:
                raise OSError("the disk was pulled out")
            return PROPOSE(self, images, min_prob)

        monkeypatch.setattr(ClassicalSegmenter, "propose", propose)

    return after


def test_one_slide_into_a_run_folder(cli, blob_tiff, tmp_path):
    ran = segment(cli, blob_tiff, "-o", tmp_path / "run")
    assert ran.code == 0, ran.err
    assert "12 objects -> " in ran.out
    assert len(load_objects(tmp_path / "run" / "objects.parquet")) == 12
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["model"]["name"] == "classical"
    assert facts["parameters"]["tile_px"] == 100


@pytest.mark.parametrize("name", ["o.geojson", "o.geojson.gz", "o.parquet", "o.tif"])
def test_large_images_go_by_way_of_a_run(cli, blob_tiff, tmp_path, small_is_large, name):
    out = tmp_path / "out"
    out.mkdir()
    assert segment(cli, blob_tiff, "-o", out / name).code == 0
    assert [p.name for p in out.iterdir()] == [name]
    assert len(load_objects(out / name)) == 12


@pytest.mark.parametrize("target", ["run", "o.geojson"])
def test_a_run_that_broke_goes_on(cli, blob_tiff, tmp_path, small_is_large, cut, target):
    cut(2)
    broken = segment(cli, blob_tiff, "-o", tmp_path / target)
    assert broken.code == 1
    assert "--resume" in broken.err
    cut(4)  # of six tiles two are done
    again = segment(cli, blob_tiff, "-o", tmp_path / target, "--resume")
    assert again.code == 0, again.err
    assert "12 objects" in again.out


def test_it_goes_on_only_where_asked(cli, blob_tiff, tmp_path):
    assert segment(cli, blob_tiff, "-o", tmp_path / "run").code == 0
    again = segment(cli, blob_tiff, "-o", tmp_path / "run")
    assert again.code == 1
    assert "finished run" in again.err
    assert "--resume goes on" in again.err
    assert segment(cli, blob_tiff, "-o", tmp_path / "run", "--resume").code == 0
    other = segment(cli, blob_tiff, "-o", tmp_path / "run", "--resume", "--prob-thresh", "0.7")
    assert "least probability: 0.5 before, 0.7 now" in other.err


def test_only_where_there_is_tissue(cli, blob_tiff, tmp_path):
    ring = [[0, 0], [130, 0], [130, 200], [0, 200], [0, 0]]
    area = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon"}}
    area["geometry"]["coordinates"] = [ring]
    (tmp_path / "tissue.geojson").write_text(json.dumps(area))
    options = ("-o", tmp_path / "o.parquet", "--tissue", tmp_path / "tissue.geojson")
    assert segment(cli, blob_tiff, *options).code == 0
    found = load_objects(tmp_path / "o.parquet")
    assert len(found) == 6
    assert np.max(found.centroids[:, 0]) < 130


def test_a_missing_tissue_file_is_told_before_the_work(cli, blob_tiff, tmp_path):
    ran = segment(cli, blob_tiff, "-o", tmp_path / "run", "--tissue", tmp_path / "none.geojson")
    assert ran.code == 1
    assert "no such file" in ran.err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_several_processes(cli, blob_tiff, tmp_path):
    pytest.importorskip("distributed", reason="the extra 'distributed' is not installed")
    ran = segment(cli, blob_tiff, "-o", tmp_path / "run", "--workers", "2")
    assert ran.code == 0, ran.err
    assert "12 objects" in ran.out
    no_one = segment(cli, blob_tiff, "-o", tmp_path / "b", "--scheduler", "tcp://127.0.0.1:1")
    assert no_one.code == 1
    assert "No Dask scheduler answers" in no_one.err
