"""Thin lines over the objects: what is selected, what was clicked, what the mouse draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import BoxPrompt, Contours, PointPrompt, Prompt, ScribblePrompt
from napari_histo.plugin.geometry import placement_of, screen_px, to_napari

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

__all__ = ["EXCLUDE", "INCLUDE", "Line", "Marks", "box_ring", "rings"]

#: Colours that neither stains nor QuPath's classes have.
INCLUDE, EXCLUDE = "#b4ff00", "#ff1744"
_LINE_PX = 2.5
_CROSS_PX = 6
_APART_PX = 4
#: More outlines than these nobody tells apart, and drawing them would take long.
_MAX_OUTLINES = 200

#: Vertices (n, 2) in full-resolution px, and a colour.
Line = tuple[NDArray[np.float64], str]


class Marks:
    """One layer of lines, always as wide on the screen. Only for the thread of the window.

    Parameters
    ----------
    viewer : ViewerModel
    image : Image
        That the lines are drawn over.
    name : str
    """

    def __init__(self, viewer: ViewerModel, image: Image, name: str = "marks") -> None:
        self._viewer = viewer
        self._image = image
        self._selected: NDArray[np.object_] = np.zeros(0, object)
        self._stroke: list[Line] = []
        self._prompts: tuple[Prompt, ...] = ()
        self.layer = viewer.add_vectors(
            np.zeros((0, 2, 2)),
            ndim=2,
            name=name,
            vector_style="line",
            opacity=1.0,
            blending="translucent_no_depth",
            **placement_of(image),
        )
        viewer.scene.camera.events.zoom.connect(self._on_zoom)

    def clear(self) -> None:
        """Draw nothing any more, and follow the camera no longer."""
        self._viewer.scene.camera.events.zoom.disconnect(self._on_zoom)
        self._selected, self._stroke, self._prompts = self._selected[:0], [], ()
        self._draw()

    # -- what to draw ----------------------------------------------------------------------------

    def show(self, selected: Contours, prompts: Sequence[Prompt]) -> None:
        """Outlines of what is selected; crosses, boxes, squiggles of what is being made."""
        some = selected.take(np.arange(min(len(selected), _MAX_OUTLINES)))
        self._selected = some.to_shapely()
        self._prompts = tuple(prompts)
        self._draw()

    def show_stroke(self, lines: Sequence[Line]) -> None:
        """What the mouse draws now; nothing when it ends."""
        if lines or self._stroke:
            self._stroke = list(lines)
            self._draw()

    # -- drawing ---------------------------------------------------------------------------------

    def _draw(self) -> None:
        lines = [*self._selection_lines(), *self._prompt_lines(), *self._stroke]
        segments = [_segments(xy) for xy, _ in lines]
        colours = [c for (_, c), s in zip(lines, segments, strict=True) for _ in range(len(s))]
        layer = self.layer
        if not colours:
            if len(layer.data):
                layer.data = np.zeros((0, 2, 2))
            return
        # Each of these makes napari draw anew, in some milliseconds.
        if layer.edge_width != self._line_width():
            layer.edge_width = self._line_width()
        layer.data = np.concatenate(segments)
        layer.edge_color = colours

    def _selection_lines(self) -> list[Line]:
        """A little outside of the outlines, whose colours tell the class."""
        import shapely

        around = shapely.buffer(self._selected, _APART_PX / self._scale(), quad_segs=3)
        return [(ring, INCLUDE) for ring in rings(around)]

    def _prompt_lines(self) -> list[Line]:
        size = _CROSS_PX / self._scale()
        return [
            (xy, INCLUDE if prompt.positive else EXCLUDE)
            for prompt in self._prompts
            for xy in _prompt_shape(prompt, size)
        ]

    def _scale(self) -> float:
        return max(screen_px(self._viewer, self._image), 1e-6)

    def _line_width(self) -> float:
        return _LINE_PX / self._scale()

    def _on_zoom(self, _event: Any = None) -> None:
        if len(self.layer.data):
            self._draw()


def _segments(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pieces of a line as vectors: a start and a way, y before x."""
    yx = to_napari(xy)
    return np.stack([yx[:-1], np.diff(yx, axis=0)], axis=1)


def _prompt_shape(prompt: Prompt, size: float) -> list[NDArray[np.float64]]:
    if isinstance(prompt, PointPrompt):
        return _cross(prompt, size)
    if isinstance(prompt, BoxPrompt):
        return [box_ring(prompt.left, prompt.top, prompt.right, prompt.bottom)]
    assert isinstance(prompt, ScribblePrompt)
    return [np.asarray(prompt.xy, np.float64)]


def _cross(point: PointPrompt, size: float) -> list[NDArray[np.float64]]:
    """A plus, or a minus."""
    middle = np.array([point.x, point.y])
    across, down = np.array([[-size, 0], [size, 0]]), np.array([[0, -size], [0, size]])
    return [middle + across] + ([middle + down] if point.positive else [])


def box_ring(left: float, top: float, right: float, bottom: float) -> NDArray[np.float64]:
    """Closed ring of a box."""
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    return np.array(corners, np.float64)


def rings(shapes: NDArray[np.object_]) -> list[NDArray[np.float64]]:
    """Closed lines around polygons, and around their holes."""
    import shapely

    lines = shapely.get_parts(shapely.boundary(shapes[~shapely.is_missing(shapes)]))
    return [shapely.get_coordinates(line) for line in lines]
