"""Measurements as text: what other programs read back."""

from __future__ import annotations

import csv
import io

import numpy as np
import pandas as pd
import pytest
import shapely

from napari_histo.core import ClassScheme, Contours, ObjectTable, ObjectType, PixelSize
from napari_histo.store.measurement_csv import write_csv, write_rows_csv


def table():
    return ObjectTable.build(
        Contours.from_shapely([shapely.box(0, 0, 4, 2), shapely.box(10, 10, 12, 12)]),
        classes=ClassScheme.of('odd, "very"', "Stroma"),
        class_id=[0, -1],
        object_type=[ObjectType.CELL, ObjectType.DETECTION],
        measurements={
            "Cell: Area µm^2": np.array([2.5, np.nan]),
            "tab\tcomma,": np.array([1e-9, -np.inf]),
        },
    )


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "A.TSV"])
def test_pandas_reads_it(tmp_path, name):
    path = tmp_path / name
    assert write_csv(path, table(), image="a, b.svs", pixel_size=PixelSize(0.5, 0.25)) == 2
    frame = pd.read_csv(path, sep="\t" if name.lower().endswith("tsv") else ",")
    assert frame.columns.tolist() == [
        "Image",
        "Object ID",
        "Object type",
        "Classification",
        "Parent",
        "Centroid X µm",
        "Centroid Y µm",
        "Cell: Area µm^2",
        "tab\tcomma,",
    ]
    assert frame["Image"].tolist() == ["a, b.svs"] * 2
    assert frame["Classification"][0] == 'odd, "very"'
    assert frame["Classification"].isna().tolist() == [False, True]
    assert frame["Object type"].tolist() == ["Cell", "Detection"]
    assert frame["Centroid X µm"].tolist() == [1, 5.5]
    assert frame["Centroid Y µm"].tolist() == [0.25, 2.75]
    assert frame["Cell: Area µm^2"][0] == 2.5
    assert frame.iloc[1, 7:].isna().all()
    assert frame.iloc[0, 8] == 1e-9


def test_probabilities_and_parents(tmp_path):
    with_prob = table().with_columns(det_prob=np.array([0.5, 0.25], np.float32))
    write_csv(tmp_path / "a.csv", with_prob, parents=["one", "two, three"])
    frame = pd.read_csv(tmp_path / "a.csv")
    assert frame["Detection probability"].tolist() == [0.5, 0.25]
    assert frame["Parent"].tolist() == ["one", "two, three"]
    assert "Centroid X px" in frame


def test_no_objects_leave_a_head(tmp_path):
    write_csv(tmp_path / "a.csv", ObjectTable.empty())
    assert pd.read_csv(tmp_path / "a.csv").empty


def test_small_tables(tmp_path):
    rows = [
        {"Class": "a,b", "Count": 3, "Density": 1 / 3},
        {"Class": "", "Count": 0, "Density": np.nan},
    ]
    write_rows_csv(tmp_path / "s.csv", rows)
    text = (tmp_path / "s.csv").read_text(encoding="utf-8-sig")
    assert list(csv.DictReader(io.StringIO(text))) == [
        {"Class": "a,b", "Count": "3", "Density": "0.333333"},
        {"Class": "", "Count": "0", "Density": ""},
    ]
