"""``napari-histo measure`` from objects to tables."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import shapely

from napari_histo.core import ClassScheme, Contours, ObjectTable, ObjectType
from napari_histo.ops.stain_vectors import H_DAB, StainVectors
from napari_histo.store import load_objects, save_objects

SAMPLES = Path(__file__).resolve().parents[2] / "sample_data"


@pytest.fixture
def nuclei(tmp_path):
    """The 12 blobs, every other one positive."""
    shapes = [
        shapely.Point(35.5 + 60 * i, 35.5 + 60 * j).buffer(7) for j in range(3) for i in range(4)
    ]
    table = ObjectTable.build(
        Contours.from_shapely(shapes),
        classes=ClassScheme.of("Positive", "Negative"),
        class_id=np.arange(12) % 2,
    )
    path = tmp_path / "nuclei.geojson"
    save_objects(path, table)
    return path


def rows_of(path):
    dialect = {"delimiter": "\t"} if path.suffix == ".tsv" else {}
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream, **dialect))


@pytest.mark.parametrize("name", ["out.csv", "out.tsv"])
def test_a_table_that_other_programs_read(cli, blob_tiff, nuclei, tmp_path, name):
    ran = cli("measure", blob_tiff, nuclei, "-o", tmp_path / name)
    assert ran.code == 0, ran.err
    assert "12 objects" in ran.out
    rows = rows_of(tmp_path / name)
    assert len(rows) == 12
    assert rows[0]["Image"] == blob_tiff.name
    assert rows[0]["Object type"] == "Detection"
    assert rows[1]["Classification"] == "Negative"
    assert rows[0]["Parent"] == "Image"
    assert float(rows[0]["Centroid X µm"]) == pytest.approx(35.5 / 2, abs=0.01)
    assert float(rows[0]["Nucleus: Area µm^2"]) == pytest.approx(np.pi * 3.5**2, rel=0.01)
    assert float(rows[0]["Hematoxylin: Nucleus: Mean"]) > 0.3
    assert float(rows[0]["Neighbours within 50 µm"]) == 3
    assert rows[0]["Object ID"] == str(load_objects(nuclei).uuid(0))


@pytest.mark.parametrize("name", ["out.parquet", "out.geojson.gz"])
def test_objects_with_measurements(cli, blob_tiff, nuclei, tmp_path, name):
    ran = cli("measure", blob_tiff, nuclei, "-o", tmp_path / name, "--expand-um", 4)
    assert ran.code == 0, ran.err
    table = load_objects(tmp_path / name)
    assert table.object_type.tolist() == [ObjectType.CELL] * 12
    assert table.nuclei is not None
    cells = table.measurements["Cell: Area µm^2"]
    np.testing.assert_allclose(cells, np.pi * 7.5**2, rtol=0.03)
    assert "Eosin: Cytoplasm: Std.Dev." in table.measurements


def test_regions_and_their_summary(cli, blob_tiff, nuclei, tmp_path):
    regions = ObjectTable.build(
        Contours.from_shapely([shapely.box(0, 0, 130, 200)]),
        classes=ClassScheme.of("Tumor"),
        object_type=ObjectType.ANNOTATION,
    )
    save_objects(tmp_path / "regions.geojson", regions)
    ran = cli(
        "measure", blob_tiff, nuclei, "-o", tmp_path / "out.csv",
        "--regions", tmp_path / "regions.geojson", "--summary", tmp_path / "summary.csv",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    found = {(r["Region"], r["Class"]): r for r in rows_of(tmp_path / "summary.csv")}
    assert found["Tumor 1", "All"]["Count"] == "6"
    assert float(found["Tumor 1", "Positive"]["Density per mm^2"]) == pytest.approx(3 / 0.0065)
    assert found["Image", "All"]["Count"] == "12"
    assert rows_of(tmp_path / "out.csv")[0]["Parent"] == "Tumor 1"


@pytest.mark.parametrize("option", ["hdab", H_DAB.describe(), "FILE"], ids=["name", "text", "file"])
def test_stains(cli, blob_tiff, nuclei, tmp_path, option):
    if option == "FILE":
        option = tmp_path / "stains.json"
        option.write_text(H_DAB.describe())
    ran = cli("measure", blob_tiff, nuclei, "-o", tmp_path / "out.csv", "--stains", option)
    assert ran.code == 0, ran.err
    assert "DAB: Nucleus: Mean" in rows_of(tmp_path / "out.csv")[0]


@pytest.mark.parametrize(("option", "stain"), [("auto", "Eosin"), ("auto-hdab", "DAB")])
def test_stains_of_the_slide_itself(cli, tmp_path, option, stain):
    image, objects = SAMPLES / "he_tile.ome.tif", SAMPLES / "he_tile.geojson"
    ran = cli("measure", image, objects, "-o", tmp_path / "out.csv", "--stains", option)
    assert ran.code == 0, ran.err
    assert f"{stain}: Nucleus: Mean" in rows_of(tmp_path / "out.csv")[0]
    found = StainVectors.parse(ran.err.partition("takes them: ")[2].splitlines()[0])
    # Not the defaults, but near.
    assert 0.9 < (found.matrix[0] * H_DAB.matrix[0]).sum() < 0.99999


def test_no_stains_no_pixels(cli, blob_tiff, nuclei, tmp_path):
    ran = cli("measure", blob_tiff, nuclei, "-o", tmp_path / "out.csv", "--stains", "none")
    assert ran.code == 0, ran.err
    assert not any("Hematoxylin" in name for name in rows_of(tmp_path / "out.csv")[0])


def test_in_the_colours_of_a_reference(cli, blob_tiff, nuclei, tmp_path):
    def hematoxylin(*options):
        ran = cli("measure", blob_tiff, nuclei, "-o", tmp_path / "out.csv", *options)
        assert ran.code == 0, ran.err
        return float(rows_of(tmp_path / "out.csv")[0]["Hematoxylin: Nucleus: Mean"])

    same = hematoxylin("--normalize", "reinhard", "--reference", blob_tiff)
    assert same == pytest.approx(hematoxylin(), abs=0.02)


def test_a_run_folder_stands_for_its_objects(cli, blob_tiff, nuclei, tmp_path):
    (tmp_path / "run").mkdir()
    save_objects(tmp_path / "run" / "objects.parquet", load_objects(nuclei))
    ran = cli("measure", blob_tiff, tmp_path / "run", "-o", tmp_path / "out.csv")
    assert ran.code == 0, ran.err
    assert len(rows_of(tmp_path / "out.csv")) == 12


class TestSeveralImages:
    """A folder of images, a folder of objects, and one of results."""

    @pytest.fixture
    def plate(self, tmp_path, blob_tiff, nuclei):
        """Three images with the same nuclei; those of the third are missing."""
        for folder in ("images", "objects", "regions"):
            (tmp_path / folder).mkdir()
        for name in ("a.ome.tif", "b.tif", "c.tif"):
            (tmp_path / "images" / name).write_bytes(blob_tiff.read_bytes())
        save_objects(tmp_path / "objects" / "a.parquet", load_objects(nuclei))
        (tmp_path / "objects" / "b").mkdir()
        save_objects(tmp_path / "objects" / "b" / "objects.parquet", load_objects(nuclei))
        half = Contours.from_shapely([shapely.box(0, 0, 130, 200)])
        save_objects(tmp_path / "regions" / "b.geojson", ObjectTable.build(half))
        return tmp_path / "images"

    @pytest.fixture
    def measure(self, cli, plate, tmp_path):
        def run(*options, images=plate):
            given = (tmp_path / "objects", "-o", tmp_path / "out")
            return cli("measure", images, *given, "--pixel-size", 0.5, *options)

        return run

    def test_a_table_each_and_counts_of_all(self, measure, tmp_path):
        ran = measure()
        assert ran.code == 1  # c has no objects
        assert "c.geojson" in ran.err
        assert "2 of 3 images measured" in ran.out
        assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
            "a.csv",
            "b.csv",
            "counts.csv",
        ]
        found = {(r["Image"], r["Class"]): r for r in rows_of(tmp_path / "out" / "counts.csv")}
        assert {image for image, _ in found} == {"a.ome.tif", "b.tif"}
        assert found["b.tif", "Positive"]["Count"] == "6"
        density = 6 / (260 * 200 * 0.25e-6)
        assert float(found["a.ome.tif", "Negative"]["Density per mm^2"]) == pytest.approx(density)

    def test_regions_of_the_same_names(self, measure, tmp_path):
        measure("--regions", tmp_path / "regions", "--summary", tmp_path / "counts.tsv")
        rows = rows_of(tmp_path / "counts.tsv")
        assert {r["Image"] for r in rows if r["Region"] != "Image"} == {"b.tif"}

    def test_a_list_and_another_format(self, measure, plate, tmp_path):
        (plate / "some.txt").write_text("b.tif\n")
        ran = measure("--format", "geojson", images=plate / "some.txt")
        assert ran.code == 0, ran.err
        assert "Nucleus: Area µm^2" in load_objects(tmp_path / "out" / "b.geojson").measurements

    @pytest.mark.parametrize(
        ("options", "says"),
        [
            pytest.param(("-o", "out.csv"), "cannot go into the one file", id="one-file"),
            pytest.param(("--regions", "nuclei.geojson"), "is no folder", id="one-regions"),
            pytest.param(("--summary", "out/a.csv"), "result of an image", id="summary"),
        ],
    )
    def test_mistakes(self, measure, tmp_path, monkeypatch, options, says):
        monkeypatch.chdir(tmp_path)
        options = [tmp_path / o if "/" in o else o for o in options]
        ran = measure(*options)
        assert ran.code == 1
        assert says in ran.err


BAD = {
    "ending": (("-o", "out.xlsx"), "not known for measurements"),
    "summary": (("-o", "out.csv", "--summary", "s.txt"), "a summary is a table"),
    "stains": (("-o", "out.csv", "--stains", "purple"), "setColorDeconvolutionStains"),
    "reference": (("-o", "out.csv", "--normalize", "reinhard"), "--reference"),
}


@pytest.mark.parametrize(("options", "message"), BAD.values(), ids=BAD)
def test_mistakes_are_told(cli, blob_tiff, nuclei, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    ran = cli("measure", blob_tiff, nuclei, *options)
    assert ran.code == 1
    assert message in ran.err
    assert not (tmp_path / "out.csv").exists()
