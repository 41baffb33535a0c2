"""What two models find differently, drawn over the image in a colour each."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QTimer

from napari_histo.core import ObjectTable
from napari_histo.plugin.geometry import placement_of, screen_px, to_napari
from napari_histo.plugin.leaving import Leaving
from napari_histo.plugin.threads import AtEnd
from napari_histo.session.learning.compare import Comparison

if TYPE_CHECKING:
    from napari.layers import Image
    from qtpy.QtWidgets import QWidget

__all__ = ["COLOURS", "ChangesView"]

#: Also the names of the layers. They can be told apart on H&E, and by who sees red as green.
COLOURS = {"gained": "#00e676", "lost": "#ff3d00", "changed": "#ffea00"}
#: Of the earlier outline of a changed object.
_PALE = 0.4
_LINE_PX = 2.0
_CALM_MS = 80
_Segments = NDArray[np.float64]


class ChangesView:
    """Three layers of lines, as wide on the screen at each zoom. Only for the window's thread.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Not napari's proxy.
    panel : QWidget
        With it the lines cease to follow the camera.
    """

    def __init__(self, viewer: Any, panel: QWidget) -> None:
        self._viewer = viewer
        self._leaving = Leaving.of(viewer)
        self._image: Image | None = None
        #: By image and kind; hidden, not removed, when others are shown: see `leaving`.
        self._layers: dict[tuple[Hashable, str], Hashable] = {}
        self._zooming = QTimer(panel)
        self._zooming.setSingleShot(True)
        self._zooming.setInterval(_CALM_MS)
        self._zooming.timeout.connect(self._on_zoom)
        zoom, later = viewer.scene.camera.events.zoom, self._zoom_soon
        zoom.connect(later)
        panel.destroyed.connect(AtEnd(lambda: zoom.disconnect(later)))

    def show(self, found: Comparison, image: Image) -> None:
        """Draw a comparison over its image."""
        self.hide()
        self._image = image
        tables = found.tables
        rows = found.changes.changed[:, 0]
        for kind, colour in COLOURS.items():
            strong = _segments(tables[kind])
            pale = _segments(found.before.select(rows)) if kind == "changed" else strong[:0]
            layer = self._layer(kind, image)
            layer.edge_width = self._width()
            layer.data = np.concatenate([pale, strong])
            if len(layer.data):
                layer.edge_color = _colours(colour, len(pale), len(strong))
            layer.visible = True

    def hide(self) -> None:
        """Draw nothing any more."""
        self._image = None
        for layer in self._own():
            layer.visible = False

    def forget(self) -> None:
        """The images leave, and the lines with them."""
        self._image = None
        for layer in self._own():
            self._leaving.add(layer)
        self._layers = {}

    def _layer(self, kind: str, image: Image) -> Any:
        key = self._layers.get((image.unique_id, kind))
        found = next((x for x in self._viewer.layers if x.unique_id == key), None)
        if found is not None:
            return found
        active = self._viewer.layers.selection.active
        layer = self._viewer.add_vectors(
            np.zeros((0, 2, 2)),
            ndim=2,
            name=kind,
            vector_style="line",
            opacity=1.0,
            blending="translucent_no_depth",
            **placement_of(image),
        )
        self._layers[image.unique_id, kind] = layer.unique_id
        if active is not None:
            self._viewer.layers.selection.active = active  # whose keys and mouse go on to work
        return layer

    def _own(self) -> list[Any]:
        keys = set(self._layers.values())
        return [layer for layer in self._viewer.layers if layer.unique_id in keys]

    def _width(self) -> float:
        """Of a line, full-resolution px."""
        assert self._image is not None
        return _LINE_PX / max(screen_px(self._viewer, self._image), 1e-6)

    def _zoom_soon(self, _event: Any = None) -> None:
        if self._image is not None:
            self._zooming.start()

    def _on_zoom(self) -> None:
        for layer in self._own() if self._image is not None else ():
            if layer.visible:
                layer.edge_width = self._width()


def _segments(table: ObjectTable) -> _Segments:
    """(n, 2, 2) pieces of all outlines as starts and ways, y before x."""
    contours = table.contours
    yx = to_napari(contours.xy)
    pieces = np.stack([yx[:-1], np.diff(yx, axis=0)], axis=1) if len(yx) else yx.reshape(0, 2, 2)
    # Rings are closed: what leads from the end of one to the start of the next is no piece.
    return np.asarray(np.delete(pieces, contours.ring_offsets[1:-1] - 1, axis=0))


def _colours(colour: str, n_pale: int, n_strong: int) -> NDArray[np.float64]:
    rgb: Sequence[float] = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    pale, strong = np.array([*rgb, _PALE]), np.array([*rgb, 1.0])
    return np.concatenate([np.tile(pale, (n_pale, 1)), np.tile(strong, (n_strong, 1))])
