"""Images of a QuPath project on the screen, with their objects in the Annotate panel."""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_histo.core import Box, ClassScheme, ObjectTable
from napari_histo.plugin.annotate import AnnotateDock
from napari_histo.plugin.geometry import look_at, placement_of, to_napari
from napari_histo.plugin.readers import planes_as_layers
from napari_histo.session import Tool
from napari_histo.session.qupath_state import ImageRow, OpenedSlide
from qupath_bridge.sync import Conflict

if TYPE_CHECKING:
    from napari.layers import Image, Layer

__all__ = ["ProjectView", "annotate_dock"]

_PLUGIN = "napari-histo"
_THEIRS = "in QuPath"
_THEIRS_COLOUR = "#00e5ff"
_POINT_PX = 20


def annotate_dock(viewer: Any, *, opens: bool = False) -> AnnotateDock | None:
    """The Annotate panel of a window; with `opens` one is made where there is none."""
    for widget in viewer.window.dock_widgets.values():
        if isinstance(widget, AnnotateDock):
            return widget
    if not opens:
        return None
    _, made = viewer.window.add_plugin_dock_widget(_PLUGIN, "Annotate", tabify=True)
    return made if isinstance(made, AnnotateDock) else None


class ProjectView:
    """What the QuPath panel shows in a viewer: one image at a time. Only for the window's thread.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Not napari's proxy.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._key: str | None = None
        self._layers: list[Hashable] = []
        self._theirs: Hashable = None

    # -- images ----------------------------------------------------------------------------------

    def image(self, key: str | None) -> Image | None:
        """The layer of an image of the project; None where it is not shown."""
        shown = self._own_layers() if key is not None and key == self._key else []
        return shown[0] if shown else None

    def show(self, slide: OpenedSlide) -> Image:
        """Show an image in place of the one before; what else is in the window stays."""
        image = self.image(slide.row.key)
        if image is not None:
            slide.reader.close()
            image.visible = True
            return image
        self._take_away()
        layers = self._add(slide)
        self._key, self._layers = slide.row.key, [layer.unique_id for layer in layers]
        self._viewer.reset_view()
        return layers[0]

    def _add(self, slide: OpenedSlide) -> list[Image]:
        if not slide.is_view:
            # As any slide, so that its layers know their file; but napari asks for no reader of
            # ours for PNG and JPEG.
            with suppress(ValueError):
                opened = list(self._viewer.open(slide.row.image.require(), plugin=_PLUGIN))
                slide.reader.close()
                return opened
        layers: list[Image] = []
        for data, options, _ in planes_as_layers([slide.reader]):
            added = self._viewer.add_image(data, **{**options, "name": slide.row.entry.name})
            layers += added if isinstance(added, list) else [added]
        return layers

    def _take_away(self) -> None:
        """The image before; what was being annotated on it is closed, and kept."""
        self.show_theirs(None)
        before = self._own_layers()
        dock = annotate_dock(self._viewer)
        choice = None if dock is None else dock.controller.state.image
        if dock is not None and choice is not None and choice.key in self._layers:
            dock.controller.close()
        for layer in before:
            self._viewer.layers.remove(layer)
        self._key, self._layers = None, []

    def _own_layers(self) -> list[Any]:
        return [layer for layer in self._viewer.layers if layer.unique_id in self._layers]

    # -- objects ---------------------------------------------------------------------------------

    def annotate(self, row: ImageRow, classes: ClassScheme) -> None:
        """Open an image's objects in the Annotate panel, where a click selects, for a start."""
        image = self.image(row.key)
        dock = annotate_dock(self._viewer, opens=True)
        if image is not None and dock is not None and row.file is not None:
            dock.work_on(image, row.file, classes=classes, tool=Tool.PICK)

    def look_at(self, key: str, conflict: Conflict) -> bool:
        """Bring a conflict's object into the middle; False where its image is not shown."""
        image = self.image(key)
        if image is None:
            return False
        box = _box_of(conflict)
        if box is not None:
            look_at(self._viewer, image, box)
        dock = annotate_dock(self._viewer)
        if dock is not None and dock.controller.state.is_open and _works_on(dock, image):
            dock.controller.select([conflict.object_id])
        self.show_theirs(conflict.theirs, image)
        return True

    def show_theirs(self, table: ObjectTable | None, image: Image | None = None) -> None:
        """Draw QuPath's version of an object over ours; None takes it away."""
        viewer = self._viewer
        active = viewer.layers.selection.active
        for layer in [x for x in viewer.layers if x.unique_id == self._theirs]:
            viewer.layers.remove(layer)
        self._theirs = None
        if table is None or image is None or not np.isfinite(table.contours.bounds).all():
            return
        layer = self._draw(table, image)
        self._theirs = layer.unique_id
        if active is not None and active in viewer.layers:
            viewer.layers.selection.active = active  # whose keys and mouse go on to work

    def _draw(self, table: ObjectTable, image: Image) -> Layer:
        contours = table.contours
        rings = [
            to_napari(contours.xy[a:b])
            for a, b in zip(contours.ring_offsets[:-1], contours.ring_offsets[1:], strict=True)
        ]
        layer: Layer = self._viewer.add_shapes(
            [ring for ring in rings if len(ring) > 1],
            shape_type="path",
            name=_THEIRS,
            ndim=2,
            edge_color=_THEIRS_COLOUR,
            edge_width=1,
            face_color="transparent",
            **placement_of(image),
        )
        return layer


def _works_on(dock: AnnotateDock, image: Image) -> bool:
    choice = dock.controller.state.image
    return choice is not None and choice.key == image.unique_id


def _box_of(conflict: Conflict) -> Box | None:
    """Bounds of both versions."""
    tables = [t for t in (conflict.ours, conflict.theirs) if t is not None]
    bounds = np.concatenate([t.contours.bounds for t in tables])
    bounds = bounds[np.isfinite(bounds).all(axis=1)]
    if not len(bounds):
        return None
    low, high = bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0)
    low, high = np.floor(low), np.ceil(np.maximum(high, low + 1))
    if (high - low).max() <= 1:  # a point
        low, high = low - _POINT_PX, high + _POINT_PX
    return Box.from_edges(*low.astype(int).tolist(), *high.astype(int).tolist())
