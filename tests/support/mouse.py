"""A hand on the mouse of a napari window: real Qt events on the real canvas."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

BUTTONS = {
    "left": Qt.MouseButton.LeftButton,
    "right": Qt.MouseButton.RightButton,
    "middle": Qt.MouseButton.MiddleButton,
}
KEYS = {
    "": Qt.KeyboardModifier.NoModifier,
    "alt": Qt.KeyboardModifier.AltModifier,
    "ctrl": Qt.KeyboardModifier.ControlModifier,
    "shift": Qt.KeyboardModifier.ShiftModifier,
    "ctrl+shift": Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier,
}


class Hand:
    """Clicks and drags at places of an image, found with napari's own transforms."""

    def __init__(self, viewer, layer, qtbot):
        self.viewer, self.layer, self.qtbot = viewer, layer, qtbot
        self.canvas = viewer.window._qt_viewer.canvas.native

    def click(self, x, y, button="left", key=""):
        """At (x, y), full-resolution px."""
        self.click_screen(self.screen(x, y), button, key)

    def click_screen(self, at, button="left", key=""):
        self._move(at)
        QTest.mouseClick(self.canvas, BUTTONS[button], KEYS[key], _point(at))
        settle()

    def drag(self, xy, button="left", key="", release=True):
        """Along (n, 2) places, full-resolution px, with a few events between any two."""
        corners = np.array([self.screen(*p) for p in xy])
        steps = np.linspace(0, len(corners) - 1, 4 * len(corners))
        path = [corners[0]] + [_between(corners, s) for s in steps[1:]]
        self._move(path[0])
        QTest.mousePress(self.canvas, BUTTONS[button], KEYS[key], _point(path[0]))
        for at in path[1:]:
            self._move(at, BUTTONS[button], KEYS[key])
        if release:
            self.let_go(path[-1], button, key)

    def let_go(self, at, button="left", key=""):
        QTest.mouseRelease(self.canvas, BUTTONS[button], KEYS[key], _point(at))
        settle()

    def hover(self, x, y):
        self._move(self.screen(x, y))

    def press(self, key, modifier=""):
        """A key, as Qt names it ("M", "Delete")."""
        QTest.keyClick(self.canvas, getattr(Qt.Key, f"Key_{key}"), KEYS[modifier])
        settle()

    def screen(self, x, y):
        """Canvas px of a place."""
        world = np.array(self.layer.data_to_world((y - 0.5, x - 0.5)))[-2:] / self.units()
        camera = self.viewer.scene.camera
        height, width = self.viewer.canvas.size
        offset = (world - np.array(camera.center[-2:])) * camera.zoom
        return np.array([width / 2 + offset[1], height / 2 + offset[0]])

    def units(self):
        """How many units of the layer make one of the window, y and x."""
        import pint

        units = zip(self.viewer.dims.units[-2:], self.layer.units[-2:], strict=True)
        try:
            return np.array([float((1 * w).to(o).magnitude) for w, o in units])
        except pint.DimensionalityError:
            return np.ones(2)

    def _move(self, at, buttons=None, modifiers=None):
        """QTest's own moves carry no buttons."""
        from qtpy.QtCore import QEvent, QPointF
        from qtpy.QtGui import QMouseEvent

        local = QPointF(*[float(v) for v in at])
        event = QMouseEvent(
            QEvent.Type.MouseMove,
            local,
            QPointF(self.canvas.mapToGlobal(local.toPoint())),
            Qt.MouseButton.NoButton,
            buttons or Qt.MouseButton.NoButton,
            modifiers or Qt.KeyboardModifier.NoModifier,
        )
        QApplication.sendEvent(self.canvas, event)
        settle(8)


def settle(ms=1):
    """Let Qt and napari's throttle (5 ms) do what waits."""
    QTest.qWait(ms)
    QApplication.processEvents()


def _point(at):
    return QPoint(*[round(float(v)) for v in at])


def _between(corners, step):
    low = min(int(step), len(corners) - 2)
    return corners[low] + (corners[low + 1] - corners[low]) * (step - low)
