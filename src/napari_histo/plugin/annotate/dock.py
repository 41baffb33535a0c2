"""The Annotate panel: objects by clicks, and every mistake mended."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_histo.core import ClassScheme, ObjectTable
from napari_histo.plugin.annotate.form import AnnotateForm
from napari_histo.plugin.annotate.keys import Keys
from napari_histo.plugin.annotate.scene import Scene
from napari_histo.plugin.annotate.start import source_path
from napari_histo.plugin.annotate.words import (
    SIZE_UNKNOWN,
    TOOLS,
    brush_text,
    counts_text,
    kept_text,
)
from napari_histo.plugin.geometry import hint_um
from napari_histo.plugin.layers import reader_of
from napari_histo.plugin.objects_dock import ObjectsDock
from napari_histo.plugin.segment.warm_up import warm_up
from napari_histo.plugin.settings import AnnotateSettings
from napari_histo.plugin.start_choice import let_go_of
from napari_histo.plugin.threads import Mailbox
from napari_histo.session import (
    AnnotationController,
    AnnotationTools,
    ImageChoice,
    Outline,
    Tool,
)

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Image

__all__ = ["AnnotateDock"]

#: An answer comes within this time, most often: then the window is drawn once a gesture, not twice.
_ANSWER_MS = 60
#: One step of the brush's slider makes it so much larger; the first is a brush of one pixel.
_BRUSH_STEP, _LEAST_RADIUS_PX = 1.07, 0.5


class AnnotateDock(ObjectsDock):
    """Connects the form, the session and the viewer; holds no state of its own.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    tools : AnnotationTools, optional
        Others, for tests.
    """

    form: AnnotateForm
    controller: AnnotationController
    scene: Scene | None
    size_unknown = SIZE_UNKNOWN
    layer_gone = (
        "A layer of the annotation was removed. Your changes are kept: Start takes them up again."
    )
    layer_left = "Another layer is selected. Press a tool to go on."

    def __init__(
        self, napari_viewer: napari.viewer.Viewer, tools: AnnotationTools | None = None
    ) -> None:
        super().__init__(napari_viewer)
        self.form = AnnotateForm(self)
        self.controller = AnnotationController(Mailbox(self).post, tools)
        self._begin(self.controller.state, allows_none=True)
        warm_up()

    # -- connections -----------------------------------------------------------------------------

    def _make_actions(self) -> dict[str, Callable[[], None]]:
        """What keys and buttons do, by the names of the commands."""
        session = self.controller
        tools = {name: partial(self._choose_tool, name) for name in TOOLS}
        return {
            **tools,
            "merge": session.merge,
            "delete": session.delete,
            "smooth": session.smooth,
            "fill": session.fill_holes,
            "outline": session.switch_outline,
            "undo": session.undo,
            "redo": session.redo,
            "done": session.finish,
            "smaller": partial(self._step_brush, -3),
            "larger": partial(self._step_brush, 3),
            "review": self._toggle_review,
            "next": session.review_next,
            "previous": session.review_previous,
            "accept": session.accept,
        }

    def _connect_form(self) -> None:
        super()._connect_form()
        form, session = self.form, self.controller
        form.strip.tool_chosen.connect(self._act)
        form.strip.acted.connect(self._act)
        form.strip.brush_moved.connect(self._move_brush)
        form.outline.chosen.connect(session.set_outline)
        form.chips.chosen.connect(session.relabel)
        form.colour_box.currentIndexChanged.connect(self._show_view)
        form.saving.save_button.clicked.connect(self.save)
        form.saving.save_as_button.clicked.connect(self._ask_and_save)

    def _wires(self) -> list[tuple[Any, Callable[..., None]]]:
        settings = AnnotateSettings.events()
        more = [] if settings is None else [(settings, self._reload_settings)]
        return [*super()._wires(), *more]

    def _reload_settings(self) -> None:
        self.settings = AnnotateSettings.load()
        self.keys = Keys(self.settings.keys)
        self.form.set_keys(self.keys)
        if self.scene is not None:
            self.scene.bind(self.keys, self._actions)
        self._show_view()
        self._render_soon()

    # -- starting --------------------------------------------------------------------------------

    def work_on(
        self, image: Image, target: Path, *, classes: ClassScheme, tool: Tool | None = None
    ) -> None:
        """Open the objects of a file over an image; `classes` are for one that is not there yet."""
        self._begun_with = None
        let_go_of(self.viewer, image, but=self.controller)
        table = None if target.exists() else ObjectTable.empty(classes)
        choice = ImageChoice(
            image.unique_id, reader_of(image, self.viewer.dims.point), hint_um(image)
        )
        if tool is not None:
            self.controller.set_tool(tool)
        self.controller.open(choice, table=table, target=target, image_path=source_path(image))

    def _make_scene(self, image: Image) -> Scene:
        self.controller.objects.changed.connect(self._render_soon)
        return Scene(self.viewer, image, self.controller)

    # -- working ---------------------------------------------------------------------------------

    def _act(self, name: str) -> None:
        """A button: as its key, and the mouse works on the objects again."""
        self._activate()
        self._actions[name]()

    def _choose_tool(self, name: str) -> None:
        self.controller.set_tool(Tool(name))

    def _move_brush(self, step: int) -> None:
        self.controller.set_brush(_LEAST_RADIUS_PX * _BRUSH_STEP**step)

    def _step_brush(self, steps: int) -> None:
        self._move_brush(max(self._brush_step() + steps, 1))

    def _brush_step(self) -> int:
        ratio = self.controller.state.brush_px / _LEAST_RADIUS_PX
        return round(math.log(max(ratio, 1)) / math.log(_BRUSH_STEP))

    # -- showing the state -----------------------------------------------------------------------

    def _render_soon(self, *_: Any) -> None:
        """Once for all that a gesture changes, most often with the answer to it."""
        self._rendering.start(_ANSWER_MS if self.controller.state.in_flight else 0)

    def render_state(self) -> None:
        """Show the state, and no widget reports this as a change by the user."""
        state, form = self.controller.state, self.form
        form.show_open(*self._titles() if self.scene is not None else (None, ""))
        form.show_message(*self._message())
        if self.scene is None:
            return
        size = self.controller.pixel_size
        form.strip.render_state(state, self.keys)
        form.strip.show_brush(self._brush_step(), brush_text(state.brush_px, size))
        has_cells = self.controller.objects.has_cells or state.outline is Outline.NUCLEUS
        form.outline.show_outline(state.outline, visible=has_cells)
        form.chips.show_classes(state.classes, state.counts, state.current_class)
        form.review.show_walk(self._review_words())
        form.saving.counts.setText(counts_text(state))
        form.saving.kept.setText(kept_text(state))
        form.saving.kept.setToolTip(str(state.kept.target or ""))
        form.saving.save_button.setEnabled(state.kept.n_unsaved > 0 or state.kept.target is None)
        self.scene.show_marks()
        self.scene.show_tool()

    def _titles(self) -> tuple[str, str]:
        """The image, and where its objects go; shorter where the one tells the other."""
        state = self.controller.state
        image = "" if state.image is None else state.image.reader.info.name
        target = state.kept.target
        if target is None:
            return image, image
        beside = target.name.removesuffix(".geojson") in (image, Path(image).stem)
        return image if beside else f"{image} → {target.name}", f"{image}\n→ {target}"

    def _message(self) -> tuple[str, str]:
        if self.keys.problems and not self.controller.state.error:
            return self.keys.problems[0], "warning"
        return super()._message()
