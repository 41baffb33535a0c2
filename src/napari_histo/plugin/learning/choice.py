"""How the next round's regions are chosen: the strategy, and how many."""

from __future__ import annotations

from qtpy.QtWidgets import QSpinBox, QVBoxLayout, QWidget

from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.rounds.query import QueryWish
from napari_histo.learning.strategies.words import IN_WORDS
from napari_histo.plugin.parts import combo, form_grid, show_choices, small_label

__all__ = ["ChoicePanel", "number_box"]

_AS_NEEDED = -1


class ChoicePanel(QWidget):
    """The parts, as attributes.

    Parameters
    ----------
    parent : QWidget, optional
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.strategy = combo("How the regions are chosen.")
        show_choices(self.strategy, [(title, name) for name, (title, _) in IN_WORDS.items()])
        self.meaning = small_label()
        self.regions = number_box(1, 200, 8, "Regions to learn from in this round.")
        self.judging = number_box(
            _AS_NEEDED,
            200,
            _AS_NEEDED,
            "Regions that judge, beside them. As needed: until there are as many as the project "
            "wants. More of them make decisions surer.",
        )
        self.judging.setSpecialValueText("as needed")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.strategy)
        layout.addWidget(self.meaning)
        layout.addLayout(form_grid(("Regions", self.regions), ("Judging", self.judging)))
        self.strategy.currentIndexChanged.connect(self._tell)
        self._project: LearningProject | None = None
        self._tell()

    @property
    def wish(self) -> QueryWish:
        """What the user asks for."""
        judging = self.judging.value()
        return QueryWish(
            self.strategy.currentData(),
            self.regions.value(),
            None if judging == _AS_NEEDED else judging,
        )

    def show_project(self, project: LearningProject | None) -> None:
        """Another project decides how many regions there are for a start."""
        before, self._project = self._project, project
        if project is not None and (before is None or before.path != project.path):
            self.regions.setValue(project.facts.settings.regions)
            self.judging.setValue(_AS_NEEDED)

    def _tell(self) -> None:
        self.meaning.setText(IN_WORDS[self.strategy.currentData()][1])


def number_box(low: int, high: int, value: int, tip: str) -> QSpinBox:
    """A number with its limits."""
    box = QSpinBox()
    box.setRange(low, high)
    box.setValue(value)
    box.setToolTip(tip)
    return box
