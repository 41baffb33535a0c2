"""What the Annotate panel looks like: its parts, from top to bottom."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from napari_histo.plugin.annotate.chips import ClassChips
from napari_histo.plugin.annotate.keys import Keys
from napari_histo.plugin.annotate.tools import OutlineSwitch, ToolButton, ToolStrip
from napari_histo.plugin.parts import combo, form_grid, row, set_kind, small_label

__all__ = ["AnnotateForm", "ReviewBar", "SaveBar", "StartPanel"]

_WIDTH_PX = 324
_WALK_PX = 46
_BOX_PX = 96
_WALK = ("previous", "next", "accept", "delete")


class AnnotateForm(QWidget):
    """The parts, as attributes; first only `start` is seen, then only the others.

    Parameters
    ----------
    parent : QWidget, optional
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMinimumWidth(_WIDTH_PX)
        self.start = StartPanel()
        self.strip = ToolStrip()
        self.outline = OutlineSwitch()
        self.chips = ClassChips()
        self.review = ReviewBar()
        self.saving = SaveBar()
        self.message = small_label()
        self.message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._make_view_boxes()
        self.work = self._work_panel()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 8, 10, 8)
        layout.setSpacing(8)
        for part in (self.start, self.work, self.message):
            layout.addWidget(part)
        layout.addStretch()
        self.show_open(None)
        self.show_message("")

    def _make_view_boxes(self) -> None:
        self.fill_box = combo("How objects are drawn.")
        for text, filled in (("outlines", False), ("filled", True)):
            self.fill_box.addItem(text, filled)
        self.colour_box = combo("What the colours tell.")
        for by in ("class", "object"):
            self.colour_box.addItem(f"by {by}", by)
        for box in (self.fill_box, self.colour_box):
            box.setMinimumWidth(_BOX_PX)  # what is wider than the dock upsets its heights

    def _work_panel(self) -> QWidget:
        # What is wider than the dock upsets its heights.
        self.title = QElidingLabel()
        self.title.setElideMode(Qt.TextElideMode.ElideMiddle)
        self.title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.close_button = QPushButton("Close")
        self.close_button.setToolTip("Stop annotating this image. Nothing is lost.")
        panel = QWidget()
        layout = QVBoxLayout(panel)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addLayout(row(self.title, self.close_button))
        layout.addWidget(self.strip)
        layout.addWidget(self.outline)
        layout.addWidget(self.chips)
        layout.addSpacing(2)
        layout.addLayout(form_grid(("Show", row(self.fill_box, self.colour_box))))
        layout.addWidget(self.review)
        layout.addSpacing(2)
        layout.addWidget(self.saving)
        return panel

    def set_keys(self, keys: Keys) -> None:
        """Tell other keys."""
        self.strip.set_keys(keys)
        self.outline.set_keys(keys)
        self.review.set_keys(keys)

    def set_colours(self, text: str, quiet: str) -> None:
        """Draw the pictures in the colours of the theme."""
        self.strip.set_colours(text, quiet)
        self.review.set_colours(text, quiet)
        self.chips.set_colours(text)

    def show_open(self, title: str | None, tip: str = "") -> None:
        """Show what is annotated, or what could be where nothing is."""
        self.start.setVisible(title is None)
        self.work.setVisible(title is not None)
        self.title.setText(title or "")
        self.title.setToolTip(tip)

    def show_message(self, text: str, kind: str = "") -> None:
        """The one thing to tell the user; `kind` is "", "warning" or "error"."""
        self.message.setText(text)
        self.message.setVisible(bool(text))
        set_kind(self.message, kind)


class StartPanel(QWidget):
    """Which image, and which objects to begin with."""

    def __init__(self) -> None:
        super().__init__()
        self.image_box = combo("Image to annotate.")
        self.objects_box = combo("Objects to begin with.")
        self.facts = small_label()
        self.start_button = QPushButton("Start annotating")
        self.start_button.setObjectName("run")
        self.segment_button = QPushButton("Segment all…")
        self.segment_button.setToolTip(
            "Let a model outline everything, then fix it by clicks: opens the Segment panel. "
            "Its result can then be chosen here."
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addLayout(
            form_grid(("Image", self.image_box), ("Begin with", self.objects_box), ("", self.facts))
        )
        layout.addLayout(row(self.start_button, self.segment_button))


class ReviewBar(QWidget):
    """Walk through the objects, the least certain first."""

    def __init__(self) -> None:
        super().__init__()
        self.start_button = QPushButton("Start")
        self.start_button.setCheckable(True)
        self.start_button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.text = small_label()
        self.buttons = {name: ToolButton(name, width_px=_WALK_PX) for name in _WALK}
        self._walk = QWidget()
        walk = QHBoxLayout(self._walk)
        walk.setContentsMargins(0, 0, 0, 0)
        walk.setSpacing(4)
        for button in self.buttons.values():
            walk.addWidget(button)
        walk.addStretch()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(form_grid(("Review", row(self.text, self.start_button))))
        layout.addLayout(form_grid(("", self._walk)))
        self.show_walk(None)

    def set_keys(self, keys: Keys) -> None:
        """Tell other keys."""
        for button in self.buttons.values():
            button.set_keys(keys)
        key = keys.text("review")
        self.start_button.setToolTip(
            f"Look at the objects one by one, the least certain first ({key})."
        )

    def set_colours(self, text: str, quiet: str) -> None:
        """Draw the pictures in the colours of the theme."""
        for button in self.buttons.values():
            button.set_colours(text, quiet)

    def show_walk(self, text: str | None) -> None:
        """How far the walk is; None where there is none."""
        walking = text is not None
        self.text.setText(text or "least certain objects first")
        self.start_button.setText("Stop" if walking else "Start")
        self.start_button.setChecked(walking)
        self._walk.setVisible(walking)


class SaveBar(QWidget):
    """How many objects there are, and whether they are in the file."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = QLabel()
        self.counts.setWordWrap(True)
        self.kept = small_label()
        self.save_button = QPushButton("Save")
        self.save_button.setObjectName("run")
        self.save_as_button = QPushButton("Save as…")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.counts)
        layout.addWidget(self.kept)
        layout.addLayout(row(self.save_button, self.save_as_button))
