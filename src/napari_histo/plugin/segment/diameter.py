"""The row of the Segment panel for models that are scaled to the objects to find."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QDoubleSpinBox, QVBoxLayout

from napari_histo.plugin.parts import LabelledRow, small_label
from napari_histo.plugin.segment.words import diameter_hint, diameter_tip
from napari_histo.session import SegmentState

__all__ = ["DiameterRow"]


class DiameterRow(LabelledRow):
    """Diameter in µm, with what that is in pixels of the image; hidden for other models.

    Attributes
    ----------
    box : QDoubleSpinBox
        0 stands for the network's own.
    """

    def __init__(self) -> None:
        self.box = QDoubleSpinBox()
        self.box.setRange(0, 1000)
        self.box.setDecimals(1)
        self.box.setSingleStep(0.5)
        self.box.setSuffix(" µm")
        self.box.setSpecialValueText("the network's own")
        self.box.setKeyboardTracking(False)
        self.hint = small_label()
        field = QVBoxLayout()
        field.setContentsMargins(0, 0, 0, 0)
        field.setSpacing(2)
        field.addWidget(self.box)
        field.addWidget(self.hint)
        super().__init__("Diameter", field)

    def render_state(self, state: SegmentState) -> None:
        """Show `state`; nothing is reported as a change by the user."""
        model = state.model
        self.setVisible(model is not None and model.takes_diameter)
        if model is None or not model.takes_diameter:
            return
        shown = state.diameter_um or model.diameter_um or 0.0
        if abs(self.box.value() - shown) > 0.05:
            with QSignalBlocker(self.box):
                self.box.setValue(shown)
        self.box.setToolTip(diameter_tip(model))
        hint = diameter_hint(state)
        self.hint.setText(hint)
        self.hint.setVisible(bool(hint))
