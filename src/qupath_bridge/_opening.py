# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens an image of a project so that its pixels lie under the project's objects."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from napari_histo.core import SlideReader
from napari_histo.errors import BridgeError
from qupath_bridge.images import FoundImage
from qupath_bridge.project_entry import ProjectEntry

__all__ = ["OpenSlide", "open_entry"]


class OpenSlide(Protocol):
    """Opens an image file, as `napari_histo.slides.open_slide` does."""

    def __call__(self, path: Path, *, series: int) -> SlideReader:
        """A reader of image number `series` of the file."""
        ...


def open_entry(entry: ProjectEntry, found: FoundImage, open_slide: OpenSlide) -> SlideReader:
    """See `QuPathProject.open_image`."""
    _refuse_steps(entry)
    reader = open_slide(found.require(), series=entry.builder.series)
    try:
        _check_size(entry, reader)
    except BridgeError:
        reader.close()
        raise
    return reader


def _refuse_steps(entry: ProjectEntry) -> None:
    steps = [f"{step.kind} {dict(step.settings)}" for step in entry.builder.steps]
    rotation = entry.builder.argument("--rotate")
    if rotation not in (None, "ROTATE_NONE"):
        steps.append(f"rotated {rotation}")
    if steps:
        raise BridgeError(
            f"QuPath does not show the file of '{entry.name}' as it is but through: "
            f"{'; '.join(steps)}. Objects of the project would lie elsewhere in the file. Export "
            "the image from QuPath as OME-TIFF, and add that file to the project."
        )


def _check_size(entry: ProjectEntry, reader: SlideReader) -> None:
    """A file of the same name may be another image."""
    wanted, info = entry.builder.shape, reader.info
    if wanted is not None and wanted != (info.height, info.width):
        raise BridgeError(
            f"{info.path or info.name} has {info.width} x {info.height} px, but the project says "
            f"{wanted[1]} x {wanted[0]} px for '{entry.name}'. It is another image, or another "
            "image of the same file: give a rule that leads to the right one."
        )
