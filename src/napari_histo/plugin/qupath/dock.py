"""The QuPath panel: a project's images, opened and kept in step with QuPath."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QFileDialog

from napari_histo.core import ClassScheme
from napari_histo.errors import HistoError
from napari_histo.plugin.parts import show_choices
from napari_histo.plugin.project_dock import ProjectDock
from napari_histo.plugin.qupath.form import QuPathForm
from napari_histo.plugin.qupath.opening import ProjectView
from napari_histo.plugin.theme import style_sheet, theme_colour
from napari_histo.plugin.threads import Mailbox
from napari_histo.session.qupath.controller import QuPathController
from napari_histo.session.qupath.exchange import is_exchange
from napari_histo.session.qupath.memory import Memory
from napari_histo.session.qupath.state import ImageRow, OpenedSlide, Preview
from napari_histo.session.qupath.work import QuPathTools
from qupath_bridge.sync import Conflict

if TYPE_CHECKING:
    import napari.viewer

    from qupath_bridge.project import QuPathProject

__all__ = ["QuPathDock"]

_FILTER = "QuPath project, or exchange folder (*.qpproj exchange.json)"
_LOOK_MS = 3000
_AGAIN_MS = 20


class QuPathDock(ProjectDock):
    """Connects the form, the session and the viewer; holds no state of its own.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    tools : QuPathTools, optional
        Others, for tests.
    memory : Memory, optional
        Another one, for tests.
    """

    def __init__(
        self,
        napari_viewer: napari.viewer.Viewer,
        tools: QuPathTools | None = None,
        memory: Memory | None = None,
    ) -> None:
        super().__init__(napari_viewer)
        self.form = QuPathForm(self)
        self.view = ProjectView(self.viewer)
        self.controller = QuPathController(Mailbox(self).post, self._desk, tools, memory)
        self._missing: str | None = None
        self._coming: OpenedSlide | None = None
        self._is_showing = False
        self._objects_of: ImageRow | None = None
        self._connect_form()
        self._connect_state()
        self._show_recent()
        self._begin("QuPath", _LOOK_MS, self.form.browse.images.rows.close)

    # -- connections -----------------------------------------------------------------------------

    def _connect_form(self) -> None:
        form, session = self.form, self.controller
        form.open_button.clicked.connect(self._ask_and_open)
        form.project_box.activated.connect(self._open_recent)
        browse, preview = form.browse, form.preview
        browse.filter.textChanged.connect(browse.images.filter_by)
        browse.images.chosen.connect(session.choose)
        browse.images.opened.connect(session.open_image)
        for name, button in browse.buttons.items():
            button.clicked.connect(partial(self._compare, name))
        browse.undo_button.clicked.connect(session.undo)
        browse.note.button.clicked.connect(self._pull_opened)
        form.progress.cancel_button.clicked.connect(session.cancel)
        preview.conflicts.looked_at.connect(self._look_at)
        for policy, button in preview.keep.items():
            button.clicked.connect(partial(self._answer, policy))
        preview.write_button.clicked.connect(session.write)
        preview.back_button.clicked.connect(session.discard)

    def _connect_state(self) -> None:
        session = self.controller
        events = session.state.events
        events.preview.connect(self._on_preview)
        events.project.connect(self._on_project)
        events.is_listing.connect(self._go_on_opening)
        session.slide_ready.connect(self._show_slide)
        session.objects_ready.connect(self._show_objects)
        session.image_missing.connect(self._ask_where)

    def _apply_theme(self) -> None:
        theme = self.viewer.theme
        ground = theme_colour(theme, "foreground").name()
        self.setStyleSheet(f"{style_sheet(theme)} QListView {{ background-color: {ground}; }}")
        self.form.preview.conflicts.painter.theme = theme
        self._render_soon()

    def render_state(self) -> None:
        """Show the state, and no widget reports this as a change by the user."""
        state = self.controller.state
        self.form.browse.images.show_opened(state.opened, self.viewer.theme)
        self.form.render_state(state)

    # -- projects --------------------------------------------------------------------------------

    def _on_project(self, project: QuPathProject, before: QuPathProject | None) -> None:
        self._show_recent()
        if before is not None and before.file != project.file:
            self._coming = self._objects_of = None
            self.view.forget()

    @property
    def _project_file(self) -> Path | None:
        project = self.controller.state.project
        return None if project is None else project.file

    def _show_recent(self) -> None:
        box, project = self.form.project_box, self.controller.state.project
        recent = self.controller.memory.recent
        items: list[tuple[str, object]] = [(_title(file), file) for file in recent]
        if project is None:
            items.insert(0, ("Choose a project" if recent else "No project yet", None))
        show_choices(box, items)
        box.setCurrentIndex(0)  # the latest
        box.setToolTip("" if project is None else str(project.file))

    def _open_recent(self) -> None:
        chosen: Path | None = self.form.project_box.currentData()
        project = self.controller.state.project
        if chosen is not None and (project is None or project.file.absolute() != chosen):
            self.controller.open_project(chosen)

    def _ask_and_open(self) -> None:
        project = self.controller.state.project
        start = "" if project is None else str(project.folder.parent)
        chosen, _ = QFileDialog.getOpenFileName(self, "Open a QuPath project", start, _FILTER)
        if chosen:
            self.controller.open_project(Path(chosen))

    # -- images ----------------------------------------------------------------------------------

    def _show_slide(self, slide: OpenedSlide) -> None:
        self._coming, self._objects_of = slide, None
        self._later(self.view.let_go(slide.row.key), partial(self._show_coming, slide))

    def _show_coming(self, slide: OpenedSlide) -> None:
        if slide is not self._coming:  # the user chose another one meanwhile
            slide.reader.close()
            return
        if self._is_showing:  # this came from within `show`, below
            self._later(_AGAIN_MS, partial(self._show_coming, slide))
            return
        self._is_showing, file = True, self._project_file
        try:
            self.view.show(slide)  # which lets Qt's events run
        except HistoError as error:
            self.controller.fail(error)
        finally:
            self._is_showing = False
        if self._project_file != file:
            self.view.forget()
        if slide is not self._coming:
            return
        self._coming = None
        if self._objects_of is not None:
            self._show_objects(self._objects_of)

    def _show_objects(self, row: ImageRow) -> None:
        if self._coming is not None:
            self._objects_of = row
            return
        project = self.controller.state.project
        try:
            classes = ClassScheme() if project is None else project.classes
            self.view.annotate(row, classes)
        except HistoError as error:
            self.controller.fail(error)
        self._come_forward()

    def _ask_where(self, row: ImageRow) -> None:
        """The image's file is not where the project says: let the user show it."""
        name = Path(row.image.uri).name or row.entry.name
        title = f"Where is {row.entry.name} now?"
        chosen, _ = QFileDialog.getOpenFileName(
            self, title, "", f"{row.entry.name} (*{_suffix(name)})"
        )
        if chosen:
            self._missing = row.key
            self.controller.move_folder(row, Path(chosen))

    def _go_on_opening(self, is_listing: bool) -> None:
        """With the image that the user has just shown."""
        key, state = self._missing, self.controller.state
        if is_listing or key is None:
            return
        self._missing, row = None, state.row(key)
        if row is None or row.image.path is None:
            name = "" if row is None else row.entry.name
            self.controller.fail(
                HistoError(f"The file that you chose is not {name}. Choose the file of that name.")
            )
            return
        self.controller.open_image(key)

    # -- pull, push, sync ------------------------------------------------------------------------

    def _compare(self, direction: Any) -> None:
        self.controller.compare(direction)

    def _pull_opened(self) -> None:
        self.controller.choose(self.controller.state.opened)
        self.controller.compare("pull")

    def _answer(self, policy: Any) -> None:
        preview = self.form.preview
        if preview.all_box.isChecked():
            ids = preview.conflicts.conflicts.ids()
            preview.all_box.setChecked(False)
        else:
            ids = preview.conflicts.selected_ids()
        self.controller.answer(ids, policy)
        if not ids:
            self.controller.state.notice = "Mark rows of the list first, or tick “for all”."

    def _look_at(self, conflict: Conflict) -> None:
        preview = self.controller.state.preview
        if preview is not None and not self.view.look_at(preview.row.key, conflict):
            self.controller.state.notice = "Open the image (Back, double click) to see the place."

    def _on_preview(self, preview: Preview | None) -> None:
        if preview is None:
            self.view.show_theirs(None)


def _title(file: Path) -> str:
    """Projects are most often named by their folder."""
    if is_exchange(file):
        return f"{file.parent.parent.name} · {file.parent.name}"
    return file.parent.name if file.name == "project.qpproj" else file.stem


def _suffix(name: str) -> str:
    return Path(name).suffix
