"""The layers of one image that is being annotated, and the mouse on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_histo.plugin.annotate.canvas import Stroke
from napari_histo.plugin.annotate.gestures import carry_out, draws, preview
from napari_histo.plugin.geometry import screen_px
from napari_histo.plugin.objects_scene import ObjectsScene
from napari_histo.session import AnnotationController, Tool

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

__all__ = ["Scene"]

_CURSORS = {Tool.PAINT: "circle", Tool.ERASE: "circle", Tool.PICK: "pointing"}


class Scene(ObjectsScene):
    """Shows the objects of an annotation, and tells it what is clicked and drawn.

    Only for the thread of the window.

    Parameters
    ----------
    viewer : ViewerModel
    image : Image
    session : AnnotationController
    """

    def __init__(self, viewer: ViewerModel, image: Image, session: AnnotationController) -> None:
        self._session = session
        super().__init__(viewer, image, session)

    def show_tool(self) -> None:
        """The mouse's shape tells the tool."""
        state, layer = self._session.state, self.layer
        layer.cursor = _CURSORS.get(state.tool, "cross")
        if layer.cursor == "circle":
            zoom = self._viewer.scene.camera.zoom
            layer.cursor_size = 2 * state.brush_px * screen_px(self._viewer, layer) / zoom

    def _draws(self) -> bool:
        return draws(self._session.state.tool)

    def _preview(self, stroke: Stroke | None) -> None:
        self.marks.show_stroke([] if stroke is None else preview(self._session, stroke))

    def _on_stroke(self, stroke: Stroke) -> None:
        carry_out(self._session, stroke)
