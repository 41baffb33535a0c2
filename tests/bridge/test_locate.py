"""QuPath is found where paquo finds it, from the file system alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from qupath_bridge.locate import QuPathInstall, find_qupath, searched_places

LAYOUTS = {
    "Linux": ("lib/app", "lib/runtime/lib/server/libjvm.so"),
    "Darwin": ("Contents/app", "Contents/runtime/Contents/Home/lib/libjli.dylib"),
    "Windows": ("app", "runtime/bin/server/jvm.dll"),
}


@pytest.fixture(autouse=True)
def _empty_working_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))


def make_install(folder: Path, version: str = "0.5.1", system: str = "Linux") -> Path:
    app, jvm = LAYOUTS[system]
    (folder / app).mkdir(parents=True)
    (folder / jvm).parent.mkdir(parents=True)
    (folder / jvm).touch()
    for jar in (f"qupath-core-{version}.jar", f"qupath-core-processing-{version}.jar", "gson.jar"):
        (folder / app / jar).touch()
    return folder


def search_in(*places: Path) -> dict[str, str]:
    return {"PAQUO_QUPATH_SEARCH_DIRS": str([str(place) for place in places])}


@pytest.mark.parametrize("system", LAYOUTS)
def test_named_folder_is_found_in_each_systems_layout(tmp_path, system):
    folder = make_install(tmp_path / "anywhere", "0.6.0-rc3", system)
    found = find_qupath({"PAQUO_QUPATH_DIR": str(folder)}, system=system)
    assert found == QuPathInstall(folder, "0.6.0-rc3")


@pytest.mark.parametrize("system", LAYOUTS)
def test_readers_are_told_by_their_jars(tmp_path, system):
    folder = make_install(tmp_path / "anywhere", system=system)
    install = QuPathInstall(folder, "0.5.1")
    assert install.readers == frozenset()
    for name in ("qupath-extension-openslide-0.5.1.jar", "qupath-extension-processing-0.5.1.jar"):
        (folder / LAYOUTS[system][0] / name).touch()
    assert install.readers == {"OpenSlide"}
    (folder / LAYOUTS[system][0] / "qupath-extension-bioformats-0.5.1.jar").touch()
    assert install.readers == {"OpenSlide", "Bio-Formats"}


@pytest.mark.parametrize("missing", ["lib/app", "lib/runtime/lib/server/libjvm.so", "."])
def test_incomplete_folder_is_no_install(tmp_path, missing):
    folder = make_install(tmp_path / "QuPath")
    (folder / missing).rename(tmp_path / "gone")
    assert find_qupath({"PAQUO_QUPATH_DIR": str(folder)}, system="Linux") is None


def test_named_folder_switches_the_search_off(tmp_path):
    make_install(tmp_path / "QuPath-0.5.1")
    env = {"PAQUO_QUPATH_DIR": str(tmp_path / "nothing"), **search_in(tmp_path)}
    assert find_qupath(env, system="Linux") is None
    assert searched_places(env) == [tmp_path / "nothing"]


def test_search_takes_the_newest_name_and_skips_what_is_no_install(tmp_path):
    for version in ("0.3.2", "0.5.1"):
        make_install(tmp_path / f"QuPath-{version}", version)
    (tmp_path / "QuPath-src").mkdir()
    make_install(tmp_path / "other-tool", "9.9.9")
    found = find_qupath(search_in(tmp_path / "not-there", tmp_path), system="Linux")
    assert found == QuPathInstall(tmp_path / "QuPath-0.5.1", "0.5.1")


def test_search_folders_may_be_one_plain_string_and_the_name_is_a_setting(tmp_path):
    folder = make_install(tmp_path / "pathology")
    env = {
        "PAQUO_QUPATH_SEARCH_DIRS": str(tmp_path),
        "PAQUO_QUPATH_SEARCH_DIR_REGEX": "pathology",
    }
    assert find_qupath(env, system="Linux") == QuPathInstall(folder, "0.5.1")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param({}, "conda", id="conda first by default"),
        pytest.param({"PAQUO_QUPATH_PREFER_CONDA": "false"}, "plain", id="conda last"),
        pytest.param({"PAQUO_QUPATH_SEARCH_CONDA": "0"}, "plain", id="conda never"),
    ],
)
def test_conda(tmp_path, settings, expected):
    make_install(tmp_path / "env" / "opt" / "QuPath", "0.conda")
    make_install(tmp_path / "QuPath", "0.plain")
    env = {"CONDA_PREFIX": str(tmp_path / "env"), **search_in(tmp_path), **settings}
    found = find_qupath(env, system="Linux")
    assert found is not None
    assert found.version == f"0.{expected}"


def test_config_file_counts_and_the_environment_counts_more(tmp_path, monkeypatch):
    from_file, from_env = make_install(tmp_path / "a", "1.0"), make_install(tmp_path / "b", "2.0")
    (tmp_path / "below").mkdir()
    (tmp_path / ".paquo.toml").write_text(f"qupath_dir = '{from_file}'\n")
    monkeypatch.chdir(tmp_path / "below")
    assert find_qupath({}, system="Linux") == QuPathInstall(from_file, "1.0")
    env = {"PAQUO_QUPATH_DIR": str(from_env)}
    assert find_qupath(env, system="Linux") == QuPathInstall(from_env, "2.0")


@pytest.mark.parametrize("text", ["not = [toml", ""], ids=["broken", "empty"])
def test_unusable_config_file_is_passed_over(tmp_path, monkeypatch, text):
    folder = make_install(tmp_path / "QuPath")
    (tmp_path / ".paquo.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert find_qupath(search_in(tmp_path), system="Linux") == QuPathInstall(folder, "0.5.1")


def test_home_folder_is_understood(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    folder = make_install(tmp_path / "QuPath")
    found = find_qupath({"PAQUO_QUPATH_SEARCH_DIRS": '["~"]'}, system="Linux")
    assert found == QuPathInstall(folder, "0.5.1")


def test_unknown_version_still_is_an_install(tmp_path):
    folder = make_install(tmp_path / "QuPath")
    (folder / "lib/app/qupath-core-0.5.1.jar").unlink()
    found = find_qupath({"PAQUO_QUPATH_DIR": str(folder)}, system="Linux")
    assert found == QuPathInstall(folder, None)


def test_nothing_found_and_the_places_can_be_told(tmp_path):
    env = search_in(tmp_path / "x", tmp_path / "y")
    assert find_qupath(env) is None
    assert searched_places(env) == [tmp_path / "x", tmp_path / "y"]


def test_environment_makes_a_child_find_the_same(tmp_path):
    found = QuPathInstall(make_install(tmp_path / "Q"), "0.5.1")
    assert find_qupath(found.environment(), system="Linux") == found


@pytest.mark.skipif(sys.platform != "linux", reason="the made folders have Linux's layout")
@pytest.mark.parametrize("names", [["QuPath"], ["QuPath-0.4.4", "qupath-0.5.1", "QuPath-src"], []])
def test_paquo_finds_the_same(tmp_path, names):
    backend = pytest.importorskip("paquo.jpype_backend", reason="paquo is not installed")
    for name in names:
        if "src" in name:
            (tmp_path / name).mkdir()
        else:
            make_install(tmp_path / name)
    ours = find_qupath(search_in(tmp_path))
    try:
        theirs = backend.find_qupath(
            qupath_search_dirs=[str(tmp_path)], qupath_search_dir_regex="(?i)qupath.*"
        )
    except ValueError:
        assert ours is None
    else:
        assert ours is not None
        assert theirs.app_dir == ours.path / "lib" / "app"


def test_locating_starts_no_jvm_and_imports_no_gui():
    code = (
        "import sys, qupath_bridge.locate as locate; locate.find_qupath();"
        "heavy = {'jpype', 'paquo', 'napari', 'qtpy', 'torch'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
