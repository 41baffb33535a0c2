"""Questions before something that matters."""

from __future__ import annotations

from dataclasses import dataclass

from qtpy.QtWidgets import QCheckBox, QMessageBox, QWidget

__all__ = ["Answer", "ask"]


@dataclass(frozen=True)
class Answer:
    """What the user said.

    Attributes
    ----------
    yes : bool
    ticked : bool
        Whether the option was ticked.
    """

    yes: bool
    ticked: bool = False

    def __bool__(self) -> bool:
        return self.yes


def ask(parent: QWidget, question: str, details: str, yes: str, option: str = "") -> Answer:
    """Ask in a dialog whose button says what it does; Return and Escape change nothing.

    Parameters
    ----------
    parent : QWidget
    question, details : str
        In a line, and what follows from it.
    yes : str
        The button's text.
    option : str
        Of a box to tick; none where it is empty.
    """
    box = QMessageBox(parent)
    box.setWindowTitle(parent.windowTitle() or question)
    box.setText(question)
    box.setInformativeText(details)
    does = box.addButton(yes, QMessageBox.ButtonRole.AcceptRole)
    box.addButton(QMessageBox.StandardButton.Cancel)
    box.setDefaultButton(QMessageBox.StandardButton.Cancel)
    tick = QCheckBox(option) if option else None
    if tick is not None:
        box.setCheckBox(tick)
    box.exec()
    said = box.clickedButton() is does
    ticked = tick is not None and tick.isChecked()
    box.deleteLater()
    return Answer(said, ticked)
