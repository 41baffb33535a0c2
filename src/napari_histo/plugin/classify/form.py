"""What the Classify panel looks like: its parts, from top to bottom."""

from __future__ import annotations

from qtpy.QtWidgets import QLabel, QMenu, QPushButton, QTabBar, QWidget

from napari_histo.core import ClassScheme
from napari_histo.plugin.classify.thresholds import ThresholdPanel
from napari_histo.plugin.classify.words import (
    apply_text,
    examples_text,
    found_text,
    hint,
    quality_text,
    quality_tip,
)
from napari_histo.plugin.objects_form import ObjectsForm, ReviewBar
from napari_histo.plugin.parts import column, combo, form_grid, push_button, row, small_label
from napari_histo.session import AnnotationState
from napari_histo.session.classify.state import ClassifyState, Stains, Way

__all__ = ["ClassifyForm"]

_WIDTH_PX = 340
_WAYS = {Way.EXAMPLES: "By examples", Way.THRESHOLD: "By threshold"}
_STAINS = {Stains.AUTO: "automatic", Stains.HE: "H&E", Stains.HDAB: "H-DAB"}


class ClassifyForm(ObjectsForm):
    """The parts, as attributes; first only `start` is seen, then only the others.

    Parameters
    ----------
    parent : QWidget, optional
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, width_px=_WIDTH_PX)
        self.start.start_button.setText("Start classifying")
        self.start.image_box.setToolTip("Image whose cells are to be told apart.")
        self.start.objects_box.setToolTip("The cells.")
        self.close_button.setToolTip("Stop classifying this image. Nothing is lost.")
        self.fill_box.setToolTip("How objects are drawn. Examples have bold outlines.")
        self.examples_page = ExamplesPage(self.review)
        self.threshold_page = ThresholdPanel()
        self._make_choices()
        self._make_results()
        self._lay_out_work(
            self.ways,
            self.hint,
            self.chips,
            self.examples_page,
            self.threshold_page,
            form_grid(("Stains", self.stains_box), ("Show", self.fill_box)),
            self.found,
            self.kept,
            row(self.apply_button, self.undo_button, self.save_button),
        )

    def _make_choices(self) -> None:
        self.ways = QTabBar()
        self.ways.setExpanding(True)
        self.ways.setDrawBase(False)
        for text in _WAYS.values():
            self.ways.addTab(text)
        self.hint = small_label()
        self.stains_box = combo(
            "What the stains are measured as; automatic takes H-DAB where there is brown."
        )
        for stains, text in _STAINS.items():
            self.stains_box.addItem(text, stains)

    def _make_results(self) -> None:
        self.found = QLabel()
        self.found.setWordWrap(True)
        self.kept = small_label()
        self.apply_button = push_button(
            "Apply", "Give all objects the class that they are shown in. Undo takes it back."
        )
        self.apply_button.setObjectName("run")
        self.undo_button = QPushButton("Undo")
        self.save_button = push_button(
            "Save", "Apply, and write the objects to their file, with the classifier beside it."
        )

    # -- showing the state -----------------------------------------------------------------------

    def render_state(
        self, state: AnnotationState, known: ClassifyState, *, classes: ClassScheme, is_rgb: bool
    ) -> None:
        """Show the state, and no widget reports this as a change by the user.

        `classes` are those that examples can be given of.
        """
        by_examples = known.way is Way.EXAMPLES
        self.ways.blockSignals(True)
        self.ways.setCurrentIndex(list(_WAYS).index(known.way))
        self.ways.blockSignals(False)
        self.hint.setText(hint(state, known))
        self.chips.setVisible(by_examples)
        self.examples_page.setVisible(by_examples)
        self.threshold_page.setVisible(not by_examples)
        if by_examples:
            # What is counted on a chip here are the examples: all else is seen in the image.
            counts: dict[str | None, int] = dict(known.examples.items())
            self.chips.show_classes(classes, counts, state.current_class)
            self.examples_page.render_state(known)
        else:
            self.threshold_page.render_state(known)
        self.stains_box.setEnabled(is_rgb and known.measuring is None)
        self.found.setText(found_text(known))
        self.apply_button.setEnabled(known.n_pending > 0)
        self.apply_button.setText(apply_text(known))
        self.save_button.setEnabled(known.giving is None)
        self.undo_button.setEnabled(bool(state.undo_name))
        self.undo_button.setToolTip(f"Undo: {state.undo_name} (Ctrl+Z)" if state.undo_name else "")

    def way_at(self, tab: int) -> Way:
        """What a tab stands for."""
        return list(_WAYS)[tab]


class ExamplesPage(QWidget):
    """Examples, what was learned of them, and the walk through what is in doubt."""

    def __init__(self, review: ReviewBar) -> None:
        super().__init__()
        self.examples = small_label()
        self.quality = small_label()
        self.take_button = QPushButton()
        self.take_button.setToolTip(
            "Objects that came with a class, from QuPath for example, become examples of it."
        )
        self.review = review
        self.review.buttons["delete"].hide()
        self.files_button = push_button(
            "File", "Use a classifier on other images, or one of another image."
        )
        menu = QMenu(self.files_button)
        self.load_action = menu.addAction("Load a classifier…")
        self.save_action = menu.addAction("Save the classifier as…")
        self.forget_action = menu.addAction("Learn from the examples here")
        self.files_button.setMenu(menu)
        facts = form_grid(
            ("Examples", row(self.examples, self.files_button)), ("Accuracy", self.quality)
        )
        self.setLayout(column(self.take_button, facts, self.review, spacing=6))

    def render_state(self, known: ClassifyState) -> None:
        """Show the state."""
        self.examples.setText(examples_text(known))
        self.quality.setText(quality_text(known))
        self.quality.setToolTip(quality_tip(known))
        n = known.n_classified
        noun = "object" if n == 1 else "objects"
        self.take_button.setText(f"Take {n:,} classified {noun} as examples")
        self.take_button.setVisible(n > 0)
        self.review.start_button.setEnabled(known.has_classifier)
        for action, can in (
            (self.load_action, known.is_measured),
            (self.save_action, known.has_classifier),
            (self.forget_action, known.loaded is not None),
        ):
            if action is not None:
                action.setEnabled(can)
