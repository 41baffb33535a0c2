"""Areas that several people painted: one truth pixel by pixel, and how far they agree."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import shapely
import tifffile
from typer.testing import CliRunner

from napari_histo.cli._app import app
from napari_histo.cli.learn_images import collected_in
from napari_histo.core import (
    Box,
    ClassScheme,
    Contours,
    ModelInfo,
    ObjectState,
    ObjectTable,
    ObjectType,
)
from napari_histo.core.round_regions import REGION_CLASSES, region_rows
from napari_histo.errors import LearningError
from napari_histo.learning.project.checks import verify_project
from napari_histo.learning.project.facts import Settings
from napari_histo.learning.project.making import NewImage, NewProject, create_project
from napari_histo.learning.rounds.query import QueryWish, query
from napari_histo.learning.rounds.steps import collect
from napari_histo.learning.rounds.tools import real_tools
from napari_histo.learning.tissue.examples import speaking, stacked
from napari_histo.learning.tissue.merging import merge_areas
from napari_histo.models.region.segmenter import (
    NetShape,
    TorchRegionSegmenter,
    save_region_model,
)
from napari_histo.ops.scanline import fill
from napari_histo.store.geojson import read_geojson, write_geojson
from support.learning import contents, drive
from support.regions import patches

REGION = Box(1000, 500, 60, 40)
CLASSES = ClassScheme.of("Ignore*", "Tumor", "Stroma")
#: Thirds of the region, from the left; in their words below a letter each, "-" for nothing.
NAMES = {"i": "Ignore*", "t": "Tumor", "s": "Stroma"}


def thirds(letters, region=REGION):
    """Areas over thirds of a region from the left, by letter."""
    side = region.width // 3
    boxes = [
        shapely.box(region.x + k * side, region.y, region.x + (k + 1) * side, region.bottom)
        for k, letter in enumerate(letters)
        if letter != "-"
    ]
    return ObjectTable.build(
        Contours.from_shapely(boxes),
        classes=CLASSES,
        class_id=[CLASSES.index(NAMES[letter]) for letter in letters if letter != "-"],
        object_type=ObjectType.ANNOTATION,
        state=ObjectState.DRAWN,
    )


def merged(*painted):
    return merge_areas({f"annotator {i}": thirds(one) for i, one in enumerate(painted)}, REGION)


def said(table, region=REGION):
    """What merged areas say of each third, in letters; "?" for a third that is not of one word."""
    labels = np.zeros(region.shape, np.uint8)
    tissues = ClassScheme.of("Tumor", "Stroma")
    areas, values = stacked(speaking(table), tissues)
    fill(areas, values, labels, origin=(region.x, region.y))
    found = [np.unique(part) for part in np.split(labels, 3, axis=1)]
    return "".join("-its"[part[0]] if len(part) == 1 else "?" for part in found)


@pytest.mark.parametrize(
    ("painted", "expected", "open_share"),
    [
        pytest.param(("tsi", "tsi"), "tsi", 0, id="all alike"),
        pytest.param(("ts-", "t--"), "ts-", 0, id="who left it uncovered does not contradict"),
        pytest.param(("tti", "tsi"), "t-i", 1 / 3, id="of two that differ none is right"),
        pytest.param(("tti", "tsi", "tsi"), "tsi", 0, id="most decide"),
        pytest.param(("tts", "tsi", "tit"), "t--", 2 / 3, id="three words, no most"),
        pytest.param(("t", "t", "s", "i"), "---", 1, id="half is not most"),
        pytest.param(("---", "-t-"), "-t-", 0, id="one painted nothing"),
        pytest.param(("---", "---"), "---", 0, id="nobody painted anything"),
    ],
)
def test_a_pixel_is_what_most_of_those_who_painted_it_say(painted, expected, open_share):
    found = merged(*painted)
    assert said(found.areas) == expected
    assert found.open_px == pytest.approx(open_share * found.painted_px)
    assert found.areas.object_type.tolist() == [ObjectType.ANNOTATION] * len(found.areas)


def test_dice_is_of_what_both_painted():
    found = merged("ts-", "tti", "-st")
    by_pair = {tuple(name[-1] for name in pair): dice for pair, dice in found.dice.items()}
    # 0 and 1 share two thirds: one of tumour alike; of three thirds of tumour two meet.
    assert by_pair["0", "1"] == {"Tumor": pytest.approx(2 / 3), "Stroma": 0}
    assert by_pair["0", "2"] == {"Stroma": 1}
    assert by_pair["1", "2"] == {"Background": 0, "Tumor": 0, "Stroma": 0}


def test_the_smaller_area_is_on_top_for_each_annotator():
    frame = shapely.box(REGION.x, REGION.y, REGION.right, REGION.bottom)
    whole = ObjectTable.build(Contours.from_shapely([frame]), classes=CLASSES, class_id=[1])
    over = ObjectTable.concat([thirds("-s-"), whole])
    assert said(merge_areas({"one": over, "other": over}, REGION).areas) == "tst"


def test_a_region_larger_than_the_raster_is_merged_in_coarser_pixels():
    region = Box(0, 0, 4500, 900)
    tables = {"one": thirds("tsi", region), "other": thirds("tti", region)}
    found = merge_areas(tables, region)
    areas = dict(zip(found.areas.class_names, found.areas.areas_px, strict=True))
    assert areas == {"Tumor": pytest.approx(1500 * 900), "Ignore*": pytest.approx(1500 * 900)}
    assert found.painted_px == pytest.approx(4500 * 900, rel=2e-3)
    assert found.areas.contours.bounds.max() <= 4500


# -- in a project --------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path):
    """Two regions to learn from are asked for, of a slide of 4 µm."""
    shape = NetShape(3, 3, width=8)
    info = ModelInfo("m", "regions", 4.0, channels="rgb", classes=ClassScheme.of("Stroma", "Tumor"))
    save_region_model(tmp_path / "model", TorchRegionSegmenter(shape.build(), shape, info))
    pixels = patches(192)[0].read(Box(0, 0, 192, 192))
    tifffile.imwrite(
        tmp_path / "slide.tif",
        pixels,
        photometric="rgb",
        resolution=(2500, 2500),
        resolutionunit="CENTIMETER",
    )
    settings = Settings(region_px=96, regions=2, validation_regions=0)
    images = [NewImage(tmp_path / "slide.tif", split="train")]
    wanted = NewProject(images, str(tmp_path / "model"), name="p", settings=settings)
    made = create_project(tmp_path / "p", wanted)
    drive(query(made, QueryWish("random", 2), real_tools("cpu")))
    return made


def paint_in_all(folder, letters):
    """Somebody's answer in every region of a folder of work, in the place of the model's."""
    (path,) = folder.glob("*.geojson")
    table = read_geojson(path)
    regions = table.select(region_rows(table))
    classes = table.classes.union(REGION_CLASSES)
    done = np.full(len(regions), classes.index("Region: done"), np.int32)
    regions = regions.with_columns(classes=classes, class_id=done)
    corners = regions.contours.bounds.round().astype(int).tolist()
    drawn = [thirds(letters, Box.from_edges(*corner)) for corner in corners]
    write_geojson(path, ObjectTable.concat([regions, *drawn]))


def two(project, tmp_path, mine="tsi", theirs="tti"):
    """The project painted by one person, and a copy of the work by another."""
    folder = tmp_path / "ben"
    shutil.copytree(project.work_path(1), folder)
    paint_in_all(project.work_path(1), mine)
    paint_in_all(folder, theirs)
    return folder


def test_a_round_learns_from_all_and_keeps_what_each_painted(project, tmp_path):
    found = collect(project, [collected_in(two(project, tmp_path), project)])
    kept = found.labels()
    assert len(kept) == 2
    for region in kept:
        assert said(region.labels.objects, region.labels.region) == "t-i"
        assert [said(e.objects, e.region) for e in region.each] == ["tsi", "tti"]
        assert region.labels.annotator == "napari, ben"
        assert region.consensus["method"] == "majority"
        assert region.consensus["dice"] == {"Background": 1, "Tumor": 0.6667, "Stroma": 0}
        assert region.consensus["mean_dice"] == 0.5556
        assert region.consensus["open_px"] == 32 * 96
    assert verify_project(project) == []


def test_the_same_areas_merge_to_the_same_bytes(project, tmp_path):
    other = two(project, tmp_path)
    twin = tmp_path / "twin"
    shutil.copytree(project.path, twin)
    collect(project, [collected_in(other, project)])
    again = type(project)(twin)
    collect(again, [collected_in(other, again)])
    assert contents(project.path) == contents(twin)


@pytest.mark.parametrize(
    ("merging", "remark", "expected"),
    [("majority", "merged by majority", "t-i"), ("first", "the first was taken", "tsi")],
)
def test_what_the_command_tells(project, tmp_path, merging, remark, expected):
    words = ["learn", "collect", project.path, "--from", two(project, tmp_path), "--merge", merging]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    said_all = done.output.replace("\n", " ")
    assert said_all.count(remark) == 2
    told = "Dice 0.56 between them (Background 1.00, Tumor 0.67, Stroma 0.00); 33 % of what they"
    assert (told in said_all) == (merging == "majority")
    labels = project.round(1).labels()
    assert {said(k.labels.objects, k.labels.region) for k in labels} == {expected}
    if merging == "majority":
        assert "2 regions by several people merged: mean Dice 0.56" in said_all
        json.loads((project.round(1).path / "labels" / "labels.json").read_text())


def test_reliability_is_of_outlines_alone(project, tmp_path):
    with pytest.raises(LearningError, match="Take 'majority', or 'first'"):
        collect(project, [collected_in(two(project, tmp_path), project)], merging="staple")
