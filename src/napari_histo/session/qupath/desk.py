"""An open document of the Annotate panel, given up while a sync writes its file."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from napari_histo.session.annotate.controller import AnnotationController
from napari_histo.session.annotate.document import Document
from napari_histo.session.annotate.places import left_over_since
from napari_histo.session.annotate.state import Tool
from napari_histo.session.segment.state import ImageChoice

__all__ = ["Borrowed", "has_open", "save_left_over"]


def has_open(desk: AnnotationController | None, file: Path) -> bool:
    """Whether the panel has the objects of `file` open."""
    if desk is None or not desk.state.is_open or desk.state.kept.target is None:
        return False
    return os.path.realpath(desk.state.kept.target) == os.path.realpath(file)


def save_left_over(file: Path, image_name: str, data_folder: Path | None = None) -> None:
    """Bring what an earlier session left unsaved into the file; takes seconds for 100,000 objects.

    Else a sync would change the file under those edits.

    Raises
    ------
    DocumentLockedError
        The file is open in another window.
    HistoError
        The file or its journal cannot be read, or the file not written; nothing is lost.
    """
    if left_over_since(file, image_name, data_folder) is None:
        return
    with Document.open(file, image_name, data_folder=data_folder) as document:
        if document.n_unsaved:
            document.save(document.table)


@dataclass(frozen=True, eq=False)
class Borrowed:
    """What was open, to be taken up again as it was.

    Only for the thread of the session, but for `release`.

    Attributes
    ----------
    desk : AnnotationController
    release : callable
        Saves all edits and lets go of the file; any thread.
    """

    desk: AnnotationController
    release: Callable[[], None]
    file: Path
    image: ImageChoice
    selection: tuple[UUID, ...]
    tool: Tool
    current_class: str | None
    typed_um: float | None

    @classmethod
    def take(cls, desk: AnnotationController, file: Path) -> Borrowed:
        """Close what is open; no edit can be made from now on.

        Raises
        ------
        HistoError
            The edits cannot be saved; all stays open.
        """
        state = desk.state
        assert state.image is not None
        image, chosen, tool = state.image, state.selection, state.tool
        current, typed = state.current_class, state.typed_um
        return cls(desk, desk.hand_over(), file, image, chosen, tool, current, typed)

    def give_back(self) -> None:
        """Open the file again; selection, tool and class are as before."""
        state = self.desk.state

        def on_open(is_open: bool) -> None:
            if not is_open:
                return
            state.events.is_open.disconnect(on_open)
            if state.image is not None and state.image.key == self.image.key:
                self._restore()

        state.events.is_open.connect(on_open)
        self.desk.open(self.image, target=self.file, image_path=self.image.path)

    def _restore(self) -> None:
        state = self.desk.state
        if self.typed_um is not None:
            self.desk.type_pixel_size(self.typed_um)
        self.desk.set_tool(self.tool)
        self.desk.select(self.selection)
        if self.current_class is None or self.current_class in state.classes.names:
            state.current_class = self.current_class
