# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens an image of a project so that its pixels lie under the project's objects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from napari_histo.core import SlideReader
from napari_histo.errors import BridgeError
from qupath_bridge._builders import Builder
from qupath_bridge._views import view_for
from qupath_bridge.images import FoundImage
from qupath_bridge.project_entry import ProjectEntry

__all__ = ["OpenSlide", "open_entry"]

_View = Callable[[SlideReader], SlideReader]


class OpenSlide(Protocol):
    """Opens an image file, as `napari_histo.slides.open_slide` does."""

    def __call__(self, path: Path, *, series: int) -> SlideReader:
        """A reader of image number `series` of the file."""
        ...


def open_entry(entry: ProjectEntry, found: FoundImage, open_slide: OpenSlide) -> SlideReader:
    """See `QuPathProject.open_image`."""
    views = _views(entry)
    reader = open_slide(found.require(), series=entry.builder.series)
    try:
        for leaf in (b for b in entry.builder.walk() if b.uri):
            _check_size(entry, leaf, reader)
        for view in views:
            reader = view(reader)
        _check_size(entry, entry.builder, reader)
    except BridgeError:
        reader.close()
        raise
    return reader


def _views(entry: ProjectEntry) -> list[_View]:
    """What to lay over the file, in order; refuses what cannot be done here."""
    rotation = entry.builder.argument("--rotate")
    wanted = [Builder("rotated", settings={"rotation": rotation})] if rotation else []
    wanted += entry.builder.steps
    views = [view_for(step) for step in wanted]
    done = [view for view in views if view is not None]
    if len(done) < len(views):
        steps = "; ".join(f"{step.kind} {dict(step.settings)}".strip(" {}") for step in wanted)
        raise BridgeError(
            f"QuPath does not show the file of '{entry.name}' as it is but through: {steps}. Not "
            "all of this can be done here, and objects of the project would lie elsewhere. Export "
            "the image from QuPath as OME-TIFF, and add that file to the project."
        )
    return done


def _check_size(entry: ProjectEntry, builder: Builder, reader: SlideReader) -> None:
    """A file of the same name may be another image."""
    wanted, info = builder.shape, reader.info
    if wanted is not None and wanted != (info.height, info.width):
        raise BridgeError(
            f"{info.path or info.name} has {info.width} x {info.height} px, but the project says "
            f"{wanted[1]} x {wanted[0]} px for '{entry.name}'. It is another image, or another "
            "image of the same file: give a rule that leads to the right one."
        )
