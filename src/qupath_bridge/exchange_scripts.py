# SPDX-License-Identifier: GPL-3.0-or-later
"""Groovy scripts that a QuPath user runs: export, import, and the marking of regions.

Each file that is installed needs no other: what they share is put behind the few lines of each.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from napari_histo.core import pack_argb
from napari_histo.core.round_regions import REGION_CLASSES
from napari_histo.errors import WriteError

__all__ = ["SCRIPTS", "install", "script_text"]

_MARKS = {
    f"napari-histo mark {item.name.lower().replace(':', '')}.groovy": item
    for item in REGION_CLASSES
}
#: File names in QuPath's menu, and what each is made of.
SCRIPTS = {
    "napari-histo 1 export.groovy": "export",
    "napari-histo 2 import.groovy": "import",
    **dict.fromkeys(_MARKS, "mark"),
}
_SHARED = ("folder", "objects")
_HEAD = "// SPDX-License-Identifier: GPL-3.0-or-later\n// For QuPath 0.4 to 0.7.\n"


def script_text(name: str, folder: str = "") -> str:
    """A script of `SCRIPTS`.

    Parameters
    ----------
    name : str
    folder : str
        Where objects are exchanged; empty for the folder ``exchange`` in the project.
    """
    kind = SCRIPTS[name]
    if kind == "mark":
        item = _MARKS[name]
        colour = f"def REGION_COLOUR = {pack_argb(item.rgb)}"
        words = f"def REGION_CLASS = {_quoted(item.name)}\n{colour}"
        return f"{_HEAD}{words}\n{_source(kind)}"
    about = "// Where objects are exchanged; '' is the folder \"exchange\" in the project.\n"
    parts = [f"{_HEAD}{about}def FOLDER = {_quoted(folder)}", _source(kind)]
    return "\n".join([*parts, *map(_source, _SHARED)])


def install(target: Path, folder: str = "") -> list[Path]:
    """Write all scripts to a folder.

    Raises
    ------
    WriteError
        A file cannot be written.
    """
    paths = [target / name for name in SCRIPTS]
    try:
        target.mkdir(parents=True, exist_ok=True)
        for path in paths:
            path.write_text(script_text(path.name, folder), encoding="utf-8")
    except OSError as error:
        raise WriteError(
            f"The scripts cannot be written to {target} ({error.strerror or error}). Choose a "
            "folder that you may write to."
        ) from error
    return paths


def _source(name: str) -> str:
    place = resources.files("qupath_bridge").joinpath("scripts", "exchange", f"{name}.groovy")
    return place.read_text(encoding="utf-8")


def _quoted(text: str) -> str:
    """As a Groovy string of single quotes."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
