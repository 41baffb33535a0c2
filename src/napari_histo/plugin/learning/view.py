"""Regions of a learning project on the screen, with their objects in the Annotate panel."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from napari_histo.core import Box
from napari_histo.errors import HistoError
from napari_histo.plugin.aside import Aside
from napari_histo.plugin.geometry import centre_view, screen_px
from napari_histo.plugin.leaving import Leaving
from napari_histo.plugin.qupath.opening import annotate_dock
from napari_histo.plugin.readers import planes_as_layers
from napari_histo.session.learning.state import OpenedRegion
from napari_histo.session.qupath.desk import has_open

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_histo.plugin.annotate.dock import AnnotateDock

__all__ = ["RegionView"]

#: How much of the window a region takes.
_SHARE = 0.8
#: A frame in which the objects of the image before are hidden.
_LEFT_MS = 100


class RegionView:
    """What the Active learning panel shows in a viewer. Only for the window's thread.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Not napari's proxy.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._leaving = Leaving.of(viewer)
        self._aside = Aside(viewer)
        self._image: str | None = None
        #: Layers by image; hidden, not removed, when another one is opened: see `leaving`.
        self._layers: dict[str, list[Hashable]] = {}

    @property
    def shown(self) -> tuple[str, Image] | None:
        """Id of the image that is shown, and its first layer; None where there is none."""
        layers = self._own(self._image)
        return None if self._image is None or not layers else (self._image, layers[0])

    def forget(self) -> None:
        """Show no region any more: what the user had in view comes back.

        Another project comes, whose images may bear the same ids, or the panel is closed.
        """
        own = {key for keys in self._layers.values() for key in keys}
        self._leaving.wait()
        if self._annotated in own:
            self._save_annotation()
        for layer in [layer for layer in self._viewer.layers if layer.unique_id in own]:
            self._leaving.add(layer)
        self._image, self._layers = None, {}
        self._aside.bring_back()

    def let_go(self, image: str) -> int:
        """Close what is annotated on another image; nothing of it is lost.

        Returns
        -------
        int
            How many ms `show` should wait, so that they are hidden before the next image comes.
        """
        key = self._annotated
        if key is None or key in self._layers.get(image, []):
            return 0
        self._leaving.wait()
        return _LEFT_MS if self._close_annotation() else 0

    @property
    def _annotated(self) -> Hashable:
        """Key of the image whose objects are open in the Annotate panel, or soon will be."""
        dock = annotate_dock(self._viewer)
        choice = None if dock is None else dock.controller.state.image
        return None if choice is None else choice.key

    def _save_annotation(self) -> None:
        """Close it, with all edits in the file: the commands look for them there."""
        dock = annotate_dock(self._viewer)
        assert dock is not None
        try:
            dock.controller.hand_over()()
        except HistoError as error:  # the edits stay in the journal
            dock.controller.close()
            dock.controller.fail(error)

    def _close_annotation(self) -> bool:
        """Whether anything was open; else nothing will be, either."""
        dock = annotate_dock(self._viewer)
        was_open = dock is not None and dock.controller.state.is_open
        if dock is not None:
            dock.controller.close()
        return was_open

    def show(self, opened: OpenedRegion) -> Image:
        """Show a region's image alone, in place of the one before, and move to the region."""
        key = opened.row.image
        layers = self._own(key)
        comes = key != self._image or not any(layer.visible for layer in layers)
        if key != self._image:
            for layer in self._own(self._image):
                layer.visible = False
        if layers:
            opened.reader.close()
        else:
            layers = self._add(opened)
            self._layers[key] = [layer.unique_id for layer in layers]
        self._image = key
        if comes:
            self._put_aside()
            for layer in layers:
                layer.visible = True
        self._look_at(layers[0], opened.row.box)
        return layers[0]

    def annotate(self, image: Image, opened: OpenedRegion) -> None:
        """Open the objects of the image's file in the Annotate panel, where they are not yet."""
        dock: AnnotateDock | None = annotate_dock(self._viewer, opens=True)
        if dock is not None and not has_open(dock.controller, opened.file):
            dock.work_on(image, opened.file, classes=opened.classes)

    def _put_aside(self) -> None:
        """All but the region's image, and its objects where they are open already."""
        own = set(self._layers[self._image or ""])
        dock = annotate_dock(self._viewer)
        if dock is not None and dock.scene is not None:
            own |= dock.scene.layer_keys
        self._aside.put(but=own)

    def _add(self, opened: OpenedRegion) -> list[Any]:
        layers: list[Any] = []
        for data, options, _ in planes_as_layers([opened.reader]):
            named = options if isinstance(options["name"], list) else self._named(options, opened)
            added = self._viewer.add_image(data, **named)
            layers += added if isinstance(added, list) else [added]
        return layers

    @staticmethod
    def _named(options: dict[str, Any], opened: OpenedRegion) -> dict[str, Any]:
        return {**options, "name": opened.row.image_name}

    def _own(self, image: str | None) -> list[Any]:
        keys = self._layers.get(image or "", [])
        return [layer for layer in self._viewer.layers if layer.unique_id in keys]

    def _look_at(self, layer: Image, box: Box) -> None:
        height, width = self._viewer.canvas.size
        per_px = screen_px(self._viewer, layer)
        fitting = min(height / (box.height * per_px), width / (box.width * per_px))
        self._viewer.scene.camera.zoom *= _SHARE * fitting
        centre_view(self._viewer, layer, (box.x + box.width / 2, box.y + box.height / 2))
