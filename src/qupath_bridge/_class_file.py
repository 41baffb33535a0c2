# SPDX-License-Identifier: GPL-3.0-or-later
"""Classes of a project and of what is written to it.

QuPath reads ``classes.json`` when it opens the project, and writes the list that it shows over the
file with each save. So classes that are added while the project is open there are lost, and are
added again with the next write.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable

import numpy as np

from napari_histo.core import ClassDef, ClassScheme, ObjectTable, pack_argb
from qupath_bridge.project import QuPathProject

__all__ = ["DEFAULT_CLASSES", "add_classes", "in_project_colours", "list_classes"]

#: What QuPath shows for a project that lists none; after ``PathClassManager`` of QuPath 0.5.
DEFAULT_CLASSES = ClassScheme(
    (
        ClassDef("Tumor", (200, 0, 0)),
        ClassDef("Stroma", (150, 200, 150)),
        ClassDef("Immune cells", (160, 90, 160)),
        ClassDef("Necrosis", (50, 50, 50)),
        ClassDef("Other", (255, 200, 0)),
        ClassDef("Region*", (0, 0, 180)),
        ClassDef("Ignore*", (180, 180, 180)),
        ClassDef("Positive", (200, 50, 50)),
        ClassDef("Negative", (90, 90, 180)),
    )
)


def in_project_colours(table: ObjectTable, known: ClassScheme) -> ObjectTable:
    """The table with the project's colours: QuPath keeps one a name, and shows the project's."""
    colours = {item.name: item.rgb for item in known}
    classes = (ClassDef(c.name, colours.get(c.name, c.rgb)) for c in table.classes)
    return table.with_columns(classes=ClassScheme(tuple(classes)))


def add_classes(project: QuPathProject, table: ObjectTable) -> None:
    """Write classes that objects use and the project lacks to its ``classes.json``."""
    used = {table.classes[i] for i in np.unique(table.class_id[table.class_id >= 0]).tolist()}
    list_classes(project, [c for c in table.classes if c in used])


def list_classes(
    project: QuPathProject, classes: Iterable[ClassDef], after: ClassScheme = DEFAULT_CLASSES
) -> bool:
    """Write classes that the project lacks to its list; whether there were any.

    A project without a list shows QuPath's own classes, and one with a list no others. So where
    there was none, those of `after` come first, in the colours of `classes`.
    """
    new = {c.name: c for c in classes}
    before = [] if len(project.classes) or not new else [new.get(c.name, c) for c in after]
    return _append(project, ClassScheme(tuple(before)).union(new.values()))


def _append(project: QuPathProject, classes: Iterable[ClassDef]) -> bool:
    missing = [c for c in classes if c.name not in project.classes.names]
    if not missing:
        return False
    path = project.folder / "classifiers" / "classes.json"
    words = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    listed = words.setdefault("pathClasses", [])
    listed += [{"name": c.name, "color": pack_argb(c.rgb)} for c in missing]
    work = path.with_name(".classes.part")  # under the project's lock; one left behind is used up
    try:
        path.parent.mkdir(exist_ok=True)
        work.write_text(json.dumps(words, indent=2), encoding="utf-8")
        work.replace(path)
    except OSError as error:
        work.unlink(missing_ok=True)
        warnings.warn(
            f"The new classes could not be added to {path} ({error.strerror}); QuPath will show "
            "them once an image with them is open.",
            stacklevel=3,
        )
    return True
