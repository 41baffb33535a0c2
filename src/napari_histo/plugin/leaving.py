"""Layers that leave one by one, in calm moments.

Seen under Xvfb with Mesa's software driver (22.3), napari 0.9.2 and vispy 0.17: the process ended
with a segmentation fault in a draw after several layers had left between the same two frames, or
while another image came. The driver then has no vertex shader: it seems to unbind the one in use
where others end, and to bind it again only after another one was in use, which never comes where
one layer alone is left to draw. Tried with one image on the screen: it ends where a hidden layer,
or one below the image, is removed; it lives where the layer that is removed was drawn last, and
where two others are drawn, or none. Whether graphics cards do so is not known.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Qt, QTimer

from napari_histo.plugin.threads import connect_while

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = ["Leaving"]

_CALM_MS = 2500


class Leaving(QObject):
    """Takes layers away, each well after any other came or left. Only for the window's thread.

    A window has one, got by `of`: panels come and go, and what they left behind still leaves.

    Parameters
    ----------
    window : QObject
        With it this ends.
    layers : napari.components.LayerList
    """

    def __init__(self, window: QObject, layers: Any) -> None:
        super().__init__(window)
        self._layers = layers
        self._keys: set[Hashable] = set()
        #: Runs while it is not calm.
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._take_one)
        changes = (layers.events.removed, layers.events.inserted)
        connect_while(self, [(event, self.wait) for event in changes])

    @classmethod
    def of(cls, viewer: Any) -> Leaving:
        """The one of a viewer's window; not for napari's proxy of a viewer."""
        window = viewer.window._qt_window  # there is no public name for what ends with the window
        found = window.findChild(cls, options=Qt.FindChildOption.FindDirectChildrenOnly)
        return found or cls(window, viewer.layers)

    @property
    def keys(self) -> frozenset[Hashable]:
        """Of the layers that wait to leave."""
        return frozenset(self._keys)

    def add(self, layer: Layer, *, hides: bool = True) -> None:
        """Hide a layer now, and take it away in a calm moment, unless it is shown again before.

        What has nothing to see need not be hidden: the last one to leave an image had better not.
        """
        if hides:
            layer.visible = False
        self._keys.add(layer.unique_id)
        layer.events.visible.connect(self._on_visible)
        if not self._timer.isActive():
            self._timer.start(0)

    def wait(self, _event: Any = None) -> None:
        """A layer came, left or comes at once: take none away for a while."""
        self._timer.start(_CALM_MS)

    def _on_visible(self, event: Any) -> None:
        # Noted at once: who shows an image again may hide it again, and it is theirs then.
        if event.source.visible:
            self._keys.discard(event.source.unique_id)

    def _take_one(self) -> None:
        leaving = [layer for layer in self._layers if layer.unique_id in self._keys]
        self._keys = {layer.unique_id for layer in leaving}
        if leaving:
            self.wait()  # before: where somebody else fails at a layer's end, the others still go
        for layer in [layer for layer in leaving if self._may_leave(layer)][:1]:
            self._keys.remove(layer.unique_id)
            self._layers.remove(layer)

    def _may_leave(self, layer: Layer) -> bool:
        """Not where one other layer is drawn, and was drawn last; see above."""
        drawn = [x for x in self._layers if x.visible]
        return len({x.unique_id for x in drawn} - {layer.unique_id}) != 1 or drawn[-1] is layer
