"""Images of a QuPath project on the screen, with their objects in the Annotate panel."""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_histo.core import Box, ClassScheme, ObjectTable
from napari_histo.plugin.annotate.dock import AnnotateDock
from napari_histo.plugin.geometry import look_at, placement_of, show_whole, to_napari
from napari_histo.plugin.layers import STAINS_KEY
from napari_histo.plugin.leaving import Leaving
from napari_histo.plugin.readers import channel_colormap, planes_as_layers
from napari_histo.session import Tool
from napari_histo.session.qupath.desk import has_open
from napari_histo.session.qupath.state import ImageRow, OpenedSlide
from qupath_bridge.sync import Conflict

if TYPE_CHECKING:
    from napari.layers import Image

__all__ = ["ProjectView", "annotate_dock"]

_PLUGIN = "napari-histo"
_THEIRS = "in QuPath"
_THEIRS_COLOUR = "#00e5ff"
_POINT_PX = 20
#: A frame in which the objects of the image before are hidden.
_LEFT_MS = 100


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
        self._leaving = Leaving.of(viewer)
        self._key: str | None = None
        #: Layers by image; hidden when another one is opened, and taken away later.
        self._layers: dict[str, list[Hashable]] = {}
        self._theirs: dict[str, Hashable] = {}

    # -- images ----------------------------------------------------------------------------------

    def image(self, key: str | None) -> Image | None:
        """The layer of the image that is shown; None where it is another."""
        shown = self._own(key) if key is not None and key == self._key else []
        return shown[0] if shown else None

    def forget(self) -> None:
        """Another project comes: its images bear the same ids."""
        self.let_go("")
        self._leave()
        self._key, self._layers, self._theirs = None, {}, {}

    def let_go(self, key: str) -> int:
        """Close what is annotated on another image; nothing of it is lost.

        Returns
        -------
        int
            How many ms `show` should wait, so that they are hidden before the next image comes.
        """
        self._leaving.wait()
        self.show_theirs(None)
        dock = annotate_dock(self._viewer)
        before = [] if key == self._key else self._own(self._key)
        if dock is None or not any(_is_of(dock, layer) for layer in before):
            return 0
        was_open = dock.scene is not None
        dock.controller.close()  # also what is still being read, and would come too late
        return _LEFT_MS if was_open else 0

    def show(self, slide: OpenedSlide) -> Image:
        """Show an image in place of the one before; what else is in the window stays."""
        key = slide.row.key
        is_other = self.image(key) is None
        if is_other:
            self._leave()
        layers = self._own(key)
        if layers:
            slide.reader.close()
        else:
            layers = self._add(slide)
            _as_in_qupath(layers, slide)
            self._layers[key] = [layer.unique_id for layer in layers]
        self._key = key
        for layer in layers:
            layer.visible = True
        if is_other:
            show_whole(self._viewer, layers[0])
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

    def _own(self, key: str | None) -> list[Any]:
        keys = self._layers.get(key or "", [])
        return [layer for layer in self._viewer.layers if layer.unique_id in keys]

    def _leave(self) -> None:
        for layer in [*self._own(self._key), *self._own_theirs()]:
            self._leaving.add(layer)

    def _own_theirs(self) -> list[Any]:
        key = self._theirs.get(self._key or "")
        return [layer for layer in self._viewer.layers if layer.unique_id == key]

    # -- objects ---------------------------------------------------------------------------------

    def annotate(self, row: ImageRow, classes: ClassScheme) -> None:
        """Open an image's objects in the Annotate panel, where a click selects, for a start."""
        image = self.image(row.key)
        dock = annotate_dock(self._viewer, opens=True)
        if image is None or dock is None or row.file is None:
            return
        if not (_works_on(dock, image) and has_open(dock.controller, row.file)):
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
        """Draw QuPath's version of an object over ours; None hides it."""
        layer = next(iter(self._own_theirs()), None)
        is_shown = table is not None and bool(np.isfinite(table.contours.bounds).all())
        if layer is not None:
            layer.visible = is_shown
        if table is None or image is None or not is_shown:
            return
        if layer is None:
            layer = self._new_layer(image)
            self._theirs[self._key or ""] = layer.unique_id
        layer.data = []
        layer.add_paths(_lines(table), edge_color=_THEIRS_COLOUR, edge_width=1)

    def _new_layer(self, image: Image) -> Any:
        active = self._viewer.layers.selection.active
        layer = self._viewer.add_shapes(name=_THEIRS, ndim=2, **placement_of(image))
        if active is not None:
            self._viewer.layers.selection.active = active  # whose keys and mouse go on to work
        return layer


def _as_in_qupath(layers: list[Image], slide: OpenedSlide) -> None:
    """Names and colours of channels, and the stain vectors for the Segment panel."""
    for layer in layers:
        if layer.rgb and slide.stains:
            layer.metadata = {**layer.metadata, STAINS_KEY: slide.stains}
    if len(layers) < 2 or len(layers) != len(slide.channels):
        return
    for layer, (name, rgb), old in zip(
        layers, slide.channels, slide.reader.info.channel_names, strict=True
    ):
        layer.name = layer.name.removesuffix(old) + name
        layer.colormap = channel_colormap(rgb)


def _lines(table: ObjectTable) -> list[Any]:
    """All rings, and points as short lines."""
    contours = table.contours
    offsets = zip(contours.ring_offsets[:-1], contours.ring_offsets[1:], strict=True)
    rings = [to_napari(contours.xy[a:b]) for a, b in offsets]
    return [ring if len(ring) > 1 else np.concatenate([ring, ring + 1]) for ring in rings]


def _works_on(dock: AnnotateDock, image: Image) -> bool:
    return dock.scene is not None and _is_of(dock, image)


def _is_of(dock: AnnotateDock, image: Image) -> bool:
    """Whether what the panel has open, or reads, are the image's objects."""
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
