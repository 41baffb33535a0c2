"""What the Classify panel looks like: its parts, from top to bottom."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QLabel,
    QMenu,
    QPushButton,
    QSizePolicy,
    QTabBar,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from napari_histo.core import ClassScheme
from napari_histo.plugin.annotate.chips import ClassChips
from napari_histo.plugin.annotate.form import ReviewBar, StartPanel
from napari_histo.plugin.annotate.keys import Keys
from napari_histo.plugin.classify.thresholds import ThresholdPanel
from napari_histo.plugin.classify.words import (
    examples_text,
    found_text,
    hint,
    quality_text,
    quality_tip,
)
from napari_histo.plugin.parts import combo, form_grid, row, set_kind, small_label
from napari_histo.session import AnnotationState
from napari_histo.session.classify.state import ClassifyState, Stains, Way

__all__ = ["ClassifyForm"]

_WIDTH_PX = 340
_WAYS = {Way.EXAMPLES: "By examples", Way.THRESHOLD: "By threshold"}
_STAINS = {Stains.AUTO: "automatic", Stains.HE: "H&E", Stains.HDAB: "H-DAB"}


class ClassifyForm(QWidget):
    """The parts, as attributes; first only `start` is seen, then only the others.

    Parameters
    ----------
    parent : QWidget, optional
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMinimumWidth(_WIDTH_PX)
        self.start = StartPanel()
        self.start.start_button.setText("Start classifying")
        self.start.image_box.setToolTip("Image whose cells are to be told apart.")
        self.start.objects_box.setToolTip("The cells.")
        self.chips = ClassChips()
        self.examples_page = ExamplesPage()
        self.threshold_page = ThresholdPanel()
        self.message = small_label()
        self.message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._make_parts()
        self.work = self._work_panel()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 8, 10, 8)
        layout.setSpacing(8)
        for part in (self.start, self.work, self.message):
            layout.addWidget(part)
        layout.addStretch()
        self.show_open(None)
        self.show_message("")

    def _make_parts(self) -> None:
        self.title = QElidingLabel()
        self.title.setElideMode(Qt.TextElideMode.ElideMiddle)
        self.title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.close_button = QPushButton("Close")
        self.close_button.setToolTip("Stop classifying this image. Nothing is lost.")
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
        self.fill_box = combo("How objects are drawn. Examples have bold outlines.")
        for text, filled in (("outlines", False), ("filled", True)):
            self.fill_box.addItem(text, filled)
        self.found = QLabel()
        self.found.setWordWrap(True)
        self.kept = small_label()
        self.apply_button = QPushButton("Apply")
        self.apply_button.setObjectName("run")
        self.apply_button.setToolTip(
            "Give all objects the class that they are shown in. Undo takes it back."
        )
        self.undo_button = QPushButton("Undo")
        self.save_button = QPushButton("Save")
        self.save_button.setToolTip(
            "Apply, and write the objects to their file, with the classifier beside it."
        )

    def _work_panel(self) -> QWidget:
        panel = QWidget()
        layout = QVBoxLayout(panel)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addLayout(row(self.title, self.close_button))
        layout.addWidget(self.ways)
        layout.addWidget(self.hint)
        layout.addWidget(self.chips)
        layout.addWidget(self.examples_page)
        layout.addWidget(self.threshold_page)
        layout.addLayout(form_grid(("Stains", self.stains_box), ("Show", self.fill_box)))
        layout.addWidget(self.found)
        layout.addWidget(self.kept)
        layout.addLayout(row(self.apply_button, self.undo_button, self.save_button))
        return panel

    # -- showing the state -----------------------------------------------------------------------

    def set_keys(self, keys: Keys) -> None:
        """Tell other keys."""
        self.examples_page.review.set_keys(keys)

    def set_colours(self, text: str, quiet: str) -> None:
        """Draw the pictures in the colours of the theme."""
        self.chips.set_colours(text)
        self.examples_page.review.set_colours(text, quiet)

    def show_open(self, title: str | None) -> None:
        """Show what is classified, or what could be where nothing is."""
        self.start.setVisible(title is None)
        self.work.setVisible(title is not None)
        self.title.setText(title or "")
        self.title.setToolTip(title or "")

    def show_message(self, text: str, kind: str = "") -> None:
        """The one thing to tell the user; `kind` is "", "warning" or "error"."""
        self.message.setText(text)
        self.message.setVisible(bool(text))
        set_kind(self.message, kind)

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
        more = f" to {known.n_pending:,}" if known.n_pending else ""
        self.apply_button.setText(f"Apply{more}")
        self.undo_button.setEnabled(bool(state.undo_name))
        self.undo_button.setToolTip(f"Undo: {state.undo_name} (Ctrl+Z)" if state.undo_name else "")

    def way_at(self, tab: int) -> Way:
        """What a tab stands for."""
        return list(_WAYS)[tab]


class ExamplesPage(QWidget):
    """Examples, what was learned of them, and the walk through what is in doubt."""

    def __init__(self) -> None:
        super().__init__()
        self.examples = small_label()
        self.quality = small_label()
        self.take_button = QPushButton()
        self.take_button.setToolTip(
            "Objects that came with a class, from QuPath for example, become examples of it."
        )
        self.review = ReviewBar()
        self.review.buttons["delete"].hide()
        self.files_button = QPushButton("File")
        self.files_button.setToolTip("Use a classifier on other images, or one of another image.")
        menu = QMenu(self.files_button)
        self.load_action = menu.addAction("Load a classifier…")
        self.save_action = menu.addAction("Save the classifier as…")
        self.forget_action = menu.addAction("Learn from the examples here")
        self.files_button.setMenu(menu)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.take_button)
        layout.addLayout(
            form_grid(
                ("Examples", row(self.examples, self.files_button)), ("Accuracy", self.quality)
            )
        )
        layout.addWidget(self.review)

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
