"""Painted regions that a model of tissues contradicts, the worst first."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from napari_histo.cli._app import app
from napari_histo.core import Box, CancelToken, ClassScheme, Contours
from napari_histo.core.learning import LabelledRegion
from napari_histo.errors import Cancelled
from napari_histo.learning.tissue.doubting import rank_areas
from napari_histo.learning.training import Example
from napari_histo.store import save_objects
from support.regions import ByColour, drive, painted, patches, random_model

#: Three squares of 32 px, glass, pink and blue, which `ByColour` calls Background, A and B.
ROW = Box(0, 0, 96, 32)


def region(names, image="slide", box=ROW):
    reader, truth = patches()
    table = painted(reader, truth, ClassScheme.of("0", "1", "2")).areas
    scheme = ClassScheme.of(*dict.fromkeys(names))
    class_id = np.array([scheme.index(names[i]) for i in table.class_id], np.int32)
    table = table.with_columns(classes=scheme, class_id=class_id)
    return Example(reader, LabelledRegion(image, box, table, Contours.empty()))


def ranked(*examples):
    return drive(rank_areas(examples, ByColour()))[1]


@pytest.mark.parametrize(
    ("names", "score", "reason"),
    [
        pytest.param(("Ignore*", "A", "B"), 0, "the model agrees", id="right"),
        pytest.param(
            ("Ignore*", "A", "A"),  # Dice of background 1, of A 2 * 1 / (2 + 1)
            1 / 6,
            "painted A, the model says B: 33 % of what is painted",
            id="one wrong",
        ),
        pytest.param(
            ("Ignore*", "B", "A"),
            2 / 3,
            "painted A, the model says B: 33 % of what is painted",
            id="swapped",
        ),
        pytest.param(
            ("Ignore*", "A", "C"),
            1 / 3,
            "painted C, the model says B: 33 % of what is painted",
            id="unknown to the model",
        ),
        pytest.param(
            ("A", "Ignore*", "A"),
            1,
            "painted Background, the model says A: 33 % of what is painted",
            id="all wrong",
        ),
    ],
)
def test_what_the_model_contradicts(names, score, reason):
    (found,) = ranked(region(names))
    assert found.score == pytest.approx(score)
    assert found.reason == reason


def test_wrong_regions_come_first_and_empty_ones_not_at_all():
    names = {
        "right": ("Ignore*", "A", "B"),
        "bad": ("Ignore*", "B", "A"),
        "worse": ("A", "Ignore*", "A"),
    }
    examples = [region(words, image) for image, words in names.items()]
    nothing = region(names["right"], "nothing")
    labels = replace(nothing.labels, objects=nothing.labels.objects.select([]))
    found = ranked(*examples, nothing._replace(labels=labels))
    assert [one.labels.image for one in found] == ["worse", "bad", "right"]
    assert found[0].score > found[1].score > found[2].score == 0


def test_it_can_be_cancelled_at_any_region():
    cancel = CancelToken()
    work = rank_areas([region(("Ignore*", "A", "B"))] * 2, ByColour(), cancel)
    next(work)
    cancel.cancel()
    with pytest.raises(Cancelled):
        next(work)


# -- by command ----------------------------------------------------------------------------------


def run(*words):
    return CliRunner().invoke(app, ["learn", *map(str, words)])


@pytest.fixture
def project(tmp_path):
    """A project that begins with a model of random weights, and with or without painted areas."""
    random_model(tmp_path / "model")
    reader, truth = patches(128)
    pixels = reader.read(Box(0, 0, 128, 128), 0)
    tifffile.imwrite(tmp_path / "slide.tif", pixels, photometric="rgb")
    scheme = ClassScheme.of("Ignore*", "Stroma", "Tumor")
    (tmp_path / "areas").mkdir()
    save_objects(tmp_path / "areas" / "slide.parquet", painted(reader, truth, scheme).areas)

    def make(*words):
        given = (tmp_path / "slide.tif", "--model", tmp_path / "model", "--pixel-size", 4)
        done = run("init", tmp_path / "p", *given, "--validation", 0, *words)
        assert done.exit_code == 0, done.output
        return tmp_path / "p"

    return make


def test_regions_are_listed_with_what_the_figure_says(project, tmp_path):
    made = project("--labels", tmp_path / "areas")
    told = run("doubts", made, "--device", "cpu")
    assert told.exit_code == 0, told.output
    assert "1 - the mean Dice" in " ".join(told.output.split())
    (row,) = json.loads(run("doubts", made, "--device", "cpu", "--json").output)
    assert row["region"] == [0, 0, 128, 128]
    assert 0 < row["score"] <= 1
    assert row["reason"].startswith("painted ")


def test_without_painted_areas_it_is_said_what_to_do(project):
    told = run("doubts", project(), "--device", "cpu")
    assert told.exit_code != 0
    assert "collect them first" in str(told.exception)
