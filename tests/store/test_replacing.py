"""Which folders may be replaced: never one that holds what its kind does not."""

from __future__ import annotations

import pytest

from napari_histo.store.replacing import beside, beside_zarr, everything, nothing

MODEL = beside(("weights", "weights.old"), "card.json", "config.json", inside="guide")
TREE = ("weights", "guide/weights", "guide/card.json")


def make(folder, names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("names", "strangers"),
    [
        pytest.param([], [], id="empty"),
        pytest.param(["weights", "card.json"], [], id="new"),
        pytest.param(["weights.old", "config.json"], [], id="old"),
        pytest.param(TREE, [], id="folder inside"),
        pytest.param(["weights", ".DS_Store", "Thumbs.db", "._weights"], [], id="litter"),
        pytest.param(["config.json"], ["config.json"], id="another program's settings"),
        pytest.param(["config.json", "s.svs"], ["config.json", "s.svs"], id="slides, settings"),
        pytest.param(["weights", "config.json", "s.svs"], ["s.svs"], id="slides in a model"),
        pytest.param([*TREE, "guide/s.svs"], ["guide/s.svs"], id="slides deeper down"),
        pytest.param(["weights", "slides/s.svs"], ["slides"], id="folder of slides"),
        pytest.param(["weights", ".git/HEAD"], [".git"], id="hidden work"),
        pytest.param(["weights", "card.json/s.svs"], ["card.json"], id="folder named as a file"),
        pytest.param(["weights/s.svs"], ["weights"], id="folder named as the mark"),
    ],
)
def test_known_names(tmp_path, names, strangers):
    assert MODEL(make(tmp_path, names)) == strangers


@pytest.mark.parametrize(
    ("names", "strangers"),
    [
        pytest.param([], [], id="empty"),
        pytest.param(["zarr.json", "0/zarr.json", "labels/zarr.json"], [], id="zarr 3"),
        pytest.param([".zgroup", ".zattrs", ".zmetadata", "0/.zarray", "a/.zgroup"], [], id="2"),
        pytest.param(["zarr.json", ".DS_Store"], [], id="litter"),
        pytest.param(["zarr.json", "0/zarr.json", "s.svs"], ["s.svs"], id="a slide in it"),
        pytest.param(["zarr.json", "slides/s.svs"], ["slides"], id="slides in it"),
        pytest.param(["0/zarr.json", ".zattrs"], [".zattrs", "0"], id="no store"),
    ],
)
def test_stores(tmp_path, names, strangers):
    assert beside_zarr(make(tmp_path, names)) == strangers


def test_all_and_none(tmp_path):
    make(tmp_path, ["b", "a", "desktop.ini"])
    assert everything(tmp_path) == ["a", "b"]
    assert nothing(tmp_path) == []
