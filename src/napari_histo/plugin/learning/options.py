"""What few need and some cannot do without: an encoder, several annotators, artificial patches."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_histo.learning.rounds.folder import Stage
from napari_histo.learning.rounds.options import RoundOptions
from napari_histo.models.encoder.card import EncoderCard
from napari_histo.plugin.learning.choice import number_box
from napari_histo.plugin.parts import (
    Fold,
    LabelledRow,
    combo,
    elided_label,
    form_grid,
    push_button,
    row,
    show_choices,
    small_label,
)
from napari_histo.session.learning.state import LearningState

__all__ = ["OptionsPanel"]

_MERGINGS = (
    ("Most of them decide", "majority"),
    ("Who agrees with others counts more", "staple"),
    ("napari's version is taken", "first"),
)
#: Of painted areas, pixel by pixel.
_OF_AREAS = tuple(choice for choice in _MERGINGS if choice[1] != "staple")


class OptionsPanel(QWidget):
    """The parts, as attributes; what there is to choose depends on where the round stands."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = elided_label()
        self.encoder_button = push_button(
            "Choose…",
            "Let an encoder of your own (UNI, Phikon, …) say what regions look like: the folder "
            "with its weights and encoder.json.",
        )
        self.no_encoder = push_button("None", "Let the model in use say it again.")
        self.licence = small_label()
        self.merging = combo(
            "What becomes of a region that two people annotated, one in QuPath and one in napari: "
            "one truth of both, or napari's version. What each one had is kept."
        )
        show_choices(self.merging, _MERGINGS)
        self.composed = number_box(
            0,
            100,
            0,
            "For fluorescence with StarDist models: share of what is learned from that is put "
            "together of your own nuclei, so that they touch more often. Try 30 % where touching "
            "nuclei come out as one; stained (brightfield) images are left as they are.",
        )
        self.composed.setSuffix(" %")
        self.composed.setSpecialValueText("none")
        self.composed.setSingleStep(10)
        self.composed.setKeyboardTracking(False)
        chosen = row(self.encoder, self.no_encoder, self.encoder_button, spacing=6)
        self._choosing = QWidget()
        self._choosing.setLayout(form_grid(("Encoder", chosen), ("", self.licence)))
        self._learning = [
            LabelledRow("Done twice", self.merging),
            LabelledRow("Artificial", self.composed),
        ]
        self.fold = Fold("Options", "What is seldom changed.", self._choosing, *self._learning)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.fold)
        self._shown: tuple[object, Stage] | None = None

    def render_state(self, state: LearningState) -> None:
        """Show a state."""
        stage, options = state.overview.stage, state.options
        begins = stage in (Stage.EMPTY, Stage.DECIDED) and not state.overview.lacks_files
        wanted = [state.is_annotating, state.is_annotating and state.overview.composes]
        self.setVisible(state.project is not None and (begins or any(wanted)))
        self.setEnabled(not state.task)
        self._show_encoder(state.encoder, begins=begins)
        for line, is_wanted in zip(self._learning, wanted, strict=True):
            line.setVisible(is_wanted)
        mergings = _OF_AREAS if state.of_areas else _MERGINGS
        if self.merging.count() != len(mergings):
            show_choices(self.merging, mergings)
        with QSignalBlocker(self.merging), QSignalBlocker(self.composed):
            self.merging.setCurrentIndex(self.merging.findData(options.merging))
            self.composed.setValue(round(100 * options.compose))
        self._open_where_set(state, begins=begins)

    def _show_encoder(self, card: EncoderCard | None, *, begins: bool) -> None:
        self.encoder.setText("The model in use" if card is None else card.name)
        self.encoder.setToolTip("" if card is None else str(card.folder))
        self.no_encoder.setVisible(card is not None)
        self.licence.setText("" if card is None else f"Licence: {card.licence}")
        self.licence.setVisible(card is not None)
        self._choosing.setVisible(begins)

    def _open_where_set(self, state: LearningState, *, begins: bool) -> None:
        """Where a round comes to what was chosen another time, it is not hidden."""
        place = (None if state.project is None else state.project.path, state.overview.stage)
        if place == self._shown:
            return
        self._shown, usual = place, RoundOptions()
        learns = (state.options.merging, state.options.compose) != (usual.merging, usual.compose)
        self.fold.open(state.encoder is not None if begins else learns)
