"""What the user sees in a window, put aside while something else is shown alone."""

from __future__ import annotations

from collections.abc import Collection, Hashable
from typing import Any

from napari_histo.plugin.layers import TABLE_KEY
from napari_histo.plugin.leaving import Leaving

__all__ = ["Aside"]


class Aside:
    """Hides images and objects, and shows them again. Only for the window's thread.

    What the user shows meanwhile stays, until `put` is called again.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Not napari's proxy.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._leaving = Leaving.of(viewer)
        self._keys: set[Hashable] = set()

    def put(self, *, but: Collection[Hashable]) -> None:
        """Hide all images and objects of other places, but for the layers of these keys."""
        from napari.layers import Image

        for layer in self._viewer.layers:
            covers = isinstance(layer, Image) or TABLE_KEY in layer.metadata
            if covers and layer.visible and layer.unique_id not in but:
                layer.visible = False
                self._keys.add(layer.unique_id)

    def bring_back(self) -> None:
        """Show again what is still there, and does not leave."""
        keys, self._keys = self._keys - self._leaving.keys, set()
        for layer in self._viewer.layers:
            if layer.unique_id in keys:
                layer.visible = True
