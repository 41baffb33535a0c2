"""``napari-histo doctor``: what is here, what is missing, and how to get it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from napari_histo.cli._console import out

__all__ = ["Finding", "doctor_command", "examine"]


@dataclass(frozen=True)
class Finding:
    """One line of the report: what was looked at, whether it is fine, and what to do if not."""

    what: str
    ok: bool
    value: str
    advice: str = ""


def doctor_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look at versions, GPU, Qt, QuPath and disk; say what is missing and how to get it."""
    findings = list(examine())
    if as_json:
        print(json.dumps([asdict(f) for f in findings], indent=2))
        return
    table = Table("", "what", "found", "what to do", box=None)
    for f in findings:
        # Texts, not markup: "[qt]" names an extra.
        table.add_row(*(Text(t) for t in ("ok" if f.ok else "--", f.what, f.value, f.advice)))
    out.print(table)


def examine() -> Iterator[Finding]:
    """All findings, cheap ones first."""
    python = sys.version_info[:2]
    yield Finding(
        "Python",
        (3, 11) <= python < (3, 14),
        platform.python_version(),
        "" if (3, 11) <= python < (3, 14) else "Use Python 3.11, 3.12 or 3.13.",
    )
    for name in ("napari-histo", "napari", "torch", "stardist", "tifffile", "zarr", "shapely"):
        yield _package(name, "pip install napari-histo")
    yield from _optional_packages()
    yield _qt()
    yield _display()
    yield from _devices()
    yield _qupath()
    yield _disk()


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _package(name: str, how: str) -> Finding:
    version = _version(name)
    return Finding(name, version is not None, version or "missing", "" if version else how)


def _optional_packages() -> Iterator[Finding]:
    for name, extra in (
        ("openslide-python", "openslide"),
        ("paquo", "qupath"),
        ("cellpose", "cellpose"),
        ("distributed", "distributed"),
    ):
        yield _package(name, f'optional: pip install "napari-histo[{extra}]"')


def _qt() -> Finding:
    for name in ("PyQt6", "PySide6", "PyQt5"):
        version = _version(name)
        if version:
            return Finding("Qt", True, f"{name} {version}")
    return Finding("Qt", False, "missing", 'for the window: pip install "napari-histo[qt]"')


def _display() -> Finding:
    if sys.platform in ("win32", "darwin"):
        return Finding("display", True, "of the system")
    name = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    advice = "" if name else "napari needs one; the command line does not."
    return Finding("display", bool(name), name or "none", advice)


def _devices() -> Iterator[Finding]:
    from napari_histo.models import devices
    from napari_histo.models._device import pick_device, pick_precision

    names = devices()
    has_gpu = len(names) > 2
    advice = "" if has_gpu else "A GPU is optional. With one: install a torch build with CUDA."
    yield Finding(
        "GPU", has_gpu, ", ".join(n for n in names if n not in ("auto", "cpu")) or "none", advice
    )
    best = pick_device("auto")
    yield Finding("networks run on", True, f"{best}, {pick_precision('auto', best)}")


def _qupath() -> Finding:
    from qupath_bridge.locate import find_qupath

    install = find_qupath()
    if install is None:
        return Finding(
            "QuPath",
            False,
            "not found",
            "optional: install it from qupath.github.io, or set PAQUO_QUPATH_DIR to its folder. "
            "GeoJSON files work without it.",
        )
    return Finding("QuPath", True, f"{install.version} in {install.path}")


def _disk() -> Finding:
    free_gb = shutil.disk_usage(Path.cwd()).free / 1e9
    enough = free_gb > 5
    return Finding(
        "free disk here", enough, f"{free_gb:.0f} GB", "" if enough else "Whole slides need 5 GB."
    )
