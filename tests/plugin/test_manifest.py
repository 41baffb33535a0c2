"""The manifest that napari reads: it is valid, and everything that it names is there."""

from __future__ import annotations

from fnmatch import fnmatch
from importlib import import_module
from importlib.metadata import distribution, entry_points
from pathlib import Path

import pytest
from napari._app_model.constants import MenuId
from npe2 import PluginManifest

import napari_histo
from napari_histo.plugin.settings import AnnotateSettings, SegmentSettings
from napari_histo.slides import SUFFIXES
from napari_histo.store import FORMATS

MANIFEST = Path(napari_histo.__file__).parent / "napari.yaml"


@pytest.fixture(scope="module")
def manifest():
    return PluginManifest.from_file(MANIFEST)


@pytest.fixture(scope="module")
def contributions(manifest):
    return manifest.contributions


def test_manifest_is_valid_and_named_as_the_distribution(manifest):
    manifest.validate_imports()
    assert manifest.name == distribution("napari-histo").metadata["Name"] == "napari-histo"


def test_napari_finds_it():
    (point,) = [e for e in entry_points(group="napari.manifest") if e.name == "napari-histo"]
    module, file = point.value.split(":")
    assert Path(import_module(module).__file__).parent / file == MANIFEST


def test_every_command_imports(contributions):
    for command in contributions.commands:
        module, name = command.python_name.split(":")
        assert callable(getattr(import_module(module), name)), command.id


def test_every_contribution_names_a_command(contributions):
    known = {command.id for command in contributions.commands}
    used = [
        item.command
        for kind in ("widgets", "readers", "writers", "sample_data")
        for item in getattr(contributions, kind)
    ]
    used += [item.command for items in contributions.menus.values() for item in items]
    assert set(used) <= known
    assert known <= set(used), "a command that nothing offers"


def test_menus_are_napari_s_and_both_are_there(contributions):
    assert set(contributions.menus) <= {str(m) for m in MenuId.contributables()}
    assert {"napari/layers/segment", "napari/layers/annotate"} <= set(contributions.menus)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        *[
            pytest.param(f"slide.{suffix}", "napari-histo.read_slide", id=suffix)
            for suffix in ("svs", "ndpi", "mrxs", "scn", "ome.tif", "ome.tiff", "tif", "tiff")
        ],
        *[
            pytest.param(f"nuclei{suffix}", "napari-histo.read_objects", id=suffix)
            for kind in ("geojson", "parquet")
            for suffix in FORMATS[kind]
            if suffix != ".json.gz"
        ],
        pytest.param("photo.png", None, id="png"),
        pytest.param("photo.jpg", None, id="jpg"),
        pytest.param("table.csv", None, id="csv"),
    ],
)
def test_reader_of_a_file_name(contributions, name, command):
    found = {
        reader.command
        for reader in contributions.readers
        if any(fnmatch(name, pattern) for pattern in reader.filename_patterns)
    }
    assert found == ({command} if command else set())


def test_slides_are_offered_where_a_reader_takes_them(contributions):
    (slides,) = [r for r in contributions.readers if r.command == "napari-histo.read_slide"]
    assert {Path(pattern).suffix for pattern in slides.filename_patterns} <= SUFFIXES


def test_writers_offer_what_the_store_writes(contributions):
    offered = {e for writer in contributions.writers for e in writer.filename_extensions}
    assert offered == {".geojson", ".geojson.gz", ".parquet"}
    assert offered <= {s for suffixes in FORMATS.values() for s in suffixes}


def test_settings_have_the_defaults_of_the_code(contributions):
    pages = {
        group: {key: prop.default for key, prop in page.properties.items()}
        for group, page in contributions.configurations.items()
    }
    assert SegmentSettings(**pages.pop("segment")) == SegmentSettings()
    page = pages.pop("annotate")
    keys = {name.removeprefix("key_"): page.pop(name) for name in list(page) if "key_" in name}
    assert AnnotateSettings(**page, keys=keys) == AnnotateSettings()
    assert pages == {}
