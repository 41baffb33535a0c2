"""``napari-histo positivity`` from objects to scores."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import shapely

from napari_histo.core import ClassScheme, Contours, ObjectTable, ObjectType
from napari_histo.store import load_objects, save_objects


@pytest.fixture
def stained(tmp_path):
    """Two brown and two blue nuclei on glass, an annotation around the left two."""
    from PIL import Image

    pixels = np.full((60, 200, 3), 245, np.uint8)
    rows, columns = np.mgrid[:60, :200]
    shapes = [shapely.Point(30.5 + 45 * i, 30.5).buffer(9) for i in range(4)]
    for i, colour in enumerate([(120, 70, 40), (80, 90, 160), (120, 70, 40), (80, 90, 160)]):
        pixels[np.hypot(columns - 30 - 45 * i, rows - 30) < 10] = colour
    Image.fromarray(pixels).save(tmp_path / "slide.png")
    nuclei = ObjectTable.build(Contours.from_shapely(shapes), classes=ClassScheme.of("Nucleus"))
    region = ObjectTable.build(
        Contours.from_shapely([shapely.box(5, 5, 100, 55)]),
        object_type=ObjectType.ANNOTATION,
        class_id=[0],
        classes=ClassScheme.of("Tumor"),
    )
    save_objects(tmp_path / "nuclei.geojson", ObjectTable.concat([nuclei, region]))
    return tmp_path


def rows_of(path: Path):
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def run(cli, folder, *more, output="out.geojson"):
    image = ("--image", folder / "slide.png", "--pixel-size", 0.5)
    where = (folder / "nuclei.geojson", "-o", folder / output)
    return cli("positivity", *where, *image, *more)


def test_what_is_missing_is_measured_and_the_threshold_found(cli, stained):
    ran = run(cli, stained, "--csv", stained / "scores.csv")
    assert ran.code == 0, ran.err
    assert "-t 0." in ran.err
    assert "2 of 4 objects positive (50.0 %)" in ran.out
    table = load_objects(stained / "out.geojson")
    assert table.class_names.tolist() == ["Positive", "Negative", "Positive", "Negative", "Tumor"]
    assert table.measurements["DAB: Nucleus: Mean"][0] > table.measurements["DAB: Nucleus: Mean"][1]
    whole, region = rows_of(stained / "scores.csv")
    assert (whole["Image"], whole["Region"], whole["Objects"]) == ("slide.png", "Image", "4")
    assert (region["Region"], region["Positive"], region["H-score"]) == ("Tumor 1", "1", "")
    assert float(region["Area mm^2"]) == pytest.approx(95 * 50 * 0.25 / 1e6)


def test_three_thresholds_give_an_h_score(cli, stained):
    thresholds = [part for t in (0.2, 0.3, 5) for part in ("-t", t)]
    ran = run(cli, stained, *thresholds, output="out.parquet")
    assert ran.code == 0, ran.err
    assert "H-score 100" in ran.out
    names = load_objects(stained / "out.parquet").class_names.tolist()
    assert names[:4] == ["2+", "Negative", "2+", "Negative"]


def test_regions_of_a_file_of_their_own(cli, stained):
    half = ObjectTable.build(
        Contours.from_shapely([shapely.box(100, 0, 200, 60)]), object_type=ObjectType.ANNOTATION
    )
    save_objects(stained / "half.geojson", half)
    ran = run(cli, stained, "-t", 0.2, "--regions", stained / "half.geojson")
    assert ran.code == 0, ran.err
    assert "Annotation 1: 1 of 2 objects positive" in ran.out


@pytest.mark.parametrize(
    ("more", "word"),
    [
        pytest.param(("-m", "CD8: Mean", "-t", 1), "no measurement 'CD8: Mean'", id="measurement"),
        pytest.param(("-t", 1, "-t", 2), "2 thresholds", id="two-thresholds"),
        pytest.param(("--levels", 2), "one or three", id="two-levels"),
        pytest.param(("-t", 1, "--csv", "scores.xlsx"), ".csv or .tsv", id="table"),
    ],
)
def test_what_cannot_be_is_told(cli, stained, more, word):
    ran = run(cli, stained, *more)
    assert ran.code == 1
    assert word in ran.err


def test_objects_do_not_go_into_a_table(cli, stained):
    ran = run(cli, stained, "-t", 1, output="out.csv")
    assert ran.code == 1
    assert "--csv" in ran.err


def test_without_an_image_there_must_be_measurements(cli, stained):
    ran = cli("positivity", stained / "nuclei.geojson", "-o", stained / "out.geojson", "-t", 1)
    assert ran.code == 1
    assert "--image" in ran.err


@pytest.mark.slow
def test_the_ihc_sample_from_picture_to_scores(cli, tmp_path):
    import skimage

    image = Path(skimage.__file__).parent / "data" / "ihc.png"
    size = ("--pixel-size", 0.5)
    model = ("--model", "fluo-nuclei", "--stain", "hdab")
    assert cli("segment", image, "-o", tmp_path / "n.geojson", *model, *size).code == 0
    ran = cli(
        "positivity", tmp_path / "n.geojson", "-o", tmp_path / "p.geojson", "--image", image, *size
    )
    assert ran.code == 0, ran.err
    table = load_objects(tmp_path / "p.geojson")
    dab = table.measurements["DAB: Nucleus: Mean"]
    positive = np.array([n == "Positive" for n in table.class_names])
    assert len(table) > 300
    assert 0.3 < positive.mean() < 0.7
    assert dab[positive].min() > dab[~positive].max()
