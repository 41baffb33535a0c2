"""Cells at the command line: from two files, from a model and a number, from two models."""

from __future__ import annotations

import json

import numpy as np
import pytest
import shapely

from napari_histo.core import ClassScheme, Contours, ObjectTable, ObjectType
from napari_histo.models._classical import ClassicalSegmenter
from napari_histo.store import load_objects, save_objects


def disc(x, y, radius):
    return shapely.Point(x, y).buffer(radius, quad_segs=8)


def table(*shapes, name):
    return ObjectTable.build(Contours.from_shapely(shapes), classes=ClassScheme.of(name))


@pytest.fixture
def files(tmp_path):
    """Three nuclei, three cells, of which two belong together."""
    paths = tmp_path / "nuclei.geojson", tmp_path / "cells.parquet"
    save_objects(paths[0], table(*(disc(x, 50, 8) for x in (50, 120, 190)), name="Nucleus"))
    save_objects(paths[1], table(*(disc(x, 52, 16) for x in (50, 120, 260)), name="Cell"))
    return paths


def features(path):
    return json.loads(path.read_text())["features"]


def test_two_files_become_cells_with_nuclei(cli, files, tmp_path):
    out = tmp_path / "joined.geojson"
    ran = cli("cells", *files, "-o", out)
    assert ran.code == 0, ran.err
    assert "2 cells with a nucleus; 1 nucleus without a cell kept, 1 cell without" in ran.err
    assert "4 objects -> " in ran.out
    found = features(out)
    kinds = [(f["properties"]["objectType"], "nucleusGeometry" in f) for f in found]
    assert kinds == [("cell", True), ("cell", True), ("detection", False), ("cell", False)]
    assert [f["id"] for f in found[:3]] == [f["id"] for f in features(files[0])]


WORDS = {
    "drop": (("--nuclei-alone", "drop", "--cells-alone", "drop"), 2, 2),
    "expand": (("--nuclei-alone", "expand", "--pixel-size", 0.5, "--expand-um", 3), 4, 3),
    "strict": (("--min-overlap", 1, "--cells-alone", "drop"), 3, 2),
}


@pytest.mark.parametrize(("words", "n", "n_nuclei"), WORDS.values(), ids=WORDS)
def test_what_is_alone(cli, files, tmp_path, words, n, n_nuclei):
    out = tmp_path / "joined.parquet"
    assert cli("cells", *files, "-o", out, *words).code == 0
    found = load_objects(out)
    assert len(found) == n
    assert (found.nuclei.areas_px > 0).sum() == n_nuclei


def test_one_file_is_grown(cli, files, tmp_path):
    out = tmp_path / "grown.geojson"
    ran = cli("cells", files[0], "-o", out, "--expand-um", 4, "--pixel-size", 0.5)
    assert ran.code == 0, ran.err
    found = load_objects(out)
    assert found.object_type.tolist() == [ObjectType.CELL] * 3
    assert found.areas_px == pytest.approx(np.pi * 16**2, rel=0.05)


WRONG = {
    "no pixel size": (("-o", "o.geojson"), "carries no pixel size"),
    "labels": (("-o", "o.tif", "--pixel-size", 0.5), "one outline an object"),
}


@pytest.mark.parametrize(("words", "says"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told(cli, files, words, says):
    ran = cli("cells", files[0], *words)
    assert ran.code == 1
    assert says in ran.err


def test_cells_cannot_be_expanded(cli, files, tmp_path):
    ran = cli("cells", *files, "-o", tmp_path / "o.geojson", "--cells-alone", "expand")
    assert ran.code != 0
    assert "kept or dropped" in ran.err


# -- segment --------------------------------------------------------------------------------------


def segment(cli, image, out, *words):
    ran = cli("segment", image, "-o", out, "--model", "classical", *words)
    assert ran.code == 0, ran.err
    return ran


def outlines(path):
    """Both outlines of all cells, by place."""
    found = load_objects(path)
    order = np.lexsort(np.round(found.centroids, 3).T)
    return [shapely.normalize(c.to_shapely()[order]) for c in (found.contours, found.nuclei)]


def test_segment_and_grow(cli, blob_tiff, tmp_path):
    out = tmp_path / "cells.geojson"
    segment(cli, blob_tiff, out, "--cells", 3)
    found = load_objects(out)
    assert found.object_type.tolist() == [ObjectType.CELL] * 12
    radius = np.sqrt([found.nuclei.areas_px, found.areas_px]) / np.sqrt(np.pi)
    assert radius[1] - radius[0] == pytest.approx(6, abs=0.7)
    assert {p.name for p in tmp_path.iterdir()} == {blob_tiff.name, out.name}


@pytest.mark.parametrize("cells", ["3", "classical"])
def test_tiles_of_a_slide_cut_neither_cells_nor_nuclei(
    cli, blob_tiff, tmp_path, cells, monkeypatch
):
    monkeypatch.setattr("napari_histo.cli._job._LARGE_PX", 1000)
    whole, tiled = tmp_path / "whole.parquet", tmp_path / "run"
    segment(cli, blob_tiff, whole, "--cells", cells)
    segment(cli, blob_tiff, tiled, "--cells", cells, "--tile", 64)
    for one, other in zip(outlines(whole), outlines(tiled / "objects.parquet"), strict=True):
        assert len(one) == 12
        assert shapely.equals(one, other).all()


def test_a_stopped_run_goes_on(cli, blob_tiff, tmp_path, monkeypatch):
    """The nuclei are found; the second model fails, and nothing is done twice."""
    propose, calls = ClassicalSegmenter.propose, []

    def counted(self, images, min_prob):
        calls.append(len(images))
        if len(calls) == broken:
            raise OSError("the disk was pulled out")
        return propose(self, images, min_prob)

    monkeypatch.setattr(ClassicalSegmenter, "propose", counted)
    broken, out = 2, tmp_path / "cells.geojson"
    ran = cli("segment", blob_tiff, "-o", out, "--model", "classical", "--cells", "classical")
    assert ran.code == 1
    assert not out.exists()
    folder = tmp_path / "cells.geojson.run"
    assert (folder / "nuclei.parquet").exists()
    broken, before = 0, len(calls)
    words = ("--cells", "classical", "--resume", "--tissue", "none")
    ran = cli("segment", blob_tiff, "-o", out, "--model", "classical", *words)
    assert ran.code == 1
    assert "made otherwise" in ran.err  # another tissue
    ran = segment(cli, blob_tiff, out, "--cells", "classical", "--resume")
    assert "nuclei.parquet of blobs.ome.tif was done before" in ran.err
    assert len(load_objects(out)) == 12
    assert not folder.exists()
    assert len(calls) > before


def test_a_run_of_nuclei_is_not_replaced(cli, blob_tiff, tmp_path):
    segment(cli, blob_tiff, tmp_path / "run")
    words = ("--model", "classical", "--cells", 2)
    ran = cli("segment", blob_tiff, "-o", tmp_path / "run", *words)
    assert ran.code == 1
    assert "a run of another kind" in ran.err
    assert load_objects(tmp_path / "run" / "objects.parquet").nuclei is None


def test_batches_make_cells_too(cli, blob_tiff, tmp_path):
    segment(cli, blob_tiff, tmp_path / "all/", "--format", "geojson", "--cells", 2)
    (found,) = (tmp_path / "all").glob("*.geojson")
    assert load_objects(found).object_type.tolist() == [ObjectType.CELL] * 12


def test_cells_need_a_pixel_size_to_grow(cli, tmp_path, blobs):
    from PIL import Image

    Image.fromarray(blobs).save(tmp_path / "bare.png")
    ran = cli(
        "segment", tmp_path / "bare.png", "-o", tmp_path / "o.geojson", "--model", "classical",
        "--cells", 3,
    )  # fmt: skip
    assert ran.code == 1
    assert "cannot be grown by 3 µm" in ran.err
