"""``napari-histo regions``: from painted areas to a model to a map."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tifffile
from typer.testing import CliRunner

from napari_histo.cli._app import app
from napari_histo.cli.regions import _rough
from napari_histo.core import Box, ClassScheme
from napari_histo.learning.tissue.training import TrainedRegions
from napari_histo.store import load_objects, save_objects
from support.regions import painted, patches

SCHEME = ClassScheme.of("Ignore*", "Stroma", "Tumor")


@pytest.fixture
def files(tmp_path):
    """An image of 4 µm per pixel and what was painted on it."""
    reader, truth = patches()
    image, areas = tmp_path / "one.tif", tmp_path / "areas" / "one.geojson"
    areas.parent.mkdir()
    tifffile.imwrite(
        image,
        reader.read(Box(0, 0, 192, 192)),
        photometric="rgb",
        resolution=(2500, 2500),
        resolutionunit="CENTIMETER",
    )
    save_objects(areas, painted(reader, truth, SCHEME).areas)
    return image, areas, truth


def trained(n_areas, n_images):
    return TrainedRegions(None, Path("m"), {"Tumor": 0.9}, 1.0, n_areas, n_images)


@pytest.mark.parametrize(
    ("n_areas", "n_images", "is_rough"),
    [(12, 6, False), (11, 6, True), (12, 5, True), (1, 1, True), (0, 0, False)],
)
def test_a_figure_of_few_areas_or_images_is_called_rough(n_areas, n_images, is_rough):
    assert bool(_rough(trained(n_areas, n_images))) == is_rough


def run(*words):
    return CliRunner().invoke(app, ["regions", *map(str, words)])


def test_train_then_predict(files, tmp_path):
    image, areas, truth = files
    model = tmp_path / "model"
    learned = run("train", image, "-a", areas.parent, "-o", model, "--steps", 20, "--device", "cpu")
    assert learned.exit_code == 0, learned.output
    said = " ".join(learned.output.split())
    assert "Mean IoU" in said
    assert re.search(r"held-out parts of \d+ painted areas? of 1 image ->", said)
    assert "A rough figure: from fewer than 12 areas or 6 images" in said
    for name in ("out.geojson", "out.ome.zarr"):
        found = run("predict", image, "--model", model, "-o", tmp_path / name, "--tissue", "none")
        assert found.exit_code == 0, found.output
        assert "mm²" in found.output
    table = load_objects(tmp_path / "out.geojson")
    assert set(table.class_names) <= {"Stroma", "Tumor"}
    assert table.areas_px.sum() == pytest.approx((truth > 0).sum(), rel=0.3)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        pytest.param(("-a", "a.geojson", "-a", "b.geojson"), "2 annotations for 1", id="too-many"),
        pytest.param(("-a", "."), "no annotations of one.tif", id="none-beside"),
        pytest.param(("-a", "areas", "--classes", "A,A"), "each once", id="twice"),
        pytest.param(
            ("-a", "areas", "--classes", "Tumour,Stroma"),
            "no area has the class Tumour. Painted are: Ignore*, Stroma, Tumor.",
            id="slip",
        ),
    ],
)
def test_what_does_not_fit_is_told(files, tmp_path, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    answer = run("train", "one.tif", *words, "-o", "model")
    assert answer.exit_code == 2
    assert told in " ".join(answer.output.replace("│", " ").split())


def test_a_folder_without_a_model_is_told(files, tmp_path):
    image, _, _ = files
    answer = run("predict", image, "--model", tmp_path, "-o", tmp_path / "a.geojson")
    assert answer.exit_code == 1
    assert "holds no region model" in str(answer.exception)
    assert not list(tmp_path.glob("*.geojson"))


def test_a_model_of_nuclei_is_told_in_one_sentence(files, tmp_path):
    answer = run("predict", files[0], "--model", "he-nuclei", "-o", tmp_path / "a.geojson")
    assert answer.exit_code == 1
    assert "does not tell tissues apart" in str(answer.exception)
    assert "unet" not in str(answer.exception), "a config means nothing to the reader"
