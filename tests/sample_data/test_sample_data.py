"""The sample files are what their script makes, and models see the real thing in them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_histo.core import Box
from napari_histo.models import load_model
from napari_histo.ops.metrics import compare_labels
from napari_histo.pipeline import segment
from napari_histo.pipeline.evaluate import evaluate
from napari_histo.slides import open_slide
from napari_histo.store import load_objects, rasterise

FOLDER = Path(__file__).resolve().parents[2] / "sample_data"
FILES = {
    "he_tile.ome.tif",
    "he_tile_labels.tif",
    "he_tile.geojson",
    "fluo_tile.tif",
    "fluo_tile_labels.tif",
    "fluo_tile.geojson",
}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "make_sample_data", FOLDER / "make_sample_data.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def made(script: ModuleType) -> dict[str, Any]:
    return {"he": script.make_he(), "fluo": script.make_fluo()}


@pytest.mark.parametrize("name", ["he", "fluo"])
def test_truth_is_made_anew_to_the_last_pixel(made: dict[str, Any], name: str) -> None:
    stored = tifffile.imread(FOLDER / f"{name}_tile_labels.tif")
    assert np.array_equal(made[name].labels, stored)
    table = load_objects(FOLDER / f"{name}_tile.geojson")
    assert table.uuids() == made[name].table.uuids()
    assert table.class_names.tolist() == made[name].table.class_names.tolist()


def test_fluorescence_is_made_anew_to_the_last_grey(made: dict[str, Any]) -> None:
    assert np.array_equal(made["fluo"].image, tifffile.imread(FOLDER / "fluo_tile.tif"))


def test_picture_is_made_anew_but_for_what_jpeg_loses(made: dict[str, Any]) -> None:
    stored = tifffile.imread(FOLDER / "he_tile.ome.tif").astype(int)
    assert np.abs(stored - made["he"].image).mean() < 2.5


def test_same_seed_same_files(script: ModuleType, made: dict[str, Any], tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        script._write_pyramid(tmp_path / folder / "he_tile.ome.tif", made["he"].image, 0.25)
    one, two = (tmp_path / f / "he_tile.ome.tif" for f in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("name", ["he", "fluo"])
def test_outlines_and_labels_agree(name: str) -> None:
    labels = tifffile.imread(FOLDER / f"{name}_tile_labels.tif")
    table = load_objects(FOLDER / f"{name}_tile.geojson")
    assert np.array_equal(rasterise(table, Box(0, 0, labels.shape[1], labels.shape[0])), labels)
    bounds = table.contours.bounds
    assert bounds.min() >= 0
    assert bounds.max() <= labels.shape[0]


def test_files_are_all_there_and_small() -> None:
    sizes = {f.name: f.stat().st_size for f in FOLDER.iterdir() if f.suffix in (".tif", ".geojson")}
    assert set(sizes) == FILES
    assert sum(sizes.values()) < 2_000_000
    assert all(name in (FOLDER / "PROVENANCE.md").read_text("utf-8") for name in FILES)


def test_pyramid_has_levels_tiles_and_a_pixel_size() -> None:
    with open_slide(FOLDER / "he_tile.ome.tif") as reader:
        assert reader.info.level_shapes == ((1024, 1024), (512, 512), (256, 256))
        assert reader.info.is_rgb
        assert reader.info.pixel_size is not None
        assert reader.info.pixel_size.x_um == 0.25
        top, half = (reader.read(Box(128, 256, 64, 64), level).astype(int) for level in (0, 1))
        wide = reader.read(Box(256, 512, 128, 128), 0).astype(int)
    halved = wide.reshape(64, 2, 64, 2, 3).mean((1, 3))
    assert np.abs(halved - half).mean() < 0.4 * np.abs(top - half).mean()
    with tifffile.TiffFile(FOLDER / "he_tile.ome.tif") as tiff:
        page = tiff.pages.first
        assert (page.is_tiled, page.compression.name) == (True, "JPEG")
        assert len(page.subifds) == 2


def test_fluorescence_names_its_channel() -> None:
    with open_slide(FOLDER / "fluo_tile.tif") as reader:
        assert (reader.info.dtype, reader.info.channel_names) == (np.uint16, ("DAPI",))
        assert reader.info.pixel_size is not None
        assert reader.info.pixel_size.x_um == 0.5


@pytest.mark.parametrize(
    ("file", "model", "least"),
    [
        ("he_tile.ome.tif", "classical", 0.85),
        ("fluo_tile.tif", "classical", 0.65),
        ("he_tile.ome.tif", "he-nuclei", 0.85),
        ("fluo_tile.tif", "fluo-nuclei", 0.85),
    ],
)
def test_models_find_most_of_it(file: str, model: str, least: float, tmp_path: Path) -> None:
    from napari_histo.models import is_available
    from napari_histo.store import save_objects

    if not is_available(model):
        pytest.skip(f"the model {model} is not in this checkout")
    with open_slide(FOLDER / file) as reader:
        work = segment(reader, load_model(model, device="cpu"))
        while True:
            try:
                next(work)
            except StopIteration as end:
                result = end.value
                break
        save_objects(tmp_path / "found.geojson", result.table, info=reader.info)
    truth = FOLDER / f"{file.split('.')[0]}_labels.tif"
    assert evaluate(tmp_path / "found.geojson", truth).pooled.f1 > least


def test_nuclei_do_not_touch() -> None:
    labels = tifffile.imread(FOLDER / "he_tile_labels.tif")
    shifted = compare_labels(labels, labels)
    assert shifted.n_truth == labels.max()
    for here, beside in ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])):
        assert not ((here != beside) & (here > 0) & (beside > 0)).any()
