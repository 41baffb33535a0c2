"""``napari-histo evaluate``: what it prints, and which images it looks at."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

from napari_histo.core import ClassScheme, Contours, ObjectTable
from napari_histo.store import save_objects


@pytest.fixture
def folders(tmp_path):
    """Results and truth of a, b and c; b misses one of two objects."""
    labels = np.zeros((40, 60), np.uint16)
    labels[5:15, 5:15], labels[20:30, 40:50] = 1, 2
    for side in ("found", "truth"):
        (tmp_path / side).mkdir()
        for name in "abc":
            seen = labels * (labels == 1) if (side, name) == ("found", "b") else labels
            tifffile.imwrite(tmp_path / side / f"{name}.tif", seen)
    (tmp_path / "splits.csv").write_text("id,split\na,val\nb,val\nc,train\n")
    return tmp_path / "found", tmp_path / "truth"


@pytest.mark.parametrize(
    ("options", "names"),
    [
        pytest.param([], "abc", id="all"),
        pytest.param(["--split", "val"], "ab", id="split"),
        pytest.param(["--only", "c, a"], "ac", id="names"),
        pytest.param(["--split", "val", "--only", "b,c"], "b", id="names of a split"),
    ],
)
def test_which_images(cli, folders, options, names):
    ran = cli("evaluate", *folders, *options, "--json")
    assert ran.code == 0, ran.err
    assert [image["name"] for image in json.loads(ran.out)["images"]] == list(names)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        pytest.param(["--split", "test"], 1, "known: ['train', 'val']", id="unknown split"),
        pytest.param(["--only", "x"], 1, "(no file of objects)", id="unknown name"),
        pytest.param(
            ["--split", "val", "--only", "c"], 2, "no image in the split 'val'", id="none"
        ),
        pytest.param(["--only", ","], 2, "leaves no image", id="no name"),
    ],
)
def test_nothing_to_look_at_is_an_error(cli, folders, options, code, words):
    ran = cli("evaluate", *folders, *options)
    assert ran.code == code
    # Typer draws a box around the errors of arguments, and breaks their lines.
    assert words in " ".join(ran.err.replace("│", " ").split())


def test_names_that_are_missing_are_told(cli, folders):
    ran = cli("evaluate", *folders, "--only", "a,x")
    assert ran.code == 0
    assert "1 of 2 images to look at are in neither folder: x." in ran.err


@pytest.mark.parametrize(("only", "rows"), [("a", ["a"]), ("a,b", ["a", "b", "mean", "all"])])
def test_the_table_ends_with_all_objects(cli, folders, only, rows):
    lines = cli("evaluate", *folders, "--only", only).out.splitlines()
    assert [line.split()[0] for line in lines] == ["image", *rows]
    assert max(map(len, lines)) <= 80
    assert lines[-1].split()[1:4] == (["2", "2", "1.000"] if only == "a" else ["4", "3", "0.857"])


def test_classes_have_a_table_of_their_own(cli, tmp_path):
    square = np.float32([(0, 0), (9, 0), (9, 9), (0, 9)])
    outlines = Contours.from_star(np.stack([square + 20 * i for i in range(3)]))
    for name, ids in (("truth", [0, 0, 1]), ("found", [0, 1, 1])):
        table = ObjectTable.build(outlines, classes=ClassScheme.of("A", "B"), class_id=ids)
        save_objects(tmp_path / f"{name}.parquet", table)
    lines = cli("evaluate", tmp_path / "found.parquet", tmp_path / "truth.parquet").out.splitlines()
    assert [line.split()[:4] for line in lines[-3:-1]] == [
        ["A", "2", "1", "0.667"],
        ["B", "1", "2", "0.667"],
    ]
    assert lines[-1].split() == ["mPQ", "0.667"]
