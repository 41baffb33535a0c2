# SPDX-License-Identifier: GPL-3.0-or-later
"""Classes of a project and of what is written to it."""

from __future__ import annotations

import json
import os
import warnings

import numpy as np

from napari_histo.core import ClassDef, ClassScheme, ObjectTable, pack_argb
from qupath_bridge.project import QuPathProject

__all__ = ["add_classes", "in_project_colours"]


def in_project_colours(table: ObjectTable, known: ClassScheme) -> ObjectTable:
    """The table with the project's colours: QuPath keeps one a name, and shows the project's."""
    colours = {item.name: item.rgb for item in known}
    classes = (ClassDef(c.name, colours.get(c.name, c.rgb)) for c in table.classes)
    return table.with_columns(classes=ClassScheme(tuple(classes)))


def add_classes(project: QuPathProject, table: ObjectTable) -> None:
    """Write classes that objects use and the project lacks to its ``classes.json``."""
    used = {table.classes[i] for i in np.unique(table.class_id[table.class_id >= 0]).tolist()}
    missing = [c for c in table.classes if c in used and c.name not in project.classes.names]
    if not missing:
        return
    path = project.folder / "classifiers" / "classes.json"
    words = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    listed = words.setdefault("pathClasses", [])
    listed += [{"name": c.name, "color": pack_argb(c.rgb)} for c in missing]
    work = path.with_name(f".classes.{os.getpid()}.part")
    try:
        path.parent.mkdir(exist_ok=True)
        work.write_text(json.dumps(words, indent=2), encoding="utf-8")
        work.replace(path)
    except OSError as error:
        work.unlink(missing_ok=True)
        warnings.warn(
            f"The new classes could not be added to {path} ({error.strerror}); QuPath will show "
            "them once an image with them is open.",
            stacklevel=2,
        )
