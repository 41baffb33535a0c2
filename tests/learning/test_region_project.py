"""Learning projects that begin with a model of tissues: what they ask for, and what is told."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import torch
from typer.testing import CliRunner

from napari_histo.cli._app import app
from napari_histo.core import Box, ClassScheme, ModelInfo, ObjectState, ObjectTable, ObjectType
from napari_histo.core.round_regions import REGION_CLASSES, region_rows
from napari_histo.errors import LearningError
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.project.starting import usual_region_px
from napari_histo.learning.rounds.labels import list_labels
from napari_histo.learning.rounds.query import QueryWish, query
from napari_histo.learning.rounds.steps import collect
from napari_histo.learning.rounds.tools import real_tools
from napari_histo.models.region.segmenter import (
    NetShape,
    TorchRegionSegmenter,
    save_region_model,
)
from napari_histo.store import save_objects
from napari_histo.store.geojson import read_geojson, write_geojson
from support.learning import drive
from support.regions import painted, patches

PAINTED = ClassScheme.of("Ignore*", "Stroma", "Tumor")


@pytest.fixture
def model(tmp_path):
    """A model of random weights."""
    torch.manual_seed(0)
    shape = NetShape(3, 3, width=8)
    classes = ClassScheme.of("Stroma", "Tumor")
    info = ModelInfo("m", "regions", 4.0, channels="rgb", classes=classes)
    save_region_model(tmp_path / "model", TorchRegionSegmenter(shape.build(), shape, info))
    return tmp_path / "model"


@pytest.fixture
def image(tmp_path):
    """A file without a pixel size."""
    pixels = patches(128)[0].read(Box(0, 0, 128, 128), 0)
    tifffile.imwrite(tmp_path / "slide.tif", pixels, photometric="rgb")
    return tmp_path / "slide.tif"


def init(tmp_path, image, model, *words):
    given = ["learn", "init", tmp_path / "p", image, "--model", model, *words]
    return CliRunner().invoke(app, [str(word) for word in given])


@pytest.mark.parametrize("start", ["tissues", "he-nuclei-fast", "classical"])
def test_images_without_a_pixel_size_are_told(start, tmp_path, image, model):
    done = init(tmp_path, image, model if start == "tissues" else start)
    said = str(done.exception) + done.output
    assert done.exit_code != 0
    assert "carry none: slide.tif" in said
    assert ("For nuclei choose another model" in said) == (start == "tissues")
    assert not (tmp_path / "p").exists()


def test_a_project_of_tissues_by_command(tmp_path, image, model):
    done = init(tmp_path, image, model, "--pixel-size", 4, "--validation", 0)
    assert done.exit_code == 0, done.output
    facts = LearningProject(tmp_path / "p").facts
    assert facts.settings.region_px == usual_region_px(str(model)) == 128
    assert usual_region_px("he-nuclei-fast") == 256
    assert facts.classes.names == ("Stroma", "Tumor", "Ignore*")
    assert (facts.start.family, facts.start.measure) == ("regions", "Dice of areas")
    assert facts.finder is None


def test_a_done_region_without_any_area_is_told(tmp_path, image, model):
    init(tmp_path, image, model, "--pixel-size", 4, "--validation", 0, "--region-px", 64)
    project = LearningProject(tmp_path / "p")
    drive(query(project, QueryWish("random", n=2), real_tools("cpu")))
    (path,) = project.work_path(1).glob("*.geojson")
    table = read_geojson(path)
    classes = table.classes.union(REGION_CLASSES)
    regions = table.with_columns(classes=classes).select(region_rows(table))
    done = np.full(len(regions), classes.index("Region: done"), np.int32)
    regions = regions.with_columns(class_id=done)
    write_geojson(path, regions)
    with pytest.raises(LearningError, match="holds an area with a class"):
        collect(project)
    outline = regions.contours.take([0])
    drawn = ObjectTable.build(
        outline, classes=ClassScheme.of("Tumor"), class_id=[0], state=ObjectState.DRAWN
    )
    write_geojson(path, ObjectTable.concat([regions, drawn]))
    with pytest.raises(LearningError, match="holds an area with a class"):
        collect(project)  # it is a detection, as nuclei are
    kind = np.full(1, ObjectType.ANNOTATION, np.uint8)
    write_geojson(path, ObjectTable.concat([regions, drawn.with_columns(object_type=kind)]))
    found = collect(project)
    assert sorted(row["objects"] for row in found.label_rows) == [0, 1]
    empty, alone = list_labels(found.path / "labels")["remarks"]
    assert "holds no area with a class" in empty
    assert "is painted as 'Tumor'" in alone


def test_a_project_may_begin_with_painted_areas(tmp_path, image, model):
    (tmp_path / "areas").mkdir()
    reader, truth = patches(128)
    save_objects(tmp_path / "areas" / "slide.parquet", painted(reader, truth, PAINTED).areas)
    words = ("--pixel-size", 4, "--validation", 0, "--labels", tmp_path / "areas")
    done = init(tmp_path, image, model, *words)
    assert done.exit_code == 0, done.output
    (kept,) = LearningProject(tmp_path / "p").start_labels("train")
    assert set(kept.labels.objects.class_names) == {"Ignore*", "Stroma", "Tumor"}
    assert kept.labels.objects.areas_px.sum() == 128 * 128
