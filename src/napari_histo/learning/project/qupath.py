"""Images of a learning project that a QuPath project names."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from napari_histo.core import SlideReader
from napari_histo.errors import ImageError, LearningError
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.project.making import NewImage
from napari_histo.slides import open_slide

__all__ = ["QuPathImages", "images_of_qupath", "is_qupath"]


class QuPathImages(Protocol):
    """A QuPath project, as `qupath_bridge.project.open_project` gives it."""

    @property
    def entries(self) -> Sequence[Any]: ...

    def find_image(self, entry: Any, /) -> Any: ...

    def open_image(self, entry: Any, opener: Callable[..., Any], /) -> SlideReader: ...


def is_qupath(path: Path) -> bool:
    """Whether a path names a QuPath project: its file, or the folder that holds one."""
    return path.suffix == ".qpproj" or (path.is_dir() and any(path.glob("*.qpproj")))


def images_of_qupath(
    there: QuPathImages, project: LearningProject | None = None
) -> tuple[list[NewImage], list[str]]:
    """Images of a QuPath project, under the names and with the pixel sizes that they have there.

    Parameters
    ----------
    there : QuPathImages
    project : LearningProject, optional
        Whose own images are left out.

    Returns
    -------
    images, notes
        What was left out, for people.

    Raises
    ------
    BridgeError, ImageError
        An image cannot be read.
    LearningError
        QuPath shows an image turned or cropped: its objects would lie elsewhere here.
    """
    known = set() if project is None else _known(project)
    found: dict[tuple[Path, int], NewImage] = {}
    notes = []
    for entry in there.entries:
        file, series = there.find_image(entry).require(), entry.builder.series
        if (os.path.realpath(file), series) in known:
            continue
        _check_plain(entry)
        there.open_image(entry, open_slide).close()
        size = entry.builder.pixel_size
        image = NewImage(file, name=entry.name, series=series, pixel_size=size)
        first = found.setdefault((file, series), image)
        if first is not image:  # QuPath's "Duplicate image"
            notes.append(f"{entry.name} is left out, for it is {first.name}.")
    return list(found.values()), notes


def _known(project: LearningProject) -> set[tuple[str, int]]:
    """File and number in it of the images that a project has and that are found."""
    found = set()
    for image in project.facts.images:
        with suppress(ImageError):
            found.add((os.path.realpath(project.image_path(image)), image.series))
    return found


def _check_plain(entry: Any) -> None:
    if entry.builder.steps or entry.builder.argument("--rotate"):
        raise LearningError(
            f"QuPath shows the image {entry.name!r} turned or cropped, and learning reads its file "
            "as it is. Export the image from QuPath as OME-TIFF and add that file, or remove the "
            "image from the QuPath project."
        )
