"""The rows of the Segment panel that make cells of nuclei."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSignalBlocker, Signal  # type: ignore[attr-defined] # qtpy's own name
from qtpy.QtWidgets import QDoubleSpinBox, QVBoxLayout, QWidget

from napari_histo.core import ModelInfo
from napari_histo.plugin.parts import LabelledRow, combo, row, show_choices
from napari_histo.session.segment.cells import CellsBy, CellsChoice

__all__ = ["CellsRow"]

_UM_PX = 132
_WORDS = {
    CellsBy.NONE: "none",
    CellsBy.GROW: "expand by",
    CellsBy.MODEL: "second model",
}


class CellsRow(QWidget):
    """None, nuclei grown by so many µm, or matched to what a second model finds.

    Signals
    -------
    changed : CellsChoice
    """

    changed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.by_box = combo(
            "Cells around the nuclei, one object with two outlines as in QuPath: nuclei expanded, "
            "or matched to what a second model finds."
        )
        for by, words in _WORDS.items():
            self.by_box.addItem(words, by)
        self.by_box.setMinimumContentsLength(8)
        self.um_box = QDoubleSpinBox()
        self.um_box.setRange(0.5, 50)
        self.um_box.setDecimals(1)
        self.um_box.setSingleStep(0.5)
        self.um_box.setSuffix(" µm")
        self.um_box.setMinimumWidth(_UM_PX)
        self.um_box.setToolTip("At most so far, and to the middle between two nuclei.")
        self.um_box.setKeyboardTracking(False)
        self.model_box = combo(
            "What finds the cells. Each gets the one nucleus that overlaps it most."
        )
        self.channel_box = combo("Channel that shows the cells.")
        self._rows = [
            LabelledRow("Cells", row(self.by_box, self.um_box)),
            LabelledRow("Cell model", self.model_box),
            LabelledRow("Cells in", self.channel_box),
        ]
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        for line in self._rows:
            layout.addWidget(line)
        for box in (self.by_box, self.model_box, self.channel_box):
            box.currentIndexChanged.connect(self._tell)
        self.um_box.valueChanged.connect(self._tell)
        self.show_choice(CellsChoice())

    def show_models(self, models: Sequence[ModelInfo]) -> None:
        """What there is to choose; nothing is reported as a change by the user."""
        show_choices(self.model_box, [(m.name, m) for m in models])

    def show_channels(self, names: Sequence[str], nuclei: int) -> None:
        """Channels of the image, another than that of the nuclei first; one leaves no choice."""
        fresh = self.channel_box.count() != len(names)
        show_choices(self.channel_box, [(name, i) for i, name in enumerate(names)])
        if fresh and len(names) > 1:
            with QSignalBlocker(self.channel_box):
                self.channel_box.setCurrentIndex(0 if nuclei else 1)
        self._show_rows()

    def show_choice(self, choice: CellsChoice) -> None:
        """Show `choice`; nothing is reported as a change by the user."""
        with QSignalBlocker(self.by_box), QSignalBlocker(self.um_box):
            self.by_box.setCurrentIndex(self.by_box.findData(choice.by))
            self.um_box.setValue(choice.um)
        self._show_rows()

    @property
    def choice(self) -> CellsChoice:
        """As the boxes stand."""
        by: CellsBy = self.by_box.currentData()
        many = self.channel_box.count() > 1
        return CellsChoice(
            by,
            self.um_box.value(),
            self.model_box.currentData() if by is CellsBy.MODEL else None,
            self.channel_box.currentData() if by is CellsBy.MODEL and many else None,
        )

    def _tell(self) -> None:
        self._show_rows()
        self.changed.emit(self.choice)

    def _show_rows(self) -> None:
        by = self.by_box.currentData()
        self.um_box.setVisible(by is CellsBy.GROW)
        self._rows[1].setVisible(by is CellsBy.MODEL)
        self._rows[2].setVisible(by is CellsBy.MODEL and self.channel_box.count() > 1)
