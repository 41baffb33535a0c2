"""``prompt`` and ``evaluate-prompts`` as a user runs them."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image

from napari_histo.store import load_objects
from napari_histo.testing.synthetic import make_he_field


@pytest.fixture(scope="module")
def tile(tmp_path_factory):
    """A drawn H&E tile on disk: image, labels, a CSV of its nuclei's centres."""
    root = tmp_path_factory.mktemp("tile")
    field = make_he_field(np.random.default_rng(1), size_px=384)
    (root / "images").mkdir()
    (root / "labels").mkdir()
    Image.fromarray(field.image).save(root / "images" / "a.png")
    Image.fromarray(field.labels.astype(np.uint16)).save(root / "labels" / "a.png")
    with (root / "points.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("y", "x", "class"))
        for x, y in field.table.centroids[:40]:
            rows.writerow((y, x, "Tumor"))
    return root


def test_points_become_objects_with_their_class(cli, tile, tmp_path):
    out = tmp_path / "out.geojson"
    ran = cli(
        "prompt", tile / "images" / "a.png", "--points", tile / "points.csv",
        "-o", out, "--pixel-size", "0.25",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    table = load_objects(out)
    assert 30 <= len(table) <= 40
    assert set(table.class_names) == {"Tumor"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --points, --boxes or --scribbles"),
        (["--points", "none.csv"], "There is no file none.csv"),
        (["--model", "he-nuclei", "--points", "POINTS"], "does not answer clicks"),
    ],
    ids=["nothing", "no file", "a model of another kind"],
)
def test_what_is_wrong_is_said_in_one_message(cli, tile, tmp_path, arguments, message):
    arguments = [str(tile / "points.csv") if a == "POINTS" else a for a in arguments]
    ran = cli("prompt", tile / "images" / "a.png", "-o", tmp_path / "out.geojson", *arguments)
    assert ran.code == 1
    assert message in ran.err
    assert "Traceback" not in ran.err
    assert not (tmp_path / "out.geojson").exists()


KEYS = ("dice", "iou", "failures", "aji", "pq", "n")


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--clicks", "2", "--jitter", "3", "--exclude"],
        ["--gesture", "box"],
        ["--gesture", "squiggle"],
        ["--gesture", "random"],
    ],
    ids=["centroid", "two jittered clicks", "box", "squiggle", "random"],
)
def test_answers_are_held_against_the_truth(cli, tile, words):
    ran = cli("evaluate-prompts", tile / "images", tile / "labels", "--json", *words)
    assert ran.code == 0, ran.err
    figures = json.loads(ran.out)
    assert set(KEYS) <= set(figures)
    assert figures["n"] > 50
    assert figures["dice"] > 0.6
    assert 0 <= figures["failures"] < 0.5


def test_more_clicks_make_it_better(cli, tile):
    def dice(*words):
        ran = cli("evaluate-prompts", tile / "images", tile / "labels", "--json", *words)
        return json.loads(ran.out)["dice"]

    assert dice("--clicks", "3") > dice()


def test_shapes_that_differ_are_named(cli, tile, tmp_path):
    Image.fromarray(np.ones((10, 20), np.uint16)).save(tmp_path / "b.png")
    ran = cli("evaluate-prompts", tile / "images" / "a.png", tmp_path / "b.png")
    assert ran.code == 1
    assert "20 x 10 pixels" in ran.err


@pytest.mark.slow
def test_the_shipped_weights_hold_what_their_card_says(cli, data_dir):
    """On patients that they never saw: the floor that the card promises."""
    place = data_dir / "nuclei" / "tnbc"
    common = ("evaluate-prompts", place / "images", place / "labels", "--split", "val", "--json")
    plain = json.loads(cli(*common).out)
    shaky = json.loads(cli(*common, "--jitter", "5").out)
    assert plain["n"] == 504
    assert plain["dice"] >= 0.86
    assert plain["failures"] < 0.07
    assert shaky["dice"] >= plain["dice"] - 0.015
