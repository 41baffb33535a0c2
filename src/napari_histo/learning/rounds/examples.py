"""Labelled regions of a project with their images open."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from napari_histo.core import SlideReader
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.rounds.labels import KeptRegion
from napari_histo.learning.training import Example

__all__ = ["OpenExamples"]


class OpenExamples:
    """Opens each image once; the stack closes them."""

    def __init__(self, project: LearningProject, stack: ExitStack) -> None:
        self._project, self._stack = project, stack
        self._readers: dict[str, SlideReader] = {}

    def of(self, kept: Sequence[KeptRegion]) -> list[Example]:
        """In their order."""
        return [self._example(k) for k in kept]

    def _example(self, kept: KeptRegion) -> Example:
        image = self._project.facts.image(kept.labels.image)
        if image.id not in self._readers:
            reader = self._project.open_image(image)
            self._readers[image.id] = self._stack.enter_context(reader)
        return Example(self._readers[image.id], kept.labels, image.pixel_size, image.group)
