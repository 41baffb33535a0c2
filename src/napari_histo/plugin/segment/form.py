"""What the Segment panel looks like: its widgets, words, and how they show the state."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QLabel,
    QLayout,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QLabeledDoubleSlider

from napari_histo.core import Thresholds
from napari_histo.plugin.heat_bar import HeatBar
from napari_histo.plugin.histogram import Histogram
from napari_histo.plugin.parts import LabelledRow, combo, form_grid, row, set_kind, small_label
from napari_histo.plugin.segment.cells import CellsRow
from napari_histo.plugin.segment.diameter import DiameterRow
from napari_histo.plugin.segment.look import ChannelRows, ColourRows
from napari_histo.plugin.segment.words import (
    overlap_tip,
    overlap_word,
    pixel_hint,
    prob_tip,
    progress_text,
    slide_hint,
    slider_hint,
    summary,
)
from napari_histo.session import Phase, Scope, SegmentState

__all__ = ["SegmentForm"]

_STATUS_PX = 40


class SegmentForm(QWidget):
    """The widgets, as attributes; `render` is the only way in which state reaches them.

    Parameters
    ----------
    parent : QWidget, optional
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMinimumWidth(330)
        self._make_choices()
        self._make_run()
        self._make_result()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 10, 12, 10)
        layout.setSpacing(8)
        layout.addLayout(self._choices_layout())
        layout.addSpacing(2)
        layout.addLayout(row(self.run_button, self.cancel_button))
        layout.addWidget(self._status_widget())
        layout.addLayout(self._thresholds_layout())
        layout.addSpacing(6)
        layout.addWidget(self.heat_bar)
        layout.addWidget(self.summary)
        layout.addWidget(self.histogram, 1)
        layout.addLayout(row(self.save_button, self.saved))
        layout.addStretch()

    # -- widgets ---------------------------------------------------------------------------------

    def _make_choices(self) -> None:
        self.image_box = combo("Image layer to look for nuclei in.")
        self.channels, self.colours = ChannelRows(), ColourRows()
        self.model_box = combo("What finds the nuclei.")
        self.model_facts = small_label()
        self.device_box = combo("Where the network runs; auto takes the fastest.")
        self.region_box = combo("Part of the image to segment.")
        for scope in Scope:
            self.region_box.addItem(scope.value, scope)
        self.draw_button = QPushButton("Draw")
        self.draw_button.setToolTip("Draw rectangles, polygons or ellipses on the image.")
        self.pixel_size = QDoubleSpinBox()
        self.pixel_size.setRange(0, 100)
        self.pixel_size.setDecimals(4)
        self.pixel_size.setSingleStep(0.05)
        self.pixel_size.setSpecialValueText("unknown")
        self.pixel_size.setSuffix(" µm/px")
        self.pixel_size.setToolTip(
            "Size of one pixel of the image. Models know the size of nuclei, so a wrong value "
            "gives wrong outlines. Type 0 to take the image's own."
        )
        self.pixel_hint = small_label()
        self.diameter = DiameterRow()
        self.cells = CellsRow()
        self.tissue_box = QCheckBox("Tissue only")
        self.tissue_box.setToolTip("Find the tissue first, and leave the glass out.")
        self.slide_hint = small_label()

    def _make_run(self) -> None:
        self.run_button = QPushButton("Run")
        self.run_button.setObjectName("run")
        self.run_button.setAutoDefault(True)
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Stop at the next tile. What was there before stays.")
        self.bar = QProgressBar()
        self.link_colour = "#ffcc00"
        self.message = small_label()
        self.message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)

    def _make_result(self) -> None:
        self.prob = _slider(prob_tip(0.0))
        self.overlap = _slider(overlap_tip(None))
        self.overlap_row = LabelledRow(overlap_word(None), self.overlap)
        self.slider_hint = small_label()
        self.heat_bar = HeatBar()
        self.summary = QLabel()
        self.summary.setWordWrap(True)
        self.histogram = Histogram()
        self.save_button = QPushButton("Save…")
        self.save_button.setToolTip("Write the objects to GeoJSON (for QuPath) or Parquet.")
        self.saved = small_label()

    def _choices_layout(self) -> QLayout:
        choices = QVBoxLayout()
        choices.setSpacing(6)
        choices.addLayout(form_grid(("Image", self.image_box)))
        choices.addWidget(self.channels)
        choices.addLayout(form_grid(("Model", self.model_box), ("", self.model_facts)))
        choices.addWidget(self.colours)
        choices.addLayout(self._place_layout())
        return choices

    def _place_layout(self) -> QLayout:
        place = QVBoxLayout()
        place.setSpacing(6)
        place.addLayout(
            form_grid(
                ("Device", self.device_box),
                ("Region", row(self.region_box, self.draw_button)),
                ("Pixel size", self.pixel_size),
                ("", self.pixel_hint),
            )
        )
        place.addWidget(self.diameter)
        place.addWidget(self.cells)
        place.addLayout(form_grid(("", self.tissue_box), ("", self.slide_hint)))
        return place

    def _status_widget(self) -> QWidget:
        """Bar and message; as high when they are empty, so that nothing jumps in a run."""
        status = QWidget()
        column = QVBoxLayout(status)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.bar)
        column.addWidget(self.message)
        column.addStretch()
        status.setMinimumHeight(_STATUS_PX)
        return status

    def _thresholds_layout(self) -> QLayout:
        sliders = QVBoxLayout()
        sliders.setSpacing(6)
        sliders.addLayout(form_grid(("Probability", self.prob)))
        sliders.addWidget(self.overlap_row)
        sliders.addLayout(form_grid(("", self.slider_hint)))
        return sliders

    # -- showing the state -----------------------------------------------------------------------

    def render_state(self, state: SegmentState) -> None:
        """Show `state`; no widget reports this as a change by the user."""
        self._render_pixel_size(state)
        self.diameter.render_state(state)
        self._render_run(state)
        self._render_message(state)
        self._render_result(state)
        self._render_slide(state)
        self.draw_button.setVisible(state.scope is Scope.SHAPES)
        self.draw_button.setEnabled(state.image is not None)

    def _render_pixel_size(self, state: SegmentState) -> None:
        size = state.pixel_size
        shown = 0.0 if size is None else round(size.mean_um, 4)
        if self.pixel_size.value() != shown:
            with QSignalBlocker(self.pixel_size):
                self.pixel_size.setValue(shown)
        self.pixel_size.setEnabled(state.image is not None)
        hint = pixel_hint(state, self.link_colour)
        self.pixel_hint.setText(hint)
        self.pixel_hint.setVisible(bool(hint))
        set_kind(self.pixel_hint, "warning" if state.needs_pixel_size else "")

    def _render_run(self, state: SegmentState) -> None:
        running = state.phase is not Phase.IDLE
        self.run_button.setEnabled(not state.blocker)
        self.run_button.setToolTip(state.blocker or "Find the nuclei in the region.")
        self.cancel_button.setEnabled(state.phase is Phase.RUNNING)
        self.bar.setVisible(running)
        progress = state.progress
        if progress is not None:
            # One tile has no half: the bar then only says that something is going on.
            self.bar.setRange(0, progress.total if progress.total > 1 else 0)
            self.bar.setValue(progress.done)

    def _render_message(self, state: SegmentState) -> None:
        text = state.error or state.notice
        if state.phase is Phase.CANCELLING:
            text = "Stopping at the end of this tile…"
        elif state.progress is not None:
            text = "\n".join(filter(None, (progress_text(state), state.notice)))
        elif not text and state.blocker:
            text = state.blocker
        self.message.setText(text)
        self.message.setVisible(bool(text))
        set_kind(self.message, "error" if text and text == state.error else "")

    def _render_result(self, state: SegmentState) -> None:
        result = state.result
        live = result is not None and state.is_live
        candidates = result.candidates if result is not None and live else None
        lowest = 0.0 if candidates is None else candidates.lowest_prob
        self.prob.setToolTip(prob_tip(lowest, state.model))
        self.overlap.setToolTip(overlap_tip(state.model))
        self.overlap_row.label.setText(overlap_word(state.model))
        for slider, low, value in (
            (self.prob, lowest, state.thresholds.prob),
            (self.overlap, 0.0, state.thresholds.nms),
        ):
            with QSignalBlocker(slider):
                slider.setMinimum(low)  # type: ignore[arg-type] # typed for whole numbers alone
                if abs(slider.value() - value) > 1e-3:
                    slider.setValue(value)
        self.summary.setText("" if result is None else summary(result))
        for widget in (self.summary, self.histogram, self.save_button):
            widget.setVisible(result is not None)
        self.histogram.show_statistics(None if result is None else result.statistics)
        saved = state.saved
        self.saved.setText("" if saved is None else f"saved {saved.at:%H:%M}")
        self.saved.setVisible(saved is not None)
        self.saved.setToolTip("" if saved is None else str(saved.path))

    def _render_slide(self, state: SegmentState) -> None:
        running = state.phase is not Phase.IDLE
        self.tissue_box.setVisible(state.is_slide_run)
        self.tissue_box.setEnabled(not running)
        with QSignalBlocker(self.tissue_box):
            self.tissue_box.setChecked(state.tissue_only)
        self.heat_bar.setVisible(state.growing is not None)
        runs_slide = running and state.is_slide_run
        for slider in (self.prob, self.overlap):
            slider.setEnabled(not runs_slide)
        for label, hint in (
            (self.slide_hint, slide_hint(state)),
            (self.slider_hint, slider_hint(state)),
        ):
            label.setText(hint)
            label.setVisible(bool(hint))

    def thresholds(self) -> Thresholds:
        """Where the sliders stand."""
        return Thresholds(round(self.prob.value(), 3), round(self.overlap.value(), 3))


# -- parts ---------------------------------------------------------------------------------------


def _slider(tip: str) -> QLabeledDoubleSlider:
    slider = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
    slider.setRange(0, 1)
    slider.setSingleStep(0.01)  # type: ignore[arg-type] # typed for whole numbers alone
    slider.setDecimals(2)
    slider.setToolTip(tip)
    return slider
