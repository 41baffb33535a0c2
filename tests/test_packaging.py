"""What pip is told fits together."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def pins() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def requirements() -> Iterator[Requirement]:
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    for text in (text for group in groups for text in group):
        if canonicalize_name(Requirement(text).name) != PROJECT["name"]:
            yield Requirement(text)


@pytest.mark.parametrize("requirement", requirements(), ids=lambda r: r.name)
def test_every_requirement_has_a_pin_in_its_range(requirement: Requirement) -> None:
    pin = pins().get(canonicalize_name(requirement.name))
    assert pin is not None, f"pin {requirement.name} in constraints.txt"
    assert requirement.specifier.contains(pin)


def test_pins_hold_on_every_platform() -> None:
    """A local label (+cpu) exists in one index only, and would break every other install."""
    assert [name for name, version in pins().items() if version.local] == []


def test_extra_all_is_every_extra_of_a_user() -> None:
    extras = PROJECT["optional-dependencies"]
    [everything] = (Requirement(text) for text in extras["all"])
    assert everything.extras == set(extras) - {"all", "dev", "parity"}


def test_base_leaves_the_choice_of_a_qt_binding() -> None:
    names = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    assert names & {"pyqt5", "pyqt6", "pyside2", "pyside6"} == set()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="the build back end is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [path] = folder.glob("*.whl")
    return path


@pytest.mark.slow
def test_wheel_holds_what_the_program_needs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert len(names) == len(set(names))
    wanted = {f"{room}/py.typed" for room in ("napari_histo", "qupath_bridge")}
    wanted |= {"napari_histo/napari.yaml"}
    for place, root in (("src/napari_histo/models/weights", "src"), ("sample_data", ".")):
        files = (f for f in (ROOT / place).rglob("*") if f.is_file() and f.suffix != ".pyc")
        prefix = "" if root == "src" else "napari_histo/"
        wanted |= {prefix + f.relative_to(ROOT / root).as_posix() for f in files}
    assert wanted - set(names) == set()
    assert not [n for n in names if "__pycache__" in n or n.startswith("tests")]
    licences = {n.split("/licenses/")[1] for n in names if "/licenses/" in n}
    assert licences == {"LICENSE", "src/qupath_bridge/LICENSE"}


@pytest.mark.slow
def test_an_installed_wheel_finds_its_samples(wheel: Path, tmp_path: Path) -> None:
    """In a place of its own, where no checkout is near."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = (
        "from napari_histo.plugin import samples as s\n"
        "for open_it in (s.drawn_he_tissue, s.drawn_fluorescence_nuclei):\n"
        "    print(open_it()[0][1]['metadata']['reader'], s.__file__)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    installed = tmp_path / "napari_histo" / "plugin" / "samples.py"
    assert done.stdout.splitlines() == [f"tifffile {installed}"] * 2
