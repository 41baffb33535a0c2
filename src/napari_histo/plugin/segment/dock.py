"""The Segment panel: from an image layer to a layer of nuclei."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QFileDialog

from napari_histo.core import Box, ModelInfo
from napari_histo.errors import HistoError
from napari_histo.plugin.activity import Activity
from napari_histo.plugin.commands import add_regions_layer
from napari_histo.plugin.desk_files import SAVE_FILTER, notify, with_suffix
from napari_histo.plugin.geometry import plane_shape, shapes_outlines, view_box
from napari_histo.plugin.heat_colours import HeatBy
from napari_histo.plugin.panel import Panel
from napari_histo.plugin.parts import show_choices
from napari_histo.plugin.segment.form import SegmentForm
from napari_histo.plugin.segment.image import ImagePick
from napari_histo.plugin.segment.results import ResultLayers
from napari_histo.plugin.segment.warm_up import warm_up
from napari_histo.plugin.segment.words import model_facts
from napari_histo.plugin.settings import SegmentSettings
from napari_histo.plugin.slide_view import SlideView
from napari_histo.plugin.theme import style_sheet, theme_colour
from napari_histo.plugin.threads import Mailbox, connect_while
from napari_histo.session import Growing, Region, Result, Scope, SegmentController

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Image

__all__ = ["SegmentDock"]


class SegmentDock(Panel):
    """Connects the form, the session and the viewer; holds no state of its own.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    controller : SegmentController, optional
        One made with other tools, for tests.
    """

    form: SegmentForm
    controller: SegmentController

    def __init__(
        self, napari_viewer: napari.viewer.Viewer, controller: SegmentController | None = None
    ) -> None:
        super().__init__(napari_viewer)
        self.form = SegmentForm(self)
        self._show(self.form)
        settings = SegmentSettings.load()
        mailbox = Mailbox(self)
        self.controller = controller or SegmentController(mailbox.post)
        self.results = ResultLayers(self.viewer, mailbox, settings.outline_width)
        self._activity = Activity()
        self.images = ImagePick(self.viewer, self.form, self.controller, mailbox.post)
        self._view: SlideView | None = None
        self._fill_models(settings.model)
        show_choices(self.form.device_box, [("auto", "auto")])
        self.controller.choose_device(settings.device)
        self._connect_form()
        self._connect_state()
        self._connect_viewer()
        self.images.refresh()
        self.render_state()
        self.controller.find_devices()
        warm_up()

    # -- connections -----------------------------------------------------------------------------

    def _connect_form(self) -> None:
        form, session = self.form, self.controller
        form.model_box.currentIndexChanged.connect(self._choose_model)
        form.device_box.currentTextChanged.connect(session.choose_device)
        form.region_box.currentIndexChanged.connect(
            lambda _: session.choose_scope(form.region_box.currentData())
        )
        form.draw_button.clicked.connect(self._draw)
        form.pixel_size.valueChanged.connect(lambda um: session.type_pixel_size(um or None))
        form.pixel_hint.linkActivated.connect(lambda um: session.type_pixel_size(float(um)))
        form.diameter.box.valueChanged.connect(lambda um: session.type_diameter(um or None))
        form.cells.changed.connect(session.choose_cells)
        form.tissue_box.toggled.connect(session.choose_tissue_only)
        form.heat_bar.box.currentIndexChanged.connect(self._choose_heat)
        form.run_button.clicked.connect(self.run)
        form.cancel_button.clicked.connect(session.cancel)
        for slider in (form.prob, form.overlap):
            slider.valueChanged.connect(lambda _: session.set_thresholds(form.thresholds()))
        form.save_button.clicked.connect(self._ask_and_save)

    def _connect_state(self) -> None:
        events = self.controller.state.events
        events.connect(self.render_state)
        events.progress.connect(self._activity.show)
        events.growing.connect(self._show_growing)
        events.result.connect(self._show_result)
        events.devices.connect(self._show_devices)
        events.error.connect(notify)

    def _connect_viewer(self) -> None:
        layers = self.viewer.layers.events
        wires: list[tuple[Any, Any]] = [
            (layers.inserted, self.images.refresh),
            (layers.removed, self._on_removed),
            (layers.reordered, self.images.refresh),
            (layers.renamed, self.images.refresh),
            (self.viewer.events.theme, self._apply_theme),
        ]
        events, preview = self.controller.state.events, self.images.preview
        ends = (events.disconnect, self.controller.close, self._activity.close, preview.close)
        connect_while(self, wires, *ends)
        self._apply_theme()

    def _end(self) -> None:
        super()._end()
        self._activity.close()
        self.images.preview.close()

    def _apply_theme(self) -> None:
        theme = self.viewer.theme
        self.setStyleSheet(style_sheet(theme))
        self.form.link_colour = theme_colour(theme, "warning").name()
        histogram = self.form.histogram
        histogram.bar = theme_colour(theme, "current")
        histogram.text = theme_colour(theme, "text")
        histogram.line = theme_colour(theme, "warning")
        histogram.update()

    # -- choices ---------------------------------------------------------------------------------

    def _fill_models(self, wanted: str) -> None:
        from napari_histo.models import is_available, list_models

        models = list_models()
        show_choices(self.form.model_box, [(m.name, m) for m in models])
        self.form.cells.show_models([m for m in models if is_available(m.name)])
        names = [m.name for m in models]
        usable = [n for n in (wanted, *names) if n in names and is_available(n)]
        self.form.model_box.setCurrentIndex(names.index(usable[0]) if usable else 0)
        self._choose_model()

    def _choose_model(self) -> None:
        from napari_histo.models import is_available

        model: ModelInfo | None = self.form.model_box.currentData()
        self.controller.choose_model(model)
        if model is not None:
            facts = model_facts(model, available=is_available(model.name))
            self.form.model_facts.setText(facts)
            self.form.model_facts.setToolTip(f"{model.description}\nFrom: {model.source}")
        self.images.choose()

    def _show_devices(self, devices: tuple[str, ...]) -> None:
        box, wanted = self.form.device_box, self.controller.state.device
        show_choices(box, [(name, name) for name in devices])
        box.setCurrentText(wanted if wanted in devices else "auto")
        self.controller.choose_device(box.currentText())

    def _draw(self) -> None:
        image = self.images.layer
        if image is not None:
            add_regions_layer(self.viewer, image)

    # -- work ------------------------------------------------------------------------------------

    def run(self) -> None:
        """Segment the chosen region of the chosen image; returns at once."""
        self.images.choose()  # sliders of other axes may have moved
        image = self.images.layer
        try:
            region = None if image is None else self._region(image)
        except HistoError as error:
            self.controller.fail(error)
            return
        if region is not None:
            self.controller.run(region)

    def _region(self, image: Image) -> Region:
        from napari.layers import Shapes

        scope = self.controller.state.scope
        height, width = plane_shape(image)
        whole = Box(0, 0, width, height)
        if scope is Scope.VIEW:
            return Region.of_box(view_box(self.viewer, image))
        if scope is Scope.SHAPES:
            drawn = [x for x in self.viewer.layers if isinstance(x, Shapes) and x.visible]
            return Region.of_outlines(shapes_outlines(drawn, image), whole)
        return Region.of_box(whole)

    def _show_growing(self, growing: Growing | None) -> None:
        before, self._view = self._view, None
        if growing is not None:
            self._view = self.results.grow(growing, self._heat_by())
        elif before is not None and not before.growing.n_parts:
            self.results.remove(before)
        if self._view is not None:
            self._view.shown.connect(self._show_legend)
        self._show_legend()

    def _heat_by(self) -> HeatBy:
        return self.form.heat_bar.heat_by

    def _choose_heat(self) -> None:
        if self._view is not None:
            self._view.heat_by = self._heat_by()
        self._show_legend()

    def _show_legend(self) -> None:
        view = self._view
        if view is not None:
            growing, text = view.growing, self.form.histogram.text
            self.form.heat_bar.show_legend(view.top, growing.unit, growing.classes, text)

    def _show_result(self, result: Result | None) -> None:
        if result is not None:
            self.results.show(result)

    def _on_removed(self, event: Any) -> None:
        run = self.results.run_of(event.value)
        if run is not None:
            self.results.forget(run)
            if self._view is not None and self._view.growing.run == run:
                self._view = None
            result = self.controller.state.result
            if result is not None and result.run == run:
                self.controller.forget()
        self.images.refresh()

    def render_state(self) -> None:
        """Show the state, and no widget reports this as a change by the user."""
        self.form.render_state(self.controller.state)

    # -- saving ----------------------------------------------------------------------------------

    def _ask_and_save(self) -> None:
        image = self.images.layer
        beside = Path(image.source.path).parent if image is not None and image.source.path else None
        result = self.controller.state.result
        stem = "nuclei" if result is None else Path(result.info.name).stem
        proposed = (beside or Path.cwd()) / f"{stem}.geojson"
        chosen, kind = QFileDialog.getSaveFileName(self, "Save nuclei", str(proposed), SAVE_FILTER)
        if chosen:
            self.controller.save(with_suffix(Path(chosen), kind))
