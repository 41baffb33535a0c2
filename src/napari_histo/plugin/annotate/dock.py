"""The Annotate panel: objects by clicks, and every mistake mended."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_histo.core import ClassScheme, ObjectTable
from napari_histo.plugin.annotate.chips import free_colour
from napari_histo.plugin.annotate.form import AnnotateForm
from napari_histo.plugin.annotate.keys import Keys
from napari_histo.plugin.annotate.scene import Scene
from napari_histo.plugin.annotate.start import Beginning, source_path
from napari_histo.plugin.annotate.words import (
    SIZE_UNKNOWN,
    TOOLS,
    brush_text,
    counts_text,
    kept_text,
    object_facts,
    review_text,
)
from napari_histo.plugin.desk_files import ask_and_import_classes, ask_and_save, notify
from napari_histo.plugin.geometry import hint_um
from napari_histo.plugin.layers import reader_of
from napari_histo.plugin.leaving import Leaving
from napari_histo.plugin.segment.warm_up import warm_up
from napari_histo.plugin.settings import AnnotateSettings
from napari_histo.plugin.start_choice import StartChoice, let_go_of
from napari_histo.plugin.theme import style_sheet, theme_colour
from napari_histo.plugin.threads import AtEnd, Mailbox
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

_SOME_FRAMES_MS = 400
#: An answer comes within this time, most often: then the window is drawn once a gesture, not twice.
_ANSWER_MS = 60
#: One step of the brush's slider makes it so much larger; the first is a brush of one pixel.
_BRUSH_STEP, _LEAST_RADIUS_PX = 1.07, 0.5


class AnnotateDock(QWidget):
    """Connects the form, the session and the viewer; holds no state of its own.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    tools : AnnotationTools, optional
        Others, for tests.
    """

    def __init__(
        self, napari_viewer: napari.viewer.Viewer, tools: AnnotationTools | None = None
    ) -> None:
        super().__init__()
        # napari hands plugins a wrapper that warns of each private access, four times an edit.
        self.viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.form = AnnotateForm(self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.form)
        self.controller = AnnotationController(Mailbox(self).post, tools)
        self.settings = AnnotateSettings.load()
        self.keys = Keys(self.settings.keys)
        self.choice = StartChoice(
            self.viewer,
            self.form.start,
            lambda: ClassScheme.of(*self.settings.class_names),
            allows_none=True,
            size_unknown=SIZE_UNKNOWN,
        )
        self.scene: Scene | None = None
        self._leaving = Leaving(self, self.viewer)
        self._is_replaced = False
        self._begun_with: Beginning | None = None
        self._rendering = QTimer(self)
        self._rendering.setSingleShot(True)
        self._rendering.timeout.connect(self.render_state)
        self.form.set_keys(self.keys)
        self._actions = self._make_actions()
        self._connect_form()
        self._connect_state()
        self._connect_viewer()
        self._refresh_images()
        self.render_state()
        warm_up()

    def event(self, event: QEvent | None) -> bool:
        """End the session where the panel is closed: napari then takes it away, and keeps it."""
        if event is not None and event.type() == QEvent.Type.ParentChange and not self.parent():
            self.controller.close()
        return super().event(event)

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
        form, session = self.form, self.controller
        form.start.start_button.clicked.connect(self.start)
        form.start.segment_button.clicked.connect(self._open_segment_panel)
        form.close_button.clicked.connect(session.close)
        form.strip.tool_chosen.connect(self._act)
        form.strip.acted.connect(self._act)
        form.strip.brush_moved.connect(self._move_brush)
        form.outline.chosen.connect(session.set_outline)
        form.chips.chosen.connect(session.relabel)
        form.chips.added.connect(self._add_class)
        form.chips.renamed.connect(session.rename_class)
        form.chips.recoloured.connect(session.recolour_class)
        form.chips.import_wanted.connect(self._ask_and_import_classes)
        form.fill_box.currentIndexChanged.connect(self._show_view)
        form.colour_box.currentIndexChanged.connect(self._show_view)
        form.review.start_button.clicked.connect(self._toggle_review)
        for name, button in form.review.buttons.items():
            button.clicked.connect(self._actions[name])
        form.saving.save_button.clicked.connect(self.save)
        form.saving.save_as_button.clicked.connect(self._ask_and_save)

    def _connect_state(self) -> None:
        events = self.controller.state.events
        events.connect(self._render_soon)
        events.is_open.connect(self._on_open)
        events.error.connect(notify)
        events.review.connect(self._look_at_review)

    def _connect_viewer(self) -> None:
        layers = self.viewer.layers.events
        wires: list[tuple[Any, Any]] = [
            (layers.inserted, self._refresh_images),
            (layers.removed, self._on_removed),
            (layers.reordered, self._refresh_images),
            (layers.renamed, self._refresh_images),
            (self.viewer.layers.selection.events.active, self._render_soon),
            (self.viewer.events.theme, self._apply_theme),
        ]
        settings = AnnotateSettings.events()
        if settings is not None:
            wires.append((settings, self._reload_settings))
        for event, slot in wires:
            event.connect(slot)
        self._apply_theme()
        controller = self.controller

        def on_destroyed() -> None:
            controller.state.events.disconnect()
            controller.close()
            for event, slot in wires:
                event.disconnect(slot)

        self.destroyed.connect(AtEnd(on_destroyed))

    def _apply_theme(self) -> None:
        theme = self.viewer.theme
        self.setStyleSheet(style_sheet(theme))
        text = theme_colour(theme, "text")
        quiet = theme_colour(theme, "secondary")
        self.form.set_colours(text.name(), quiet.name())

    def _reload_settings(self) -> None:
        self.settings = AnnotateSettings.load()
        self.keys = Keys(self.settings.keys)
        self.form.set_keys(self.keys)
        if self.scene is not None:
            self.scene.bind(self.keys, self._actions)
        self._show_view()
        self._render_soon()

    # -- starting --------------------------------------------------------------------------------

    def _refresh_images(self) -> None:
        if self.scene is None:  # nobody chooses while an image is annotated
            self.choice.refresh()

    def start(self) -> None:
        """Open the chosen image and objects; `state.is_open` tells when they are there."""
        self._begun_with = self.choice.begin(self.controller) or self._begun_with

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

    def make_room(self) -> None:
        """Close, because another image comes at once: the layers leave later, see `Leaving`."""
        self._is_replaced = True
        try:
            self.controller.close()
        finally:
            self._is_replaced = False

    def _on_open(self, is_open: bool) -> None:
        self._close_scene()
        image = self._image_of_session()
        if not is_open or image is None:
            self._refresh_images()
            return
        self.choice.hide_layer(self._begun_with)
        self.scene = Scene(self.viewer, image, self.controller)
        self.scene.bind(self.keys, self._actions)
        self.controller.objects.changed.connect(self._render_soon)
        self._show_view()

    def _close_scene(self) -> None:
        scene, self.scene = self.scene, None
        if scene is not None:
            scene.close(keeps_objects=self._is_replaced)
            if self._is_replaced:
                self._leaving.add(scene.layer)
                self._leaving.add(scene.marks.layer)
                return
            later = QTimer(self)  # ends with the panel
            later.setSingleShot(True)
            later.timeout.connect(scene.marks.close)
            later.start(_SOME_FRAMES_MS)

    def _image_of_session(self) -> Image | None:
        choice = self.controller.state.image
        return None if choice is None else self.choice.image_of(choice.key)

    def _on_removed(self, event: Any) -> None:
        if self.scene is not None and event.value.unique_id in self.scene.layer_keys:
            self.controller.close()
            self.controller.state.notice = (
                "A layer of the annotation was removed. Your changes are kept: Start takes "
                "them up again."
            )
        self._refresh_images()

    def _open_segment_panel(self) -> None:
        self.viewer.window.add_plugin_dock_widget("napari-histo", "Segment nuclei", tabify=True)

    # -- working ---------------------------------------------------------------------------------

    def _act(self, name: str) -> None:
        """A button: as its key, and the mouse works on the objects again."""
        if self.scene is not None:
            self.scene.activate()
        self._actions[name]()

    def _choose_tool(self, name: str) -> None:
        self.controller.set_tool(Tool(name))

    def _add_class(self, name: str) -> None:
        self.controller.add_class(name, free_colour(name, self.controller.state.classes))

    def _toggle_review(self) -> None:
        if self.controller.state.review is None:
            self.controller.review_start()
        else:
            self.controller.review_stop()
        self._render_soon()  # the button changed by itself

    def _look_at_review(self, review: Any) -> None:
        if review is not None and self.scene is not None:
            self.scene.look_at(review.box)

    def _move_brush(self, step: int) -> None:
        self.controller.set_brush(_LEAST_RADIUS_PX * _BRUSH_STEP**step)

    def _step_brush(self, steps: int) -> None:
        self._move_brush(max(self._brush_step() + steps, 1))

    def _brush_step(self) -> int:
        ratio = self.controller.state.brush_px / _LEAST_RADIUS_PX
        return round(math.log(max(ratio, 1)) / math.log(_BRUSH_STEP))

    def _show_view(self) -> None:
        if self.scene is not None:
            width = 0 if self.form.fill_box.currentData() else self.settings.outline_width
            self.scene.show_objects(self.form.colour_box.currentData(), width)

    # -- files -----------------------------------------------------------------------------------

    def save(self) -> None:
        """Write the objects to their file; ask for one where there is none."""
        if self.controller.state.kept.target is None:
            self._ask_and_save()
        else:
            self.controller.save()

    def _ask_and_save(self) -> None:
        ask_and_save(self, self.controller)

    def _ask_and_import_classes(self) -> None:
        ask_and_import_classes(self, self.controller)

    # -- showing the state -----------------------------------------------------------------------

    def _render_soon(self, *_: Any) -> None:
        """Once for all that a gesture changes, most often with the answer to it."""
        self._rendering.start(_ANSWER_MS if self.controller.state.in_flight else 0)

    def render_state(self) -> None:
        """Show the state, and no widget reports this as a change by the user."""
        state, form = self.controller.state, self.form
        form.show_open(*self._titles() if self.scene is not None else (None, ""))
        self._render_message()
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

    def _render_message(self) -> None:
        state = self.controller.state
        if state.error:
            self.form.show_message(state.error, "error")
        elif self.keys.problems:
            self.form.show_message(self.keys.problems[0], "warning")
        elif state.notice:
            self.form.show_message(state.notice)
        elif self.scene is not None and not self.scene.mouse.is_active:
            self.form.show_message("Another layer is selected. Press a tool to go on.", "warning")
        else:
            self.form.show_message("")

    def _review_words(self) -> str | None:
        review = self.controller.state.review
        if review is None:
            return None
        row = self.controller.objects.get([review.object_id])
        facts = object_facts(row, self.controller.pixel_size) if len(row) else ""
        return review_text(review.position, review.total, facts)
