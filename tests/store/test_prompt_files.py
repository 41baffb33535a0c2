"""Gestures from files: CSV of several makes, GeoJSON of QuPath, and what is wrong with a file."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_histo.core import BoxPrompt, PointPrompt, ScribblePrompt
from napari_histo.errors import ObjectsFileError
from napari_histo.store.prompt_files import read_prompts, scheme_of


def written(tmp_path, text, name="prompts.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "points", "classes"),
    [
        ("x,y\n1.5,2\n3,4\n", [(1.5, 2), (3, 4)], [None, None]),
        ("y,x,class_id\n2,1,3\n", [(1, 2)], ["Class 3"]),
        ("\ufeffX, Y, Class\n1,2,Tumor\n", [(1, 2)], ["Tumor"]),
    ],
    ids=["plain", "a detector's", "a spreadsheet's"],
)
def test_points(tmp_path, text, points, classes):
    found = read_prompts(written(tmp_path, text), "points")
    assert [(o.prompts[0].x, o.prompts[0].y) for o in found] == points
    assert [o.class_name for o in found] == classes


def test_rows_of_one_object_belong_together(tmp_path):
    text = "object,x,y,positive\na,1,2,1\nb,5,5,1\na,3,4,0\n"
    first, second = read_prompts(written(tmp_path, text), "points")
    assert first.prompts == (PointPrompt(1, 2), PointPrompt(3, 4, positive=False))
    assert second.prompts == (PointPrompt(5, 5),)


def test_boxes_and_scribbles(tmp_path):
    boxes = read_prompts(written(tmp_path, "left,top,right,bottom\n1,2,3,4\n"), "boxes")
    assert boxes[0].prompts == (BoxPrompt(1, 2, 3, 4),)
    text = "object,x,y,class\n1,0,0,Gland\n1,5,5,Gland\n2,7,7,\n"
    long, short = read_prompts(written(tmp_path, text), "scribbles")
    assert isinstance(long.prompts[0], ScribblePrompt)
    assert np.array_equal(long.prompts[0].xy, [(0, 0), (5, 5)])
    assert (long.class_name, short.class_name) == ("Gland", None)


@pytest.fixture
def geojson(tmp_path):
    def feature(kind, coordinates):
        return {
            "type": "Feature",
            "geometry": {"type": kind, "coordinates": coordinates},
            "properties": {"objectType": "annotation", "classification": {"name": "Immune cells"}},
        }

    features = [
        feature("MultiPoint", [[1, 2], [3, 4]]),
        feature("LineString", [[0, 0], [5, 5]]),
        feature("Polygon", [[[1, 1], [9, 1], [9, 5], [1, 5], [1, 1]]]),
    ]
    text = json.dumps({"type": "FeatureCollection", "features": features})
    return written(tmp_path, text, "prompts.geojson")


def test_geojson_of_qupath(geojson):
    points = read_prompts(geojson, "points")
    assert [o.prompts for o in points] == [(PointPrompt(1, 2),), (PointPrompt(3, 4),)]
    assert read_prompts(geojson, "boxes")[0].prompts == (BoxPrompt(1, 1, 9, 5),)
    assert len(read_prompts(geojson, "scribbles")[0].prompts[0].xy) == 2
    assert scheme_of(points).names == ("Immune cells",)


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("a,b\n1,2\n", "points", "no column x, y; it has a, b"),
        ("x,y\n1,two\n", "points", "is not a number"),
        ("x,y\n1,nan\n", "points", "is not a number"),
        ("x,y\n", "points", "holds no points"),
        ("", "boxes", "left,top,right,bottom"),
        ("left,top,right,bottom\n5,5,5,9\n", "boxes", "has no area"),
    ],
    ids=["other columns", "a word", "nan", "no rows", "empty", "a flat box"],
)
def test_a_bad_file_is_explained(tmp_path, text, kind, message):
    with pytest.raises(ObjectsFileError, match=message):
        read_prompts(written(tmp_path, text), kind)


def test_a_missing_and_a_binary_file(tmp_path):
    with pytest.raises(ObjectsFileError, match="There is no file"):
        read_prompts(tmp_path / "none.csv", "points")
    (tmp_path / "image.csv").write_bytes(b"\x89PNG\xff\xfe\x00")
    with pytest.raises(ObjectsFileError, match="not readable CSV"):
        read_prompts(tmp_path / "image.csv", "points")
