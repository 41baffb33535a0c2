# SPDX-License-Identifier: GPL-3.0-or-later
"""The classes of a project, ``classifiers/classes.json``."""

from __future__ import annotations

from pathlib import Path

from napari_histo.core import ClassDef, ClassScheme, unpack_rgb
from napari_histo.errors import BridgeError
from qupath_bridge._json_files import read_json_object

__all__ = ["read_classes"]

#: QuPath's words for an object without a class; it skips them when it reads the file.
_NO_CLASS = frozenset({"Unclassified", ""})


def read_classes(path: Path) -> ClassScheme:
    """Classes in QuPath's order and colours; none where there is no file.

    Raises
    ------
    BridgeError
        The file is damaged.
    """
    if not path.is_file():
        return ClassScheme()
    remedy = "Open the project in QuPath and save its classes anew."
    listed = read_json_object(path, what="List of classes", remedy=remedy).get("pathClasses")
    try:
        found = [_class(entry) for entry in listed or ()]
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise BridgeError(
            f"List of classes {path} is not as QuPath writes it ({error}). {remedy}"
        ) from error
    unique = {c.name: c for c in found if c.name not in _NO_CLASS}
    return ClassScheme(tuple(unique.values()))


def _class(entry: dict[str, object]) -> ClassDef:
    name, colour = str(entry.get("name") or ""), entry.get("color")
    return ClassDef(name, unpack_rgb(colour)) if isinstance(colour, int) else ClassDef.named(name)
