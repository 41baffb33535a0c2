# SPDX-License-Identifier: GPL-3.0-or-later
"""Rounds in QuPath's list of images: metadata by which the list can be sorted and searched.

The regions in an image's data are the truth, and this a view of them that can be made again at any
time. It has to be: QuPath with the project open writes its own memory over it with the next save.
What was written last is remembered beside the project, so that such a loss is noticed and told.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_histo.core import REGION_CLASSES, RoundFacts
from qupath_bridge._class_file import list_classes
from qupath_bridge.project import ProjectEntry, QuPathProject
from qupath_bridge.project_file import set_metadata
from qupath_bridge.safety import OWN_FOLDER, check_may_write, make_folder, project_lock

__all__ = ["ListChange", "list_region_classes", "round_of", "show_rounds"]

_ROUND, _STATUS = "Round", "Round status"
_TO_DO, _DONE, _SKIPPED = "Regions to annotate", "Regions done", "Regions skipped"
_OBJECTS = "Objects annotated"
_KEYS = (_ROUND, _STATUS, _TO_DO, _DONE, _SKIPPED, _OBJECTS)


@dataclass(frozen=True)
class ListChange:
    """What was written to the list of images.

    Attributes
    ----------
    changed : tuple of str
        Ids of images whose metadata changed.
    overwritten : tuple of str
        Ids of those that QuPath had saved over since our last write; they are written again.
    has_new_classes : bool
        Whether the classes of regions were added to the project's list of classes.
    vanished : tuple of str
        Ids of images with fewer regions than they had: deleted there, or QuPath had the image open
        while they were published and saved it since.
    """

    changed: tuple[str, ...] = ()
    overwritten: tuple[str, ...] = ()
    has_new_classes: bool = False
    vanished: tuple[str, ...] = ()


def show_rounds(project: QuPathProject, facts: Mapping[str, RoundFacts]) -> ListChange:
    """Bring the metadata of images, by id, and the list of classes up to date.

    Raises
    ------
    TargetChangedError, WriteError, BridgeError
        As of `qupath_bridge.project_file.set_metadata`.
    """
    check_may_write(project.file, project.folder)
    last = _remembered(project)
    # Without regions there is nothing to say, and nothing to take back but our own words.
    wanted = {
        key: _words(found)
        for key, found in facts.items()
        if found.status or round_of(project.entry(key)) or last.get(key)
    }
    lost = tuple(key for key in wanted if key in last and last[key] != _shown(project, key))
    changed = set_metadata(project, wanted)
    has_regions = any(found.status for found in facts.values())
    is_new = has_regions and list_region_classes(project)
    with project_lock(project.folder):
        shown = {key: {k: v for k, v in w.items() if v is not None} for key, w in wanted.items()}
        if last | shown != last:
            _remember(project, last | shown)
    vanished = tuple(key for key in facts if _n_regions(last.get(key, {})) > _n_found(facts[key]))
    return ListChange(changed, tuple(key for key in lost if key in changed), is_new, vanished)


def list_region_classes(project: QuPathProject) -> bool:
    """Have the classes of regions in the project's list; whether any was missing.

    To be called before regions are written: a write lists the classes that it uses, and where
    there was no list those of QuPath would vanish from its panel.
    """
    check_may_write(project.file, project.folder)
    with project_lock(project.folder):
        return list_classes(project, REGION_CLASSES)


def round_of(entry: ProjectEntry) -> dict[str, str] | None:
    """What the list says of an image's round, by key; None where it says nothing."""
    found = {key: entry.metadata[key] for key in _KEYS if key in entry.metadata}
    return found if _STATUS in found else None


def _words(facts: RoundFacts) -> dict[str, str | None]:
    if not facts.status:
        return dict.fromkeys(_KEYS)
    return {
        _ROUND: str(facts.round_number) if facts.round_number else None,
        _STATUS: facts.status,
        _TO_DO: str(facts.n_to_annotate),
        _DONE: str(facts.n_done),
        _SKIPPED: str(facts.n_skipped) if facts.n_skipped else None,
        _OBJECTS: str(facts.n_objects),
    }


def _shown(project: QuPathProject, entry_id: str) -> dict[str, str]:
    metadata = project.entry(entry_id).metadata
    return {key: metadata[key] for key in _KEYS if key in metadata}


def _n_regions(words: Mapping[str, str]) -> int:
    """Regions that the list told of; a value that a person typed tells nothing."""
    values = [words.get(key, "") for key in (_TO_DO, _DONE, _SKIPPED)]
    return sum(int(value) for value in values if value.isdecimal())


def _n_found(facts: RoundFacts) -> int:
    return facts.n_to_annotate + facts.n_done + facts.n_skipped


# -- what was written last -----------------------------------------------------------------------


def _memory_file(project: QuPathProject) -> Path:
    return project.folder / OWN_FOLDER / "rounds.json"


def _remembered(project: QuPathProject) -> dict[str, dict[str, str]]:
    """By image id; nothing where there is no such file, or a damaged one: no work hangs on it."""
    with contextlib.suppress(OSError, ValueError):
        words: Any = json.loads(_memory_file(project).read_text(encoding="utf-8"))
        if isinstance(words, dict):
            return {str(k): dict(v) for k, v in words.items() if isinstance(v, dict)}
    return {}


def _remember(project: QuPathProject, shown: Mapping[str, Mapping[str, str]]) -> None:
    path = _memory_file(project)
    work = path.with_name(f".{path.name}.{os.getpid()}.part")
    with contextlib.suppress(OSError):
        make_folder(path.parent)
        work.write_text(json.dumps(shown, indent=1), encoding="utf-8")
        work.replace(path)
