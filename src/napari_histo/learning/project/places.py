"""Where a project's images lie when it or they were moved, and where else its rounds are done."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from napari_histo.errors import ImageError, LearningError
from napari_histo.learning.project.facts import ProjectImage
from napari_histo.learning.rounds.files import FORMAT_VERSION, read_json, write_json

__all__ = [
    "find_image",
    "link_qupath",
    "linked_qupath",
    "local_facts",
    "look_in",
    "relative_path",
    "remember",
]

_LOCAL = "local.json"


def relative_path(image: Path, project: Path) -> str | None:
    """Way from a project's folder to an image, with ``/``; None where there is none."""
    # The image's own name is kept: a link may stand for a file of another name.
    there = Path(os.path.realpath(image.parent)) / image.name
    try:
        way = os.path.relpath(there, os.path.realpath(project))
    except ValueError:  # another drive
        return None
    return Path(way).as_posix()


def find_image(project: Path, image: ProjectImage) -> Path:
    """Path of an image on this machine.

    It is looked for where it was when seen from the project, then in the folders that `look_in`
    named, under as many of its last folders as fit.

    Raises
    ------
    ImageError
        It is nowhere.
    """
    real = Path(os.path.realpath(project))
    first = Path(os.path.normpath(real / image.path))
    if first.exists():
        return first
    for folder in _folders(project):
        for tail in _tails(image.path):
            if (folder / tail).exists():
                return folder / tail
    raise ImageError(
        f"The image {image.name} is not at {first}. Where the images were moved, say where they "
        "are now: napari-histo learn status --images FOLDER."
    )


def look_in(project: Path, folders: Iterable[Path]) -> None:
    """Remember folders of images on this machine, the newest first."""
    known = _folders(project)
    fresh = [f.absolute() for f in folders]
    listed = dict.fromkeys([*map(str, fresh), *map(str, known)])
    remember(project, folders=list(listed))


def linked_qupath(project: Path) -> Path | None:
    """QuPath project, or exchange folder, where rounds are annotated too; None for none.

    It may have been moved or deleted since.
    """
    text = local_facts(project).get("qupath")
    if not isinstance(text, str):
        return None
    return Path(os.path.normpath(Path(os.path.realpath(project)) / text))


def link_qupath(project: Path, place: Path) -> None:
    """Remember where rounds are annotated too, so that both may be moved together."""
    place = place.expanduser()
    remember(project, qupath=relative_path(place, project) or str(place.absolute()))


def _folders(project: Path) -> list[Path]:
    try:
        return [Path(text) for text in local_facts(project)["folders"]]
    except (KeyError, TypeError):
        return []


def local_facts(project: Path) -> dict[str, Any]:
    """What is known of this machine; nothing where the file is missing or damaged."""
    try:
        return read_json(project / _LOCAL)
    except LearningError:
        return {}


def remember(project: Path, **what: Any) -> None:
    """Keep something of this machine; what else is known stays.

    Raises
    ------
    WriteError
    """
    words = {**local_facts(project), **what, "format_version": FORMAT_VERSION}
    write_json(project / _LOCAL, words)


def _tails(path: str) -> Iterator[str]:
    """``a/b/c.tif``, ``b/c.tif``, ``c.tif``."""
    parts = [part for part in PurePosixPath(path).parts if part != ".."]
    for first in range(len(parts)):
        yield "/".join(parts[first:])
