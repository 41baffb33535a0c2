"""The Active learning panel: where to look next, train, and see whether it got better."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtGui import (  # type: ignore[attr-defined] # qtpy's own name
    QKeySequence,
    QShortcut,
)
from qtpy.QtWidgets import (
    QDockWidget,
    QFileDialog,
    QMessageBox,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_histo.core.rounds import QueryStatus
from napari_histo.errors import HistoError
from napari_histo.plugin.activity import Activity
from napari_histo.plugin.annotate_start import source_path
from napari_histo.plugin.learning_form import LearningForm
from napari_histo.plugin.learning_new import NewProjectDialog
from napari_histo.plugin.learning_view import RegionView
from napari_histo.plugin.qupath_opening import annotate_dock
from napari_histo.plugin.theme import style_sheet, theme_colour
from napari_histo.plugin.threads import AtEnd, Mailbox
from napari_histo.session import AnnotationController
from napari_histo.session.learning import LearningController
from napari_histo.session.learning_state import OpenedRegion
from napari_histo.session.learning_work import LearningTools

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["LearningDock"]

_LOOK_MS = 1500


class LearningDock(QWidget):
    """Connects the form, the session and the viewer; holds no state of its own.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    tools : LearningTools, optional
        Others, for tests.
    """

    def __init__(
        self, napari_viewer: napari.viewer.Viewer, tools: LearningTools | None = None
    ) -> None:
        super().__init__()
        # napari hands plugins a wrapper that refuses what it takes for private.
        self.viewer: Any = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.form = LearningForm(self)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.form)
        self.view = RegionView(self.viewer)
        self.controller = LearningController(Mailbox(self).post, self._desk, tools)
        self._activity = Activity("Active learning")
        self._coming: OpenedRegion | None = None
        self._rendering = QTimer(self)
        self._rendering.setSingleShot(True)
        self._rendering.timeout.connect(self.render_state)
        self._watch = QTimer(self)
        self._watch.setInterval(_LOOK_MS)
        self._watch.timeout.connect(self._look)
        self._connect_form()
        self._connect_state()
        self._apply_theme()
        self.render_state()
        self._watch.start()

    def event(self, event: QEvent | None) -> bool:
        """End the session where the panel is closed: napari then takes it away, and keeps it."""
        if event is not None and event.type() == QEvent.Type.ParentChange and not self.parent():
            self._watch.stop()
            self.controller.close()
            self._activity.close()
        return super().event(event)

    def _desk(self) -> AnnotationController | None:
        dock = annotate_dock(self.viewer)
        return None if dock is None else dock.controller

    # -- connections -----------------------------------------------------------------------------

    def _connect_form(self) -> None:
        form, session = self.form, self.controller
        form.new_button.clicked.connect(self._ask_and_create)
        form.open_button.clicked.connect(self._ask_and_open)
        form.regions.chosen.connect(session.choose)
        form.regions.opened.connect(session.open_region)
        form.next_button.clicked.connect(session.next_region)
        form.done_button.clicked.connect(self._toggle_done)
        form.skip_button.clicked.connect(lambda: self._mark(QueryStatus.SKIPPED))
        form.round_button.clicked.connect(lambda: session.new_round())
        form.train_button.clicked.connect(self._train)
        form.cancel_button.clicked.connect(session.cancel)
        form.rounds.itemSelectionChanged.connect(lambda: form.render_back(session.state))
        form.back_button.clicked.connect(self._roll_back)
        keys = QShortcut(QKeySequence("Ctrl+Return"), self)
        keys.setContext(Qt.ShortcutContext.WindowShortcut)
        keys.activated.connect(session.next_region)

    def _connect_state(self) -> None:
        session, activity = self.controller, self._activity
        events = session.state.events
        events.connect(self._render_soon)
        events.progress.connect(activity.show)
        events.project.connect(self._on_project)
        session.region_ready.connect(self._show_region)
        theme = self.viewer.events.theme
        theme.connect(self._apply_theme)
        rows = self.form.regions.rows

        def on_destroyed() -> None:
            events.disconnect()
            session.close()
            activity.close()
            rows.close()
            theme.disconnect(self._apply_theme)

        self.destroyed.connect(AtEnd(on_destroyed))

    def _apply_theme(self) -> None:
        theme, form = self.viewer.theme, self.form
        ground = theme_colour(theme, "foreground")
        views = "QListView, QTableView"
        self.setStyleSheet(f"{style_sheet(theme)} {views} {{ background-color: {ground.name()}; }}")
        form.regions.painter.theme = theme
        form.curve.text, form.curve.ground = theme_colour(theme, "text"), ground
        self._render_soon()

    def _render_soon(self, *_: Any) -> None:
        """Once for all that changed together."""
        if not self._rendering.isActive():
            self._rendering.start(0)

    def render_state(self) -> None:
        """Show the state, and no widget reports this as a change by the user."""
        self.form.render_state(self.controller.state)

    def _look(self) -> None:
        if self.isVisible():
            self.controller.look()

    # -- projects --------------------------------------------------------------------------------

    def _on_project(self, project: Any, before: Any) -> None:
        if before is not None and before.path != project.path:
            self.view.forget()

    def _ask_and_open(self) -> None:
        project = self.controller.state.project
        start = "" if project is None else str(project.path.parent)
        chosen = QFileDialog.getExistingDirectory(self, "Open a learning project", start)
        if chosen:
            self.controller.open_project(Path(chosen))

    def _ask_and_create(self) -> None:
        dialog = NewProjectDialog(self, self._open_slides())
        if dialog.exec():
            self.controller.create_project(*dialog.wanted())

    def _open_slides(self) -> list[Path]:
        from napari.layers import Image

        images = [layer for layer in self.viewer.layers if isinstance(layer, Image)]
        paths = [source_path(layer) for layer in images]
        return list(dict.fromkeys(path for path in paths if path is not None))

    # -- regions ---------------------------------------------------------------------------------

    def _toggle_done(self) -> None:
        row = self.controller.state.chosen_row
        if row is not None and row.status is QueryStatus.DONE:
            self.controller.mark(QueryStatus.TO_ANNOTATE)
        else:
            self._mark(QueryStatus.DONE)

    def _mark(self, status: QueryStatus) -> None:
        self.controller.mark(status)
        self.controller.next_region()

    def _show_region(self, opened: OpenedRegion) -> None:
        self._coming = opened
        QTimer.singleShot(self.view.let_go(opened.row.image), lambda: self._show_coming(opened))

    def _show_coming(self, opened: OpenedRegion) -> None:
        if opened is not self._coming:  # the user chose another one meanwhile
            opened.reader.close()
            return
        self._coming = None
        try:
            image = self.view.show(opened)
            self.view.annotate(image, opened)
        except HistoError as error:
            self.controller.fail(error)
        place = self.parent()
        if isinstance(place, QDockWidget):
            place.raise_()  # the Annotate panel, where it is new, lies over this one

    # -- rounds ----------------------------------------------------------------------------------

    def _train(self) -> None:
        state = self.controller.state
        left = state.n_waiting if state.is_annotating else 0
        if left and not self._sure(
            f"{left} of {len(state.regions)} regions still wait. Train without them? They are not "
            "asked for again."
        ):
            return
        self.controller.train(partial=left > 0)

    def _roll_back(self) -> None:
        to = self.form.rounds.chosen
        if to is not None:
            self.controller.roll_back(to)

    def _sure(self, question: str) -> bool:
        yes = QMessageBox.StandardButton.Yes
        no = QMessageBox.StandardButton.Cancel
        return bool(QMessageBox.question(self, "Active learning", question, yes | no) == yes)
