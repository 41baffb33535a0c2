"""The floors hold: rooms import downwards, and light rooms stay light."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Imports a package with all its modules and prints every module that came along.
LIST_MODULES = """
import importlib, json, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if found.name not in sys.argv[2:]:
        importlib.import_module(found.name)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""

LINT_IMPORTS = "from importlinter.cli import lint_imports_command as run; run()"

GUI = {"napari", "qtpy", "PyQt5", "PyQt6", "PySide2", "PySide6", "magicgui", "superqt", "vispy"}
NETWORKS = {"torch", "tensorflow", "keras", "stardist", "cellpose"}
JAVA = {"paquo", "jpype", "jnius", "scyjava"}


@pytest.mark.parametrize(
    ("package", "own_process"),
    [
        pytest.param("napari_histo.core", [], id="core"),
        pytest.param("napari_histo.session", [], id="session"),
        pytest.param("qupath_bridge", ["qupath_bridge.worker"], id="bridge"),
    ],
)
def test_light_package_brings_no_gui_network_or_java(package: str, own_process: list[str]) -> None:
    """A fresh interpreter, since this one has long imported Qt and torch."""
    done = subprocess.run(
        [sys.executable, "-c", LIST_MODULES, package, *own_process],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    came_along = set(json.loads(done.stdout))
    assert package.partition(".")[0] in came_along
    assert came_along & (GUI | NETWORKS | JAVA) == set()


def lint_imports(root: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run the contracts of this repository's pyproject.toml on the sources under `root`."""
    config = f"--config={ROOT / 'pyproject.toml'}"
    return subprocess.run(
        [sys.executable, "-c", LINT_IMPORTS, "--no-cache", "--no-logo", config, *args],
        cwd=root / "src",
        env={**os.environ, "PYTHONPATH": str(root / "src")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_contract_is_kept() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def copied_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("house")
    code_only = shutil.ignore_patterns("__pycache__", "weights", "*.safetensors")
    shutil.copytree(ROOT / "src", root / "src", ignore=code_only)
    return root


@pytest.mark.slow
@pytest.mark.parametrize(
    ("contract", "module", "bad_import"),
    [
        pytest.param("floors", "napari_histo/core/box.py", "napari_histo.ops", id="floors"),
        pytest.param("floors", "napari_histo/attic.py", "math", id="room-without-a-floor"),
        pytest.param("gui", "napari_histo/models/registry.py", "qtpy.QtCore", id="gui"),
        pytest.param("networks", "napari_histo/ops/resample.py", "torch", id="networks"),
        pytest.param("frameworks", "napari_histo/ops/resample.py", "stardist", id="frameworks"),
        pytest.param("tensorflow", "napari_histo/models/registry.py", "keras", id="tensorflow"),
        pytest.param("openslide", "napari_histo/slides/_open.py", "openslide", id="openslide"),
        pytest.param("parquet", "napari_histo/slides/_open.py", "pyarrow", id="parquet"),
        pytest.param("java", "qupath_bridge/locate.py", "paquo", id="java"),
        pytest.param("testing", "napari_histo/core/box.py", "pytest", id="testing"),
        pytest.param("bridge-below", "qupath_bridge/locate.py", "napari_histo.ops", id="below"),
        pytest.param("bridge-above", "napari_histo/core/box.py", "qupath_bridge", id="above"),
    ],
)
def test_contract_breaks_on_a_bad_import(
    copied_root: Path, contract: str, module: str, bad_import: str
) -> None:
    """A contract that cannot fail holds nothing."""
    path = copied_root / "src" / module
    before = path.read_text(encoding="utf-8") if path.exists() else None
    path.write_text(f"{before or ''}\n\nimport {bad_import}\n", encoding="utf-8")
    try:
        done = lint_imports(copied_root, f"--contract={contract}")
    finally:
        path.unlink() if before is None else path.write_text(before, encoding="utf-8")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "BROKEN" in done.stdout
