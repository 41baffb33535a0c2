"""The layers of one image whose objects are worked on, and the mouse on them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from napari_histo.core import Box
from napari_histo.plugin.annotate.canvas import Listener, Mouse, Stroke
from napari_histo.plugin.annotate.keys import Keys
from napari_histo.plugin.annotate.marks import Marks
from napari_histo.plugin.annotate.words import object_facts
from napari_histo.plugin.geometry import look_at, screen_px
from napari_histo.plugin.objects_painter import ColourBy, Colouring
from napari_histo.plugin.objects_view import ObjectsView
from napari_histo.session.annotate.cell_edits import shown_outline
from napari_histo.session.annotate.desk import Desk

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

__all__ = ["ObjectsScene"]

_FILL_OPACITY = 0.45
#: For the status bar, in place of what napari's keys 1-7 would do to labels.
_HELP = "hold <space> or the middle button to move the view"


class ObjectsScene:
    """Shows the objects of a session that is open, and tells the session what the mouse does.

    Subclasses say what a stroke does. Only for the thread of the window.

    Parameters
    ----------
    viewer : ViewerModel
    image : Image
    session : Desk
    colouring : Colouring, optional
        What classes are shown; the objects' own by default.
    """

    def __init__(
        self, viewer: ViewerModel, image: Image, session: Desk, colouring: Colouring | None = None
    ) -> None:
        self._viewer = viewer
        self.image = image
        self._desk = session
        self._facts = ""
        self._marked: tuple[Any, ...] = (-1, (), (), None)
        name = f"{image.name} · objects"
        self.view = ObjectsView(viewer, image, session.objects, name=name, colouring=colouring)
        self.marks = Marks(viewer, image, f"{image.name} · marks")
        listener = Listener(self._draws, self._preview, self._on_stroke, self._on_hover)
        self.mouse = Mouse(viewer, self.layer, listener)
        self._outline_px = self.view.outline_px
        viewer.events.status.connect(self._amend_status)
        viewer.scene.camera.events.zoom.connect(self._fit_outlines)
        self.layer.events.mode.connect(self._tell_help)  # napari tells its own then
        self._tell_help()
        self.activate()

    def close(self) -> None:
        """Show nothing any more. The layers stay until they may leave; see `Leaving`."""
        self._viewer.events.status.disconnect(self._amend_status)
        self._viewer.scene.camera.events.zoom.disconnect(self._fit_outlines)
        self.layer.events.mode.disconnect(self._tell_help)
        self.mouse.close()
        self.marks.clear()
        self.view.stop()
        for layer in (self.layer, self.marks.layer):
            layer.name = f"{layer.name} · closed"  # whoever comes before it left gets its name

    @property
    def layer(self) -> Labels:
        """The layer of the objects, which gets mouse and keys."""
        return self.view.layer

    @property
    def layer_keys(self) -> set[Hashable]:
        """Of all layers without which there is nothing to annotate."""
        return {x.unique_id for x in (self.image, self.layer, self.marks.layer)}

    def activate(self) -> None:
        """Let the objects' layer get mouse and keys."""
        self._viewer.layers.selection.active = self.layer

    def bind(self, keys: Keys, actions: Mapping[str, Callable[[], None]]) -> None:
        """Let keys act on the session while the objects' layer is active."""
        keys.bind(self.layer, actions, self._choose_class, self.mouse.hold_to_pan)

    # -- showing ---------------------------------------------------------------------------------

    def show_marks(self) -> None:
        """What is selected, and the gestures of the object that is being made."""
        state, objects = self._desk.state, self._desk.objects
        marked = (objects.version, state.selection, state.prompts, state.outline)
        if any(a is not b and a != b for a, b in zip(marked, self._marked, strict=True)):
            self._marked = marked
            outlines = shown_outline(objects.get(state.selection), state.outline)
            self.marks.show(outlines, state.prompts)

    def show_objects(self, colour_by: ColourBy, outline_px: int) -> None:
        """How the objects are drawn; an outline of 0 px fills them."""
        self._outline_px = outline_px
        self.view.colour_by = colour_by
        self.layer.opacity = 1.0 if outline_px else _FILL_OPACITY
        self._fit_outlines()

    def _fit_outlines(self, _event: Any = None) -> None:
        """As wide on the screen: napari's outlines are as wide in pixels of the labels."""
        width = self._outline_px / max(screen_px(self._viewer, self.layer), 1)
        fitting = max(round(width), 1) if self._outline_px else 0
        if fitting != self.view.outline_px:
            self.view.outline_px = fitting

    def _tell_help(self, _event: Any = None) -> None:
        self.layer.help = _HELP

    def look_at(self, box: Box) -> None:
        """Bring an object into the middle, large enough to be judged."""
        look_at(self._viewer, self.layer, box)

    def facts_of(self, object_id: UUID) -> str:
        """Class, size and score of an object that is there."""
        return object_facts(self._desk.objects.get([object_id]), self._desk.pixel_size)

    # -- the mouse -------------------------------------------------------------------------------

    def _draws(self) -> bool:
        """Whether dragging draws; else it moves the view."""
        return False

    def _preview(self, stroke: Stroke | None) -> None:
        """A stroke that is going on; None when it ends."""

    def _on_stroke(self, stroke: Stroke) -> None:
        """A stroke that is done."""
        raise NotImplementedError

    def _on_hover(self, x: float, y: float) -> None:
        found = self._desk.objects.at(x, y)
        before, self._facts = self._facts, ""
        if found is not None:
            self._facts = self.facts_of(found)
        if self._facts != before and isinstance(self._viewer.status, str):
            self._viewer.status = self._facts  # napari says nothing of layers itself
        self._amend_status()

    def _amend_status(self, _event: Any = None) -> None:
        """Put what is known of the object where napari writes the value of the label."""
        status = self._viewer.status
        if not isinstance(status, dict) or not self.mouse.is_active:
            return
        place = str(status.get("coordinates", "")).partition("]")[0]
        said = f"{place}]  {self._facts}" if self._facts else f"{place}]"
        if place and status["coordinates"] != said:
            self._viewer.status = {**status, "coordinates": said}

    @property
    def _class_names(self) -> tuple[str, ...]:
        """Classes of the keys, in order."""
        return self._desk.state.classes.names

    def _choose_class(self, position: int) -> None:
        names = self._class_names
        if position < len(names):
            self._on_class(names[position])

    def _on_class(self, name: str) -> None:
        """The key of a class."""
        self._desk.relabel(name)
