"""Edits of the class scheme, and classes from QuPath's own file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from napari_histo.core import ClassDef, ClassScheme, Edit, ObjectTable, unpack_rgb
from napari_histo.errors import HistoError, ObjectsFileError

__all__ = ["add_class", "add_classes", "change_class", "read_qupath_classes"]


def add_class(scheme: ClassScheme, name: str, rgb: tuple[int, int, int] | None) -> Edit:
    """Append a class; HistoError where the name is empty or taken."""
    new = ClassDef.named(_checked(scheme, name))
    return _edit("Add class", scheme, (*scheme, new if rgb is None else replace(new, rgb=rgb)))


def add_classes(scheme: ClassScheme, classes: ClassScheme) -> Edit:
    """Append those whose names are new; colours of the others are taken over."""
    colours = {c.name: c for c in classes}
    own = tuple(colours.get(c.name, c) for c in scheme)
    return _edit("Import classes", scheme, ClassScheme(own).union(classes))


def change_class(
    scheme: ClassScheme,
    name: str,
    *,
    new_name: str | None = None,
    rgb: tuple[int, int, int] | None = None,
) -> Edit:
    """Rename or recolour a class; its objects keep it."""
    place = scheme.index(name)
    old = scheme[place]
    title = _checked(scheme, new_name) if new_name not in (None, name) else name
    changed = list(scheme)
    changed[place] = ClassDef(title, rgb or old.rgb)
    return _edit("Rename class" if title != name else "Recolour class", scheme, changed)


def read_qupath_classes(path: Path) -> ClassScheme:
    """Classes of QuPath's ``classes.json``: ``pathClasses`` with names and packed colours.

    Raises
    ------
    ObjectsFileError
        The file is missing, damaged or of another kind.
    """
    try:
        words = json.loads(path.read_text(encoding="utf-8"))
        listed = words["pathClasses"] if isinstance(words, dict) else words
        found = [_class_of(entry) for entry in listed]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ObjectsFileError(
            f"{path} does not hold QuPath's classes ({error}). In a QuPath project the file is "
            "classifiers/classes.json."
        ) from error
    unique = {c.name: c for c in found if c is not None}
    if not unique:
        raise ObjectsFileError(f"{path} names no class.")
    return ClassScheme(tuple(unique.values()))


def _class_of(entry: object) -> ClassDef | None:
    """One entry; None for QuPath's "unclassified"."""
    if isinstance(entry, str):
        return ClassDef.named(entry)
    if not isinstance(entry, dict):
        raise TypeError(f"{entry!r} is not a class")
    names = entry.get("names") or [entry.get("name")]
    title = ": ".join(str(n) for n in names if n)
    if not title:
        return None
    colour = entry.get("color", entry.get("colorRGB"))
    if isinstance(colour, list) and len(colour) >= 3:
        return ClassDef(title, (int(colour[0]), int(colour[1]), int(colour[2])))
    return ClassDef(title, unpack_rgb(colour)) if isinstance(colour, int) else ClassDef.named(title)


def _checked(scheme: ClassScheme, name: str | None) -> str:
    title = (name or "").strip()
    if not title:
        raise HistoError("A class needs a name.")
    if title in scheme.names:
        raise HistoError(f"There is already a class {title!r}. Choose another name.")
    return title


def _edit(name: str, old: ClassScheme, new: Iterable[ClassDef]) -> Edit:
    nothing = ObjectTable.empty()
    return Edit(name, nothing, nothing, (old, ClassScheme(tuple(new))))
