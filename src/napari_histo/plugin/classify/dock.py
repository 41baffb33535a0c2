"""The Classify panel: classes by examples that are clicked, or by a threshold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from napari_histo.core import ClassScheme
from napari_histo.plugin.annotate.chips import free_colour
from napari_histo.plugin.annotate.keys import Keys
from napari_histo.plugin.annotate.start import Beginning
from napari_histo.plugin.annotate.words import kept_text, review_text
from napari_histo.plugin.classify.form import ClassifyForm
from napari_histo.plugin.classify.scene import ClassifyScene
from napari_histo.plugin.desk_files import ask_and_import_classes, ask_and_save, notify
from napari_histo.plugin.leaving import Leaving
from napari_histo.plugin.settings import AnnotateSettings
from napari_histo.plugin.start_choice import StartChoice
from napari_histo.plugin.theme import style_sheet, theme_colour
from napari_histo.plugin.threads import AtEnd, Mailbox
from napari_histo.session.classify.controller import ClassifyController
from napari_histo.session.classify.work import ClassifyTools, classifier_folder

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["ClassifyDock"]

_SIZE_UNKNOWN = "The image tells no pixel size: neighbours will not be looked at."


class ClassifyDock(QWidget):
    """Connects the form, the session and the viewer; holds no state of its own.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    tools : ClassifyTools, optional
        Others, for tests.
    """

    def __init__(
        self, napari_viewer: napari.viewer.Viewer, tools: ClassifyTools | None = None
    ) -> None:
        super().__init__()
        # napari hands plugins a wrapper that warns of each private access, four times an edit.
        self.viewer: Any = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.form = ClassifyForm(self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.form)
        self.controller = ClassifyController(Mailbox(self).post, tools)
        self.settings = AnnotateSettings.load()
        self.keys = Keys(self.settings.keys)
        self.scene: ClassifyScene | None = None
        self.choice = StartChoice(
            self.viewer,
            self.form.start,
            lambda: ClassScheme.of(*self.settings.class_names),
            size_unknown=_SIZE_UNKNOWN,
        )
        self._begun_with: Beginning | None = None
        self._leaving = Leaving(self, self.viewer)
        self._rendering = QTimer(self)
        self._rendering.setSingleShot(True)
        self._rendering.timeout.connect(self.render_state)
        self.form.set_keys(self.keys)
        self._connect_form()
        self._connect_thresholds()
        self._connect_viewer()
        self.choice.refresh()
        self.render_state()

    def event(self, event: QEvent | None) -> bool:
        """End the session where the panel is closed: napari then takes it away, and keeps it."""
        if event is not None and event.type() == QEvent.Type.ParentChange and not self.parent():
            self.controller.close()
        return super().event(event)

    # -- connections -----------------------------------------------------------------------------

    def _actions(self) -> dict[str, Callable[[], None]]:
        """What keys do, by the names of the Annotate panel's commands."""
        session = self.controller
        return {
            "undo": session.undo,
            "redo": session.redo,
            "done": session.review_stop,
            "review": self._toggle_review,
            "next": session.review_next,
            "previous": session.review_previous,
            "accept": session.accept,
        }

    def _connect_form(self) -> None:
        form, session, page = self.form, self.controller, self.form.examples_page
        form.start.start_button.clicked.connect(self.start)
        form.start.segment_button.clicked.connect(self._open_segment_panel)
        form.close_button.clicked.connect(session.close)
        form.ways.currentChanged.connect(lambda tab: session.set_way(form.way_at(tab)))
        form.chips.chosen.connect(self._choose)
        form.chips.added.connect(self._add_class)
        form.chips.renamed.connect(session.rename_class)
        form.chips.recoloured.connect(session.recolour_class)
        form.chips.import_wanted.connect(self._ask_and_import_classes)
        form.fill_box.currentIndexChanged.connect(self._show_view)
        form.stains_box.currentIndexChanged.connect(
            lambda: session.measure(form.stains_box.currentData())
        )
        form.apply_button.clicked.connect(lambda: session.apply())
        form.undo_button.clicked.connect(session.undo)
        form.save_button.clicked.connect(self.save)
        page.take_button.clicked.connect(session.take_classified)
        page.review.start_button.clicked.connect(self._toggle_review)
        for name in ("previous", "next", "accept"):
            page.review.buttons[name].clicked.connect(self._actions()[name])
        for action, do in (
            (page.load_action, self._ask_and_load),
            (page.save_action, self._ask_and_save_classifier),
            (page.forget_action, session.forget_loaded),
        ):
            if action is not None:
                action.triggered.connect(do)

    def _connect_thresholds(self) -> None:
        page, session = self.form.threshold_page, self.controller
        page.measurement_chosen.connect(session.set_measurement)
        page.levels_chosen.connect(session.suggest)
        page.moved.connect(session.set_threshold)

    def _connect_viewer(self) -> None:
        state, known = self.controller.state.events, self.controller.classify.events
        for events in (state, known):
            events.connect(self._render_soon)
        state.is_open.connect(self._on_open)
        state.error.connect(notify)
        state.review.connect(self._look_at_review)
        layers = self.viewer.layers.events
        wires: list[tuple[Any, Any]] = [
            (layers.inserted, self._refresh_images),
            (layers.removed, self._on_removed),
            (layers.reordered, self._refresh_images),
            (layers.renamed, self._refresh_images),
            (self.viewer.layers.selection.events.active, self._render_soon),
            (self.viewer.events.theme, self._apply_theme),
        ]
        for event, slot in wires:
            event.connect(slot)
        self._apply_theme()
        controller = self.controller

        def on_destroyed() -> None:
            state.disconnect()
            known.disconnect()
            controller.close()
            for event, slot in wires:
                event.disconnect(slot)

        self.destroyed.connect(AtEnd(on_destroyed))

    def _apply_theme(self) -> None:
        theme = self.viewer.theme
        self.setStyleSheet(style_sheet(theme))
        text, quiet = theme_colour(theme, "text"), theme_colour(theme, "secondary")
        self.form.set_colours(text.name(), quiet.name())
        self.form.threshold_page.chart.text = text

    # -- starting --------------------------------------------------------------------------------

    def _refresh_images(self) -> None:
        if self.scene is None:  # nobody chooses while an image is classified
            self.choice.refresh()

    def start(self) -> None:
        """Open the chosen image and objects; `state.is_open` tells when they are there."""
        self._begun_with = self.choice.begin(self.controller) or self._begun_with

    def _on_open(self, is_open: bool) -> None:
        self._close_scene()
        choice = self.controller.state.image
        image = None if choice is None else self.choice.image_of(choice.key)
        if is_open and image is not None:
            self.choice.hide_layer(self._begun_with)
            self.scene = ClassifyScene(self.viewer, image, self.controller)
            self.scene.bind(self.keys, self._actions())
            self._show_view()
        self._refresh_images()

    def _close_scene(self) -> None:
        scene, self.scene = self.scene, None
        if scene is not None:
            scene.close(keeps_objects=True)
            self._leaving.add(scene.layer)
            self._leaving.add(scene.marks.layer)

    def _on_removed(self, event: Any) -> None:
        if self.scene is not None and event.value.unique_id in self.scene.layer_keys:
            self.controller.close()
            self.controller.state.notice = (
                "A layer of the cells was removed. Your examples are kept: Start takes them up "
                "again."
            )
        self._refresh_images()

    def _open_segment_panel(self) -> None:
        self.viewer.window.add_plugin_dock_widget("napari-histo", "Segment nuclei", tabify=True)

    # -- working ---------------------------------------------------------------------------------

    def _choose(self, name: str) -> None:
        if self.scene is not None:
            self.scene.activate()
        self.controller.choose(name)

    def _add_class(self, name: str) -> None:
        self.controller.add_class(name, free_colour(name, self.controller.state.classes))

    def _toggle_review(self) -> None:
        if self.scene is not None:
            self.scene.activate()
        if self.controller.state.review is None:
            self.controller.review_start()
        else:
            self.controller.review_stop()
        self._render_soon()  # the button changed by itself

    def _look_at_review(self, review: Any) -> None:
        if review is not None and self.scene is not None:
            self.scene.look_at(review.box)

    def _show_view(self) -> None:
        if self.scene is not None:
            width = 0 if self.form.fill_box.currentData() else self.settings.outline_width
            self.scene.show_objects("class", width)

    # -- files -----------------------------------------------------------------------------------

    def save(self) -> None:
        """Write the objects to their file; ask for one where there is none."""
        if self.controller.state.kept.target is None:
            ask_and_save(self, self.controller)
        else:
            self.controller.save()

    def _ask_and_load(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Folder of a classifier")
        if path:
            self.controller.load_classifier(Path(path))

    def _ask_and_save_classifier(self) -> None:
        target = self.controller.state.kept.target
        proposed = Path.cwd() / "classifier" if target is None else classifier_folder(target)
        path, _ = QFileDialog.getSaveFileName(self, "Folder for the classifier", str(proposed))
        if path:
            self.controller.save_classifier(Path(path))

    def _ask_and_import_classes(self) -> None:
        ask_and_import_classes(self, self.controller)

    # -- showing the state -----------------------------------------------------------------------

    def _render_soon(self, *_: Any) -> None:
        """Once for all that changed together."""
        if not self._rendering.isActive():
            self._rendering.start(0)

    def render_state(self) -> None:
        """Show the state, and no widget reports this as a change by the user."""
        state, known, form = self.controller.state, self.controller.classify, self.form
        image = state.image
        is_open = self.scene is not None and image is not None
        form.show_open(image.reader.info.name if is_open and image is not None else None)
        self._render_message()
        if not is_open or image is None or self.scene is None:
            return
        is_rgb = image.reader.info.is_rgb
        form.render_state(state, known, classes=self.controller.teachable, is_rgb=is_rgb)
        form.examples_page.review.show_walk(self._review_words())
        form.kept.setText(kept_text(state))
        form.kept.setToolTip(str(state.kept.target or ""))
        self.scene.show_marks()

    def _render_message(self) -> None:
        state = self.controller.state
        if state.error:
            self.form.show_message(state.error, "error")
        elif state.notice:
            self.form.show_message(state.notice)
        elif self.scene is not None and not self.scene.mouse.is_active:
            self.form.show_message("Another layer is selected. Press a class to go on.", "warning")
        else:
            self.form.show_message("")

    def _review_words(self) -> str | None:
        review = self.controller.state.review
        if review is None or self.scene is None:
            return None
        known = review.object_id in self.controller.objects
        facts = self.scene.facts_of(review.object_id) if known else ""
        return review_text(review.position, review.total, facts)
