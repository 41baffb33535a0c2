"""What the Annotate panel looks like: its parts, from top to bottom."""

from __future__ import annotations

from qtpy.QtWidgets import QLabel, QPushButton, QWidget

from napari_histo.plugin.annotate.keys import Keys
from napari_histo.plugin.annotate.tools import OutlineSwitch, ToolStrip
from napari_histo.plugin.objects_form import ObjectsForm
from napari_histo.plugin.objects_painter import ColourBy
from napari_histo.plugin.parts import column, combo, form_grid, row, small_label

__all__ = ["AnnotateForm", "SaveBar"]

_BOX_PX = 96


class AnnotateForm(ObjectsForm):
    """The parts, as attributes; first only `start` is seen, then only the others.

    Parameters
    ----------
    parent : QWidget, optional
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.close_button.setToolTip("Stop annotating this image. Nothing is lost.")
        self.strip = ToolStrip()
        self.outline = OutlineSwitch()
        self.saving = SaveBar()
        self.colour_box = combo("What the colours tell.")
        for by in ("class", "object"):
            self.colour_box.addItem(f"by {by}", by)
        for box in (self.fill_box, self.colour_box):
            box.setMinimumWidth(_BOX_PX)  # what is wider than the dock upsets its heights
        view = form_grid(("Show", row(self.fill_box, self.colour_box)))
        tools = (self.strip, self.outline, self.chips)
        self._lay_out_work(*tools, 2, view, self.review, 2, self.saving)

    @property
    def colour_by(self) -> ColourBy:
        """What the colours of objects tell."""
        chosen: ColourBy = self.colour_box.currentData()
        return chosen

    def set_keys(self, keys: Keys) -> None:
        """Tell other keys."""
        super().set_keys(keys)
        self.strip.set_keys(keys)
        self.outline.set_keys(keys)

    def set_colours(self, text: str, quiet: str) -> None:
        """Draw the pictures in the colours of the theme."""
        super().set_colours(text, quiet)
        self.strip.set_colours(text, quiet)


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
        buttons = row(self.save_button, self.save_as_button)
        self.setLayout(column(self.counts, self.kept, buttons, spacing=6))
