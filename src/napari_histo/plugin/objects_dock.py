"""What panels have in common that work on the objects of one image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from napari_histo.core import ClassScheme
from napari_histo.plugin.annotate.chips import free_colour
from napari_histo.plugin.annotate.keys import Keys
from napari_histo.plugin.annotate.start import Beginning
from napari_histo.plugin.annotate.words import review_text
from napari_histo.plugin.desk_files import ask_and_import_classes, ask_and_save, notify
from napari_histo.plugin.leaving import Leaving
from napari_histo.plugin.objects_form import ObjectsForm
from napari_histo.plugin.objects_scene import ObjectsScene
from napari_histo.plugin.panel import Panel
from napari_histo.plugin.settings import AnnotateSettings
from napari_histo.plugin.start_choice import StartChoice
from napari_histo.plugin.theme import style_sheet, theme_colour
from napari_histo.plugin.threads import connect_while

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Image

__all__ = ["ObjectsDock"]


class ObjectsDock(Panel):
    """Lets the user choose an image and its objects, and shows them while they are worked on.

    Subclasses make `form` and `controller`, then call `_begin`; they say what keys and buttons do
    and how the objects are shown.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer

    Attributes
    ----------
    scene : ObjectsScene or None
        While an image is open.
    """

    form: ObjectsForm
    scene: ObjectsScene | None = None
    #: Said where an image has no pixel size, where a layer was removed, and where the mouse works
    #: on another layer.
    size_unknown = layer_gone = layer_left = ""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self.settings = AnnotateSettings.load()
        self.keys = Keys(self.settings.keys)
        self._leaving = Leaving.of(self.viewer)
        self._begun_with: Beginning | None = None

    def _begin(self, *states: Any, allows_none: bool = False) -> None:
        """Lay the form out, and follow the user, the `states` of the session and the viewer."""
        self._show(self.form)
        self.choice = StartChoice(
            self.viewer,
            self.form.start,
            lambda: ClassScheme.of(*self.settings.class_names),
            allows_none=allows_none,
            size_unknown=self.size_unknown,
        )
        self.form.set_keys(self.keys)
        self._actions = self._make_actions()
        self._connect_form()
        self._connect_state(*states)
        self._apply_theme()
        self._refresh_images()
        self.render_state()

    # -- connections -----------------------------------------------------------------------------

    def _make_actions(self) -> Mapping[str, Callable[[], None]]:
        """What keys and buttons do, by the names of the Annotate panel's commands."""
        raise NotImplementedError

    def _connect_form(self) -> None:
        form, session = self.form, self.controller
        form.start.start_button.clicked.connect(self.start)
        form.start.segment_button.clicked.connect(self._open_segment_panel)
        form.close_button.clicked.connect(session.close)
        form.chips.added.connect(self._add_class)
        form.chips.renamed.connect(session.rename_class)
        form.chips.recoloured.connect(session.recolour_class)
        form.chips.import_wanted.connect(self._ask_and_import_classes)
        form.fill_box.currentIndexChanged.connect(self._show_view)
        form.review.start_button.clicked.connect(self._toggle_review)
        for name, button in form.review.buttons.items():
            if name in self._actions:
                button.clicked.connect(self._actions[name])

    def _connect_state(self, *states: Any) -> None:
        events = self.controller.state.events
        for state in states:
            state.events.connect(self._render_soon)
        events.is_open.connect(self._on_open)
        events.error.connect(notify)
        events.review.connect(self._look_at_review)
        ends = [state.events.disconnect for state in states]
        connect_while(self, self._wires(), *ends, self.controller.close)

    def _wires(self) -> list[tuple[Any, Callable[..., None]]]:
        """Events of napari, and what is done then."""
        layers = self.viewer.layers.events
        return [
            (layers.inserted, self._refresh_images),
            (layers.removed, self._on_removed),
            (layers.reordered, self._refresh_images),
            (layers.renamed, self._refresh_images),
            (self.viewer.layers.selection.events.active, self._render_soon),
            (self.viewer.events.theme, self._apply_theme),
        ]

    def _apply_theme(self) -> None:
        theme = self.viewer.theme
        self.setStyleSheet(style_sheet(theme))
        text, quiet = theme_colour(theme, "text"), theme_colour(theme, "secondary")
        self.form.set_colours(text.name(), quiet.name())

    # -- starting --------------------------------------------------------------------------------

    def _refresh_images(self) -> None:
        if self.scene is None:  # nobody chooses while an image is worked on
            self.choice.refresh()

    def start(self) -> None:
        """Open the chosen image and objects; `state.is_open` tells when they are there."""
        self._begun_with = self.choice.begin(self.controller) or self._begun_with

    def _on_open(self, is_open: bool) -> None:
        self._close_scene()
        choice = self.controller.state.image
        image = None if choice is None else self.choice.image_of(choice.key)
        if is_open and image is not None:
            self.choice.hide_layer(self._begun_with)
            self.scene = self._make_scene(image)
            self.scene.bind(self.keys, self._actions)
            self._show_view()
        self._refresh_images()
        if is_open and image is None:  # it was removed while its objects were read
            self.controller.close()
            self.controller.state.notice = self.layer_gone

    def _make_scene(self, image: Image) -> ObjectsScene:
        raise NotImplementedError

    def _close_scene(self) -> None:
        scene, self.scene = self.scene, None
        if scene is not None:
            scene.close()
            self._leaving.add(scene.layer)
            self._leaving.add(scene.marks.layer, hides=False)

    def _on_removed(self, event: Any) -> None:
        if self.scene is not None and event.value.unique_id in self.scene.layer_keys:
            self.controller.close()
            self.controller.state.notice = self.layer_gone
        self._refresh_images()

    def _open_segment_panel(self) -> None:
        self.viewer.window.add_plugin_dock_widget("napari-histo", "Segment nuclei", tabify=True)

    # -- working ---------------------------------------------------------------------------------

    def _activate(self) -> None:
        """Let the mouse work on the objects again."""
        if self.scene is not None:
            self.scene.activate()

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

    def _show_view(self) -> None:
        if self.scene is not None:
            width = 0 if self.form.fill_box.currentData() else self.settings.outline_width
            self.scene.show_objects(self.form.colour_by, width)

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

    def _message(self) -> tuple[str, str]:
        """The one thing to tell the user, and its kind."""
        state = self.controller.state
        if state.error:
            return state.error, "error"
        if state.notice:
            return state.notice, ""
        if self.scene is not None and not self.scene.mouse.is_active:
            return self.layer_left, "warning"
        return "", ""

    def _review_words(self) -> str | None:
        """How far the walk is, and what is known of the object; None where there is no walk."""
        review = self.controller.state.review
        if review is None or self.scene is None:
            return None
        known = review.object_id in self.controller.objects
        facts = self.scene.facts_of(review.object_id) if known else ""
        return review_text(review.position, review.total, facts)
