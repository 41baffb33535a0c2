"""What panels look like that work on the objects of one image."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLayout, QPushButton, QWidget

from napari_histo.plugin.annotate.chips import ClassChips
from napari_histo.plugin.annotate.keys import Keys
from napari_histo.plugin.annotate.tools import ToolButton
from napari_histo.plugin.objects_painter import ColourBy
from napari_histo.plugin.parts import (
    PanelForm,
    column,
    combo,
    elided_label,
    form_grid,
    push_button,
    row,
    small_label,
)

__all__ = ["ObjectsForm", "ReviewBar", "StartPanel"]

_WALK_PX = 46
_WALK = ("previous", "next", "accept", "delete")


class ObjectsForm(PanelForm):
    """The parts, as attributes; first only `start` is seen, then only the others.

    Subclasses make more parts, then call `_lay_out_work`; parameters are those of `PanelForm`.
    """

    def __init__(self, parent: QWidget | None = None, *, width_px: int = 324) -> None:
        super().__init__(parent, width_px=width_px)
        self.start = StartPanel()
        self.title = elided_label()
        self.close_button = push_button("Close", "")
        self.chips = ClassChips()
        self.review = ReviewBar()
        self.fill_box = combo("How objects are drawn.")
        for text, filled in (("outlines", False), ("filled", True)):
            self.fill_box.addItem(text, filled)

    def _lay_out_work(self, *parts: QWidget | QLayout | int) -> None:
        """Put the parts under the title."""
        self.work = QWidget()
        self.work.setLayout(column(row(self.title, self.close_button), *parts))
        self._lay_out(self.start, self.work)
        self.show_open(None)
        self.show_message("")

    @property
    def colour_by(self) -> ColourBy:
        """What the colours of objects tell."""
        return "class"

    def set_keys(self, keys: Keys) -> None:
        """Tell other keys."""
        self.review.set_keys(keys)

    def set_colours(self, text: str, quiet: str) -> None:
        """Draw the pictures in the colours of the theme."""
        self.review.set_colours(text, quiet)
        self.chips.set_colours(text)

    def show_open(self, title: str | None, tip: str = "") -> None:
        """Show what is worked on, or what could be where nothing is."""
        self.start.setVisible(title is None)
        self.work.setVisible(title is not None)
        self.title.setText(title or "")
        self.title.setToolTip(tip)


class StartPanel(QWidget):
    """Which image, and which objects to begin with."""

    def __init__(self) -> None:
        super().__init__()
        self.image_box = combo("Image to annotate.")
        self.objects_box = combo("Objects to begin with.")
        self.facts = small_label()
        self.start_button = QPushButton("Start annotating")
        self.start_button.setObjectName("run")
        self.segment_button = push_button(
            "Segment all…",
            "Let a model outline everything, then fix it by clicks: opens the Segment panel. "
            "Its result can then be chosen here.",
        )
        choices = form_grid(
            ("Image", self.image_box), ("Begin with", self.objects_box), ("", self.facts)
        )
        self.setLayout(column(choices, row(self.start_button, self.segment_button)))


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
        for one in self.buttons.values():
            walk.addWidget(one)
        walk.addStretch()
        head = form_grid(("Review", row(self.text, self.start_button)))
        self.setLayout(column(head, form_grid(("", self._walk)), spacing=6))
        self.show_walk(None)

    def set_keys(self, keys: Keys) -> None:
        """Tell other keys."""
        for one in self.buttons.values():
            one.set_keys(keys)
        key = keys.text("review")
        self.start_button.setToolTip(
            f"Look at the objects one by one, the least certain first ({key})."
        )

    def set_colours(self, text: str, quiet: str) -> None:
        """Draw the pictures in the colours of the theme."""
        for one in self.buttons.values():
            one.set_colours(text, quiet)

    def show_walk(self, text: str | None) -> None:
        """How far the walk is; None where there is none."""
        walking = text is not None
        self.text.setText(text or "least certain objects first")
        self.start_button.setText("Stop" if walking else "Start")
        self.start_button.setChecked(walking)
        self._walk.setVisible(walking)
