"""The buttons of the Annotate panel, each with its picture and its key."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, QSize, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QButtonGroup,
    QHBoxLayout,
    QLabel,
    QLayout,
    QPushButton,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_histo.plugin.annotate.icons import icon
from napari_histo.plugin.annotate.keys import Keys
from napari_histo.plugin.annotate.words import ACTIONS, TOOLS, button_tip, hint
from napari_histo.plugin.parts import form_grid, row, small_label
from napari_histo.session import AnnotationState, Outline

__all__ = ["OutlineSwitch", "ToolButton", "ToolStrip"]

_BUTTON_PX = (40, 44)
_GAP_PX = 4
_STEPS = {"undo": 44, "redo": 80}  # with room for what their keys are called
_HINT_PX = 34
_LONG_TEXT = 6
_BRUSH_TOOLS = ("paint", "erase")


class ToolButton(QToolButton):
    """A picture over its key."""

    def __init__(
        self, name: str, *, checkable: bool = False, width_px: int = _BUTTON_PX[0]
    ) -> None:
        super().__init__()
        self.name = name
        self.setObjectName("tool")
        self.setCheckable(checkable)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # or the space bar would press it
        self.setFixedSize(width_px, _BUTTON_PX[1])
        self.setIconSize(QSize(20, 20))
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)

    def set_keys(self, keys: Keys) -> None:
        """Tell the key, on the button and in its tip."""
        self.setText(keys.text(self.name))
        self.setProperty("long", "true" if len(self.text()) > _LONG_TEXT else "false")
        self.setToolTip(button_tip(self.name, keys))

    def set_colours(self, text: str, quiet: str) -> None:
        """Draw the picture in the colours of the theme."""
        self.setIcon(icon(self.name, text, quiet))


class ToolStrip(QWidget):
    """Tools, actions, undo and redo; under them what the next gesture does, and the brush.

    Signals
    -------
    tool_chosen : str
    acted : str
        Name of an action, "undo" or "redo".
    brush_moved : int
        Diameter, as `set_brush` counts.
    """

    tool_chosen = Signal(str)
    acted = Signal(str)
    brush_moved = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.buttons: dict[str, ToolButton] = {}
        self._group = QButtonGroup(self)
        tools, actions = QHBoxLayout(), QHBoxLayout()
        for name in TOOLS:
            tools.addWidget(self._tool(name))
        for name in ACTIONS:
            actions.addWidget(self._action(name))
        actions.addStretch()
        for name, width in _STEPS.items():
            actions.addWidget(self._action(name, width))
        tools.addStretch()
        self.hint = small_label()
        # As high when it says little, so that nothing below jumps.
        self.hint.setFixedHeight(_HINT_PX)
        self.hint.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(_GAP_PX)
        # Wrapped words further down make Qt take heights from the upper parts.
        layout.setSizeConstraint(QLayout.SizeConstraint.SetMinimumSize)
        for line in (tools, actions):
            line.setSpacing(_GAP_PX)
            layout.addLayout(line)
        layout.addSpacing(2)
        layout.addWidget(self.hint)
        layout.addWidget(self._brush_row())

    def _tool(self, name: str) -> ToolButton:
        button = self.buttons[name] = ToolButton(name, checkable=True)
        self._group.addButton(button)
        button.clicked.connect(lambda: self.tool_chosen.emit(name))
        return button

    def _action(self, name: str, width_px: int = _BUTTON_PX[0]) -> ToolButton:
        button = self.buttons[name] = ToolButton(name, width_px=width_px)
        button.clicked.connect(lambda: self.acted.emit(name))
        return button

    def _brush_row(self) -> QWidget:
        self.brush = QSlider(Qt.Orientation.Horizontal)
        self.brush.setRange(1, 100)
        self.brush.valueChanged.connect(self.brush_moved)
        self.brush_size = QLabel()
        self.brush_size.setMinimumWidth(64)
        self.brush_row = QWidget()
        line = QHBoxLayout(self.brush_row)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(QLabel("Brush"))
        line.addWidget(self.brush, 1)
        line.addWidget(self.brush_size)
        return self.brush_row

    # -- showing ---------------------------------------------------------------------------------

    def set_keys(self, keys: Keys) -> None:
        """Tell other keys."""
        for button in self.buttons.values():
            button.set_keys(keys)

    def set_colours(self, text: str, quiet: str) -> None:
        """Draw the pictures in the colours of the theme."""
        for button in self.buttons.values():
            button.set_colours(text, quiet)

    def render_state(self, state: AnnotationState, keys: Keys) -> None:
        """Which tool is in hand, what it would do, and what can be done besides."""
        tool, n = state.tool.value, len(state.selection)
        self.buttons[tool].setChecked(True)
        self.hint.setText(hint(state, keys))
        self.brush_row.setVisible(tool in _BRUSH_TOOLS)
        usable = {"merge": n > 1, "delete": n > 0 or state.in_flight > 0}
        usable |= {"smooth": n > 0, "fill": n > 0}
        for name in ACTIONS:
            self.buttons[name].setEnabled(usable[name])
        for name, said in (("undo", state.undo_name), ("redo", state.redo_name)):
            pending = name == "undo" and state.in_flight > 0
            self.buttons[name].setEnabled(bool(said) or pending)
            tip = button_tip(name, keys)
            self.buttons[name].setToolTip(f"{tip}\nNow: {said}" if said else tip)

    def show_brush(self, step: int, text: str) -> None:
        """Where the slider stands, and the size in words."""
        with QSignalBlocker(self.brush):
            self.brush.setValue(step)
        self.brush_size.setText(text)


class OutlineSwitch(QWidget):
    """Which outline of a cell is edited.

    Signals
    -------
    chosen : Outline
    """

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.buttons = {which: self._button(which) for which in Outline}
        group = QButtonGroup(self)
        for button in self.buttons.values():
            group.addButton(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        line = row(*self.buttons.values(), spacing=_GAP_PX)
        for place in range(len(self.buttons)):
            line.setStretch(place, 1)
        layout.addLayout(form_grid(("Edit", line)))

    def _button(self, which: Outline) -> QPushButton:
        button = QPushButton(which.value)
        button.setObjectName("choice")
        button.setCheckable(True)
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        button.clicked.connect(lambda: self.chosen.emit(which))
        return button

    def set_keys(self, keys: Keys) -> None:
        """Tell another key."""
        for button in self.buttons.values():
            button.setToolTip(button_tip("outline", keys))

    def show_outline(self, which: Outline, *, visible: bool) -> None:
        """What is edited; nothing to choose where there are no cells."""
        self.buttons[which].setChecked(True)
        self.setVisible(visible)
