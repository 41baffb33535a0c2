"""The Classify panel: classes by examples that are clicked, or by a threshold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog

from napari_histo.plugin.annotate.words import kept_text
from napari_histo.plugin.classify.form import ClassifyForm
from napari_histo.plugin.classify.scene import ClassifyScene
from napari_histo.plugin.objects_dock import ObjectsDock
from napari_histo.plugin.theme import theme_colour
from napari_histo.plugin.threads import Mailbox
from napari_histo.session.classify.controller import ClassifyController
from napari_histo.session.classify.work import ClassifyTools, classifier_folder

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Image

__all__ = ["ClassifyDock"]


class ClassifyDock(ObjectsDock):
    """Connects the form, the session and the viewer; holds no state of its own.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    tools : ClassifyTools, optional
        Others, for tests.
    """

    form: ClassifyForm
    controller: ClassifyController
    scene: ClassifyScene | None
    size_unknown = "The image tells no pixel size: neighbours will not be looked at."
    layer_gone = (
        "A layer of the cells was removed. Your examples are kept: Start takes them up again."
    )
    layer_left = "Another layer is selected. Press a class to go on."

    def __init__(
        self, napari_viewer: napari.viewer.Viewer, tools: ClassifyTools | None = None
    ) -> None:
        super().__init__(napari_viewer)
        self.form = ClassifyForm(self)
        self.controller = ClassifyController(Mailbox(self).post, tools)
        self._connect_thresholds()
        self._begin(self.controller.state, self.controller.classify)

    # -- connections -----------------------------------------------------------------------------

    def _make_actions(self) -> dict[str, Callable[[], None]]:
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
        super()._connect_form()
        form, session, page = self.form, self.controller, self.form.examples_page
        form.ways.currentChanged.connect(lambda tab: session.set_way(form.way_at(tab)))
        form.chips.chosen.connect(self._choose)
        form.stains_box.currentIndexChanged.connect(
            lambda: session.measure(form.stains_box.currentData())
        )
        form.apply_button.clicked.connect(self._apply_or_stop)
        form.undo_button.clicked.connect(session.undo)
        form.save_button.clicked.connect(self.save)
        page.take_button.clicked.connect(session.take_classified)
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

    def _apply_theme(self) -> None:
        super()._apply_theme()
        self.form.threshold_page.chart.text = theme_colour(self.viewer.theme, "text")

    def _make_scene(self, image: Image) -> ClassifyScene:
        return ClassifyScene(self.viewer, image, self.controller)

    # -- working ---------------------------------------------------------------------------------

    def _apply_or_stop(self) -> None:
        if self.controller.classify.giving is None:
            self.controller.apply()
        else:
            self.controller.stop_applying()

    def _choose(self, name: str) -> None:
        self._activate()
        self.controller.choose(name)

    def _toggle_review(self) -> None:
        self._activate()
        super()._toggle_review()

    # -- files -----------------------------------------------------------------------------------

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

    # -- showing the state -----------------------------------------------------------------------

    def render_state(self) -> None:
        """Show the state, and no widget reports this as a change by the user."""
        state, known, form = self.controller.state, self.controller.classify, self.form
        form.show_message(*self._message())
        if self.scene is None or state.image is None:
            form.show_open(None)
            return
        info = state.image.reader.info
        form.show_open(info.name, info.name)
        form.render_state(state, known, classes=self.controller.teachable, is_rgb=info.is_rgb)
        form.review.show_walk(self._review_words())
        form.kept.setText(kept_text(state))
        form.kept.setToolTip(str(state.kept.target or ""))
        self.scene.show_marks()
