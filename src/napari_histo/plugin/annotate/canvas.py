"""What the mouse does on the objects' layer, as strokes in full-resolution px of the image."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.plugin.geometry import point_px

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

__all__ = ["Listener", "Mouse", "Stroke"]

_LEFT, _RIGHT, _MIDDLE = 1, 2, 3
#: A hand that clicks trembles by as much, px of the screen.
_TREMBLE_PX = 4
#: napari's own answers to the mouse that ours take the place of while our layer is active.
_REPLACED = {"double_click_to_zoom", "drag_to_zoom"}


@dataclass(frozen=True, eq=False)
class Stroke:
    """From pressing a button to letting it go.

    Attributes
    ----------
    xy : (n, 2) float64
        Where the mouse was, full-resolution px; one point for a click.
    exclude : bool
        With Alt or the right button.
    extend : bool
        With Ctrl (Command on a Mac).
    add : bool
        With Shift.
    """

    xy: NDArray[np.float64]
    exclude: bool = False
    extend: bool = False
    add: bool = False

    @property
    def is_click(self) -> bool:
        """True where the mouse stood still."""
        return len(self.xy) == 1


@dataclass(frozen=True)
class Listener:
    """Who wants to know.

    Attributes
    ----------
    draws : callable
        True while dragging with the left button draws; else it moves the view.
    preview : callable
        A stroke that is going on; None when it ends.
    stroke : callable
        A stroke that is done.
    hover : callable
        The mouse stands at (x, y), full-resolution px, with no button down.
    """

    draws: Callable[[], bool]
    preview: Callable[[Stroke | None], None]
    stroke: Callable[[Stroke], None]
    hover: Callable[[float, float], None]


class Mouse:
    """Turns mouse events of one layer into strokes, for as long as it is the active layer.

    The wheel zooms, the middle button or a held space bar moves the view, whatever the tool.

    Parameters
    ----------
    viewer : ViewerModel
    layer : Layer
        2-D, exactly over the image.
    listener : Listener
    """

    def __init__(self, viewer: ViewerModel, layer: Layer, listener: Listener) -> None:
        self._viewer = viewer
        self._layer = layer
        self._listener = listener
        self._replaced: list[tuple[list[Any], Any]] = []
        self.holds_space = False
        layer.mouse_drag_callbacks.append(self._on_press)
        layer.mouse_move_callbacks.append(self._on_hover)
        viewer.layers.selection.events.active.connect(self._on_active)
        self._on_active()

    def close(self) -> None:
        """Give napari's own answers back."""
        self._viewer.layers.selection.events.active.disconnect(self._on_active)
        self._restore()
        for callbacks, own in (
            (self._layer.mouse_drag_callbacks, self._on_press),
            (self._layer.mouse_move_callbacks, self._on_hover),
        ):
            if own in callbacks:
                callbacks.remove(own)

    @property
    def is_active(self) -> bool:
        """True while our layer gets the events."""
        active = self._viewer.layers.selection.active
        return active is not None and active.unique_id == self._layer.unique_id

    def hold_to_pan(self, _layer: Any) -> Generator[None, None, None]:
        """For the space bar, as napari's bindings want it."""
        self.holds_space = True
        yield
        self.holds_space = False

    # -- napari's own answers --------------------------------------------------------------------

    def _on_active(self) -> None:
        self._restore()
        if not self.is_active:
            return
        # Two quick clicks would zoom in, and Alt would draw a box to zoom to.
        for callbacks in (
            self._viewer.mouse_double_click_callbacks,
            self._viewer.mouse_drag_callbacks,
        ):
            for own in [f for f in callbacks if getattr(f, "__name__", "") in _REPLACED]:
                callbacks.remove(own)
                self._replaced.append((callbacks, own))

    def _restore(self) -> None:
        for callbacks, own in self._replaced:
            callbacks.append(own)
        self._replaced.clear()

    # -- events ----------------------------------------------------------------------------------

    def _on_hover(self, _layer: Any, event: Any) -> None:
        self._listener.hover(*self._at(event))

    def _on_press(self, _layer: Any, event: Any) -> Generator[None, None, None]:
        if event.button == _MIDDLE:
            yield from self._pan(event)
        elif event.button in (_LEFT, _RIGHT) and not self.holds_space:
            yield from self._draw(event)

    def _pan(self, event: Any) -> Generator[None, None, None]:
        """The place under the mouse stays under it."""
        camera = self._viewer.scene.camera
        held = np.asarray(event.position[-2:])
        event.handled = True
        yield
        while event.type == "mouse_move":
            moved = np.asarray(camera.center[-2:]) + held - np.asarray(event.position[-2:])
            camera.center = (*camera.center[:-2], *moved.tolist())
            event.handled = True
            yield

    def _draw(self, event: Any) -> Generator[None, None, None]:
        keys = {
            "exclude": event.button == _RIGHT or "Alt" in event.modifiers,
            "extend": "Control" in event.modifiers,
            "add": "Shift" in event.modifiers,
        }
        # Where dragging draws nothing the left button moves the view, as everywhere in napari.
        draws = self._listener.draws()
        ours = draws or event.button == _RIGHT
        pressed, points, dragged = np.asarray(event.pos), [self._at(event)], False
        event.handled = ours
        yield
        while event.type == "mouse_move":
            dragged = dragged or _is_far(event.pos, pressed)
            if dragged and draws:
                points.append(self._at(event))
                self._listener.preview(Stroke(np.array(points), **keys))
            event.handled = ours
            yield
        dragged = dragged or _is_far(event.pos, pressed)
        self._listener.preview(None)
        if dragged and draws:
            points.append(self._at(event))
            self._listener.stroke(Stroke(np.array(points), **keys))
        elif not dragged:
            self._listener.stroke(Stroke(np.array(points[:1]), **keys))
        event.handled = ours

    def _at(self, event: Any) -> tuple[float, float]:
        return point_px(self._viewer, self._layer, event.position)


def _is_far(pos: Any, pressed: NDArray[Any]) -> bool:
    return float(np.hypot(*(np.asarray(pos) - pressed))) > _TREMBLE_PX
