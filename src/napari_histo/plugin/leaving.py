"""Layers that leave one by one, in calm moments.

Seen under Xvfb with Mesa's software driver (22.3), napari 0.9.2 and vispy 0.17: the process ended
with a segmentation fault in a draw after several layers had left between the same two frames, or
while another image came. The driver then has no vertex shader: it seems to unbind the one in use
where others end, and to bind it again only after another one was in use, which never comes where
one kind of thing alone is left to draw. With two kinds on the screen at all times it was not seen
again, nor with a calm time between the layers; whether graphics cards do so is not known.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer

from napari_histo.plugin.threads import connect_while

if TYPE_CHECKING:
    from napari.layers import Layer
    from qtpy.QtWidgets import QWidget

__all__ = ["Leaving"]

_CALM_MS = 2500


class Leaving:
    """Takes layers away, each well after any other came or left. Only for the window's thread.

    Parameters
    ----------
    panel : QWidget
        What has not left when it ends stays.
    viewer : napari.viewer.Viewer
    """

    def __init__(self, panel: QWidget, viewer: Any) -> None:
        self._viewer = viewer
        self._keys: deque[Hashable] = deque()
        self._timer = timer = QTimer(panel)
        timer.setSingleShot(True)
        timer.setInterval(_CALM_MS)
        timer.timeout.connect(self._take_one)
        layers = viewer.layers.events
        connect_while(panel, [(e, self._wait) for e in (layers.removed, layers.inserted)])

    def add(self, layer: Layer) -> None:
        """Hide a layer now, and take it away later, unless it is shown again meanwhile."""
        layer.visible = False
        self._keys.append(layer.unique_id)
        self._timer.start()

    def wait(self) -> None:
        """Another layer comes at once: take none away for a while."""
        self._wait()

    def _wait(self, _event: Any = None) -> None:
        if self._keys:
            self._timer.start()

    def _take_one(self) -> None:
        key = self._keys.popleft() if self._keys else None
        for layer in [x for x in self._viewer.layers if x.unique_id == key and not x.visible]:
            self._viewer.layers.remove(layer)
        self._wait()
