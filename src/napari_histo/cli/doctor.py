"""``napari-histo doctor``: what is here, what is missing, and how to get it."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table
from rich.text import Text

from napari_histo.cli._arguments import JsonOption
from napari_histo.cli._console import out
from napari_histo.cli._display import display_name

__all__ = ["Finding", "doctor_command", "examine"]

_INSTALL = "pip install napari-histo"
_TORCH = "pip install torch; where it is there but broken: pip install --force-reinstall torch"
_PAQUO = (
    "Check the variables PAQUO_QUPATH_DIR, PAQUO_QUPATH_SEARCH_DIRS and "
    "PAQUO_QUPATH_SEARCH_DIR_REGEX, and .paquo.toml."
)


@dataclass(frozen=True)
class Finding:
    """One line of the report: what was looked at, whether it is fine, and what to do if not."""

    what: str
    ok: bool
    value: str
    advice: str = ""


def doctor_command(
    as_json: JsonOption = False,
) -> None:
    """Look at versions, GPU, Qt, QuPath and disk; say what is missing and how to get it."""
    findings = list(examine())
    if as_json:
        print(json.dumps([asdict(f) for f in findings], indent=2))
        return
    table = Table(box=None)
    for title in ("", "what", "found", "what to do"):
        table.add_column(title, overflow="fold")  # what is to be typed must not be cut short
    for f in findings:
        # Texts, not markup: "[qt]" names an extra.
        table.add_row(*(Text(t) for t in ("ok" if f.ok else "--", f.what, f.value, f.advice)))
    out.print(table)


def examine() -> Iterator[Finding]:
    """All findings, cheap ones first; what cannot be looked at is a finding of its own."""
    yield from _safely("Python", _python, "Install Python again.")
    yield from _safely("packages", _packages, _INSTALL)
    yield from _safely("extras", _optional_packages, _INSTALL)
    yield from _safely("Qt", _qt, 'for the window: pip install "napari-histo[qt]"')
    yield from _safely("display", _display, "napari needs one; the command line does not.")
    yield from _safely("GPU", _devices, _TORCH)
    yield from _safely("QuPath", _qupath, _PAQUO)
    yield from _safely("free disk here", _disk, "Change to a folder that you may read.")


def _safely(what: str, look: Callable[[], Iterable[Finding]], advice: str) -> Iterator[Finding]:
    """The findings of `look`; an error becomes one that is not fine."""
    try:
        yield from look()
    except Exception as error:
        yield Finding(what, False, f"{type(error).__name__}: {error}", advice)


def _python() -> Iterator[Finding]:
    fine = (3, 11) <= sys.version_info[:2] < (3, 14)
    advice = "" if fine else "Use Python 3.11, 3.12 or 3.13."
    yield Finding("Python", fine, platform.python_version(), advice)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _package(name: str, how: str = _INSTALL) -> Finding:
    version = _version(name)
    return Finding(name, version is not None, version or "missing", "" if version else how)


def _packages() -> Iterator[Finding]:
    for name in ("napari-histo", "napari", "torch", "stardist", "tifffile", "zarr", "shapely"):
        yield _package(name)


def _optional_packages() -> Iterator[Finding]:
    for name, extra in (
        ("openslide-python", "openslide"),
        ("paquo", "qupath"),
        ("cellpose", "cellpose"),
        ("distributed", "distributed"),
    ):
        yield _package(name, f'optional: pip install "napari-histo[{extra}]"')


def _qt() -> Iterator[Finding]:
    found = [f"{n} {v}" for n in ("PyQt6", "PySide6", "PyQt5") if (v := _version(n))]
    advice = "" if found else 'for the window: pip install "napari-histo[qt]"'
    yield Finding("Qt", bool(found), found[0] if found else "missing", advice)


def _display() -> Iterator[Finding]:
    name = display_name()
    advice = "" if name else "napari needs one; the command line does not."
    yield Finding("display", bool(name), name or "none", advice)


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


def _qupath() -> Iterator[Finding]:
    from qupath_bridge.locate import find_qupath

    install = find_qupath()
    if install is None:
        yield Finding(
            "QuPath",
            False,
            "not found",
            "optional: install it from qupath.github.io, or set PAQUO_QUPATH_DIR to its folder. "
            "GeoJSON files work without it.",
        )
    else:
        yield Finding("QuPath", True, f"{install.version} in {install.path}")


def _disk() -> Iterator[Finding]:
    free_gb = shutil.disk_usage(Path.cwd()).free / 1e9
    enough = free_gb > 5
    yield Finding(
        "free disk here", enough, f"{free_gb:.0f} GB", "" if enough else "Whole slides need 5 GB."
    )
