"""The Active learning panel: where to look next, train, and see whether it got better."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtGui import (  # type: ignore[attr-defined] # qtpy's own name
    QKeySequence,
    QShortcut,
)
from qtpy.QtWidgets import QFileDialog

from napari_histo.core import Box
from napari_histo.core.rounds import QueryStatus
from napari_histo.errors import HistoError
from napari_histo.learning.rounds.alike import ALIKE
from napari_histo.plugin.annotate.start import source_path
from napari_histo.plugin.asking import ask
from napari_histo.plugin.geometry import view_box
from napari_histo.plugin.learning.changes import ChangesView
from napari_histo.plugin.learning.form import LearningForm
from napari_histo.plugin.learning.new import NewProjectDialog
from napari_histo.plugin.learning.view import RegionView
from napari_histo.plugin.project_dock import ProjectDock
from napari_histo.plugin.theme import style_sheet, theme_colour
from napari_histo.plugin.threads import Mailbox
from napari_histo.session.learning.compare import Comparison
from napari_histo.session.learning.controller import LearningController
from napari_histo.session.learning.state import OpenedRegion, RoundRow
from napari_histo.session.learning.work import LearningTools

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["LearningDock"]

_LOOK_MS = 1500


class LearningDock(ProjectDock):
    """Connects the form, the session and the viewer; holds no state of its own.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    tools : LearningTools, optional
        Others, for tests.
    """

    scrolls = True

    def __init__(
        self, napari_viewer: napari.viewer.Viewer, tools: LearningTools | None = None
    ) -> None:
        super().__init__(napari_viewer)
        self.form = LearningForm(self)
        self.view = RegionView(self.viewer)
        self.changes = ChangesView(self.viewer, self)
        self.controller = LearningController(Mailbox(self).post, self._desk, tools)
        self._coming: OpenedRegion | None = None
        self._connect_form()
        self._connect_state()
        self._begin("Active learning", _LOOK_MS, self.form.regions.rows.close)

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
        form.choice.regions.valueChanged.connect(lambda _: form.render_curves(session.state))
        self._connect_options()
        form.round_button.clicked.connect(self._new_round)
        form.train_button.clicked.connect(self._train)
        form.give_up_button.clicked.connect(self._give_up)
        form.cancel_button.clicked.connect(session.cancel)
        form.rounds.itemSelectionChanged.connect(lambda: form.render_use(session.state))
        form.use_button.clicked.connect(self._use_model)
        form.compare.button.clicked.connect(self._compare)
        keys = QShortcut(QKeySequence("Ctrl+Return"), self)
        keys.setContext(Qt.ShortcutContext.WindowShortcut)
        keys.activated.connect(session.next_region)

    def _connect_options(self) -> None:
        options, session = self.form.options, self.controller
        options.encoder_button.clicked.connect(self._ask_for_encoder)
        options.no_encoder.clicked.connect(lambda: session.choose_encoder(None))
        options.merging.currentIndexChanged.connect(
            lambda _: session.set_options(merging=options.merging.currentData())
        )
        options.composed.valueChanged.connect(lambda n: session.set_options(compose=n / 100))

    def _connect_state(self) -> None:
        session = self.controller
        session.state.events.project.connect(self._on_project)
        session.state.events.comparison.connect(self._show_changes)
        session.region_ready.connect(self._show_region)

    def _apply_theme(self) -> None:
        theme, form = self.viewer.theme, self.form
        ground = theme_colour(theme, "foreground")
        views = "QListView, QTableView"
        self.setStyleSheet(f"{style_sheet(theme)} {views} {{ background-color: {ground.name()}; }}")
        form.regions.painter.theme = theme
        for drawing in (form.curves.rounds, form.curves.training):
            drawing.text, drawing.ground = theme_colour(theme, "text"), ground
        self._render_soon()

    def render_state(self) -> None:
        """Show the state, and no widget reports this as a change by the user."""
        self.form.render_state(self.controller.state)

    # -- projects --------------------------------------------------------------------------------

    def _on_project(self, project: Any, before: Any) -> None:
        if before is not None and before.path != project.path:
            self._forget()

    def _forget(self) -> None:
        """Show nothing of the project any more."""
        self._coming = None
        self.view.forget()
        self.changes.forget()

    def _end(self) -> None:
        super()._end()
        self._forget()

    def _ask_and_open(self) -> None:
        project = self.controller.state.project
        start = "" if project is None else str(project.path.parent)
        chosen = QFileDialog.getExistingDirectory(self, "Open a learning project", start)
        if chosen:
            self.controller.open_project(Path(chosen))

    def _ask_and_create(self) -> None:
        dialog = NewProjectDialog(self, self._open_slides())
        if not dialog.exec():
            return
        try:
            self.controller.create_project(*dialog.wanted(), qupath=dialog.qupath)
        except HistoError as error:
            self.controller.fail(error)

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
        found = self.controller.state.comparison
        if found is not None and found.place.image != opened.row.image:
            self.controller.hide_comparison()
        self._later(self.view.let_go(opened.row.image), partial(self._show_coming, opened))

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
        self._come_forward()

    def _seen(self) -> tuple[str, Box] | None:
        """Id of the image that is shown and what is in view of it; else the user is told."""
        shown = self.view.shown
        if shown is None:
            self.controller.state.notice = (
                "Open a region first, and bring into view what you mean: a double click in the "
                "list of regions opens one."
            )
            return None
        image, layer = shown
        try:
            return image, view_box(self.viewer, layer)
        except HistoError as error:
            self.controller.fail(error)
            return None

    # -- rounds ----------------------------------------------------------------------------------

    def _ask_for_encoder(self) -> None:
        known = self.controller.state.encoder
        start = "" if known is None else str(known.folder.parent)
        title = "Folder of an encoder: its weights and encoder.json"
        chosen = QFileDialog.getExistingDirectory(self, title, start)
        if chosen:
            self.controller.choose_encoder(Path(chosen))

    def _new_round(self) -> None:
        state = self.controller.state
        if state.overview.lacks_files:  # what was interrupted goes on as it was asked for
            self.controller.new_round(None)
            return
        wish = self.form.choice.wish
        if wish.strategy == ALIKE:
            seen = self._seen()
            if seen is None:
                return
            wish = replace(wish, like=(self.controller.spot(*seen),))
        self.controller.new_round(wish)

    def _train(self) -> None:
        state = self.controller.state
        left = state.n_waiting if state.is_annotating else 0
        if not left or ask(
            self,
            f"Train without {left} of {len(state.regions)} regions?",
            "They still wait. They are left out, and not asked for again.",
            "Train without them",
        ):
            self.controller.train(partial=left > 0)

    def _give_up(self) -> None:
        number = self.controller.state.overview.number
        if ask(
            self,
            f"Give up round {number}?",
            "What was annotated in it stays in the project's folder, but teaches and judges no "
            "more; its regions may be asked for again. This cannot be taken back.",
            f"Give up round {number}",
        ):
            self.controller.give_up()

    def _use_model(self) -> None:
        state = self.controller.state
        found = self.form.chosen_round(state)
        if found is None:
            return
        is_last = found.number == state.overview.rounds[-1].number
        said = ask(
            self,
            f"Use the model of {found.name} from now on?",
            use_details(found),
            "Use it" if found.is_promoted else "Use it all the same",
            "" if is_last else "Labels of the rounds after it teach no more",
        )
        if said:
            self.controller.use_model(found.number, forget_labels=said.ticked)

    # -- comparing -------------------------------------------------------------------------------

    def _compare(self) -> None:
        session = self.controller
        if session.state.comparison is not None:
            session.hide_comparison()
            return
        seen = self._seen()
        if seen is not None:
            session.compare(*seen, *self.form.compare.wanted)

    def _show_changes(self, found: Comparison | None) -> None:
        shown = self.view.shown
        if found is None or shown is None or shown[0] != found.place.image:
            self.changes.hide()
        else:
            self.changes.show(found, shown[1])


def use_details(found: RoundRow) -> str:
    """What it means to use a model."""
    if found.is_promoted:
        return "Nothing is deleted: the model in use now can be taken again in the same way."
    figures = ""
    if found.pq_new is not None and found.pq_parent is not None:
        figures = f" (PQ {found.pq_new:.3f}, the one before {found.pq_parent:.3f})"
    return (
        f"It was not taken: {found.verdict.split(':')[0]}{figures}. The record will say that you "
        "took it all the same. Nothing is deleted."
    )
