"""Where a project's images lie, when the project or they were moved."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from napari_histo.errors import ImageError, LearningError
from napari_histo.learning.project.facts import ProjectImage
from napari_histo.learning.rounds.files import FORMAT_VERSION, read_json, write_json

__all__ = ["find_image", "look_in", "relative_path"]

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
    content = {"format_version": FORMAT_VERSION, "folders": list(listed)}
    write_json(project / _LOCAL, content)


def _folders(project: Path) -> list[Path]:
    try:
        return [Path(text) for text in read_json(project / _LOCAL)["folders"]]
    except (LearningError, KeyError, TypeError):
        return []


def _tails(path: str) -> Iterator[str]:
    """``a/b/c.tif``, ``b/c.tif``, ``c.tif``."""
    parts = [part for part in PurePosixPath(path).parts if part != ".."]
    for first in range(len(parts)):
        yield "/".join(parts[first:])
