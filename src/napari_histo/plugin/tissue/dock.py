"""The Tissue panel: where the tissue of an image is, to find, mend and save."""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QPushButton,
    QVBoxLayout,
)

from napari_histo.core import CancelToken, Contours, SlideReader, result_of
from napari_histo.errors import Cancelled, HistoError
from napari_histo.ops.tissue import TissueMask
from napari_histo.ops.tissue_pixels import TissueParams
from napari_histo.plugin.layers import image_layers, reader_of
from napari_histo.plugin.panel import Panel
from napari_histo.plugin.parts import combo, form_grid, row, set_kind, show_choices, small_label
from napari_histo.plugin.theme import style_sheet
from napari_histo.plugin.threads import Mailbox, connect_while
from napari_histo.plugin.tissue.layer import add_tissue, mask_of_layer, tissue_layer
from napari_histo.session.jobs import Job, Lane, Report

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Image

__all__ = ["TissueDock"]

_SAVE = "GeoJSON (*.geojson);;Parquet (*.parquet);;Picture (*.png *.tif)"
_OPEN = "Tissue (*.geojson *.geojson.gz *.json *.parquet *.png *.tif *.tiff)"
#: Least colour of tissue where only clear stain counts.
_CLEAR_STAIN = 0.03
_HOW_TO_EDIT = (
    "Mend it with the layer's tools: select a piece and press Delete, draw one with the polygon or "
    "lasso tool, move its vertices. Save it for 'napari-histo segment --tissue', or take it as the "
    "Segment panel's drawn shapes."
)


class TissueDock(Panel):
    """Finds the tissue of the chosen image and shows it as shapes. Only for the window's thread.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self._lane = Lane(Mailbox(self).post, "tissue")
        self._cancel = CancelToken()
        self._make_widgets()
        self._connect()
        self._refresh_images()

    # -- widgets ---------------------------------------------------------------------------------

    def _make_widgets(self) -> None:
        self.image_box = combo("Image layer to look for tissue in.")
        self.faint_box = QComboBox()
        self.faint_box.addItem("kept", None)
        self.faint_box.addItem("left out", _CLEAR_STAIN)
        self.faint_box.setToolTip("Fat and pale stroma are faint; so are smears and stained glue.")
        self.margin = QDoubleSpinBox()
        self.margin.setRange(0, 1000)
        self.margin.setDecimals(0)
        self.margin.setValue(TissueParams().margin_um)
        self.margin.setSuffix(" µm")
        self.margin.setToolTip("How far the mask reaches beyond the tissue.")
        self.drop_ink = QCheckBox("leave out")
        self.drop_ink.setChecked(True)
        self.drop_ink.setToolTip("Green, blue and black ink beside the tissue.")
        self.find_button = QPushButton("Find tissue")
        self.find_button.setObjectName("run")
        self.cancel_button = QPushButton("Cancel")
        self.message = small_label()
        self.save_button = QPushButton("Save…")
        self.save_button.setToolTip("Write the layer's shapes, as they stand now.")
        self.open_button = QPushButton("Open…")
        self.open_button.setToolTip("Show a mask or areas of a file.")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 10, 12, 10)
        layout.setSpacing(8)
        layout.addLayout(
            form_grid(
                ("Image", self.image_box),
                ("Faint tissue", self.faint_box),
                ("Pen marks", self.drop_ink),
                ("Margin", self.margin),
            )
        )
        layout.addLayout(row(self.find_button, self.cancel_button))
        layout.addWidget(self.message)
        layout.addLayout(row(self.save_button, self.open_button))
        layout.addStretch()
        self.setMinimumWidth(300)

    def _connect(self) -> None:
        self.find_button.clicked.connect(self.find_tissue)
        self.cancel_button.clicked.connect(self._stop)
        self.save_button.clicked.connect(self._ask_and_save)
        self.open_button.clicked.connect(self._ask_and_open)
        layers = self.viewer.layers.events
        changes = (layers.inserted, layers.removed, layers.reordered, layers.renamed)
        wires = [(e, self._refresh_images) for e in changes]
        theme = (self.viewer.events.theme, self._apply_theme)
        connect_while(self, [*wires, theme], self._end)
        self._apply_theme()

    def _end(self) -> None:
        self._stop()
        self._lane.drop()

    def _apply_theme(self) -> None:
        self.setStyleSheet(style_sheet(self.viewer.theme))

    def _stop(self) -> None:
        self._cancel.cancel()

    def _refresh_images(self) -> None:
        images = image_layers(self.viewer)[::-1]
        show_choices(self.image_box, [(layer.name, layer.unique_id) for layer in images])
        self._refresh_buttons()

    def _refresh_buttons(self) -> None:
        image, busy = self._image(), self._lane.is_busy
        self.find_button.setEnabled(image is not None and not busy)
        self.cancel_button.setEnabled(busy)
        self.open_button.setEnabled(image is not None and not busy)
        self.save_button.setEnabled(image is not None)

    def _image(self) -> Image | None:
        return self._layer(self.image_box.currentData())

    def _layer(self, key: Hashable) -> Image | None:
        # Not by `is`: napari hands plugins a new proxy of a layer each time.
        return next((layer for layer in self.viewer.layers if layer.unique_id == key), None)

    def _say(self, text: str, kind: str = "") -> None:
        self.message.setText(text)
        set_kind(self.message, kind)

    # -- finding ---------------------------------------------------------------------------------

    def find_tissue(self) -> None:
        """Look for the tissue of the chosen image; returns at once."""
        image = self._image()
        if image is None:
            return
        params = TissueParams(
            threshold=self.faint_box.currentData(),
            margin_um=self.margin.value(),
            drop_ink=self.drop_ink.isChecked(),
        )
        try:
            reader = reader_of(image, self.viewer.dims.point)
        except HistoError as error:
            self._fail(error)
            return
        self._cancel = CancelToken()
        self._say("Looking for tissue…")
        self._lane.submit(
            Job(
                partial(_find, reader, params, self._cancel),
                partial(self._show_found, image.unique_id, reader),
                self._fail,
                self._say,
            )
        )
        self._refresh_buttons()

    def _show_found(
        self, key: Hashable, reader: SlideReader, found: tuple[TissueMask, Contours]
    ) -> None:
        mask, outlines = found
        image = self._layer(key)
        if image is not None:  # else it was removed meanwhile
            add_tissue(self.viewer, outlines, image)
            pieces = "1 piece" if len(outlines) == 1 else f"{len(outlines)} pieces"
            assumed = "" if reader.info.pixel_size else " (taking 0.5 µm for a pixel)"
            self._say(f"{mask.share:.1%} tissue in {pieces}{assumed}. {_HOW_TO_EDIT}")
        self._refresh_buttons()

    def _fail(self, error: BaseException) -> None:
        stopped = isinstance(error, Cancelled)
        known = isinstance(error, HistoError)
        text = str(error) if known else f"{type(error).__name__}: {error}"
        self._say("Stopped." if stopped else text, "" if stopped else "error")
        self._refresh_buttons()

    # -- files -----------------------------------------------------------------------------------

    def _ask_and_save(self) -> None:
        image = self._image()
        if image is None:
            return
        proposed = _folder_of(image) / f"{Path(image.name).stem}-tissue.geojson"
        chosen, _ = QFileDialog.getSaveFileName(self, "Save tissue", str(proposed), _SAVE)
        if chosen:
            path = Path(chosen)
            self.save_file(path if path.suffix else path.with_name(f"{path.name}.geojson"))

    def save_file(self, path: Path) -> None:
        """Write the shapes of the image's tissue layer."""
        from napari_histo.pipeline.tissue import save_tissue

        image = self._image()
        if image is None:
            return
        layer = tissue_layer(self.viewer, image)
        if layer is None:
            self._say("No tissue of this image is shown. Find it first, or open a file.", "warning")
            return
        try:
            info = reader_of(image).info
            mask = mask_of_layer(layer, image, info)
            save_tissue(path, mask, info)
        except HistoError as error:
            self._fail(error)
        else:
            self._say(f"Saved {mask.share:.1%} of the image as tissue to {path.name}.")

    def _ask_and_open(self) -> None:
        image = self._image()
        if image is None:
            return
        chosen, _ = QFileDialog.getOpenFileName(self, "Open tissue", str(_folder_of(image)), _OPEN)
        if chosen:
            self.open_file(Path(chosen))

    def open_file(self, path: Path) -> None:
        """Show the areas of a file as tissue of the chosen image."""
        from napari_histo.pipeline.tissue import load_tissue, outlines_to_edit

        image = self._image()
        if image is None:
            return
        try:
            mask = load_tissue(path, reader_of(image).info)
        except HistoError as error:
            self._fail(error)
            return
        add_tissue(self.viewer, outlines_to_edit(mask), image)
        self._say(f"{mask.share:.1%} tissue, from {path.name}. " + _HOW_TO_EDIT)


def _find(
    reader: SlideReader, params: TissueParams, cancel: CancelToken, report: Report
) -> tuple[TissueMask, Contours]:
    """In a thread: the tissue and its outlines."""
    from napari_histo.pipeline.tissue import find_tissue_steps, outlines_to_edit

    work = find_tissue_steps(reader, params=params, cancel=cancel)
    mask = result_of(work, lambda step: report(f"Looking for tissue: {step.fraction:.0%}"))
    return mask, outlines_to_edit(mask)


def _folder_of(image: Image) -> Path:
    return Path(image.source.path).parent if image.source.path else Path.cwd()
