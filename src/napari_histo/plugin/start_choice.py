"""Which image, and which objects, a panel is to work on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QFileDialog

from napari_histo.core import ClassScheme, ObjectTable
from napari_histo.plugin.annotate_form import StartPanel
from napari_histo.plugin.annotate_start import Beginning, beginnings, source_path
from napari_histo.plugin.geometry import hint_um
from napari_histo.plugin.layers import image_layers, reader_of
from napari_histo.plugin.parts import show_choices
from napari_histo.session import ImageChoice
from napari_histo.session.desk import Desk

if TYPE_CHECKING:
    from napari.layers import Image

__all__ = ["OPEN_FILTER", "Opening", "StartChoice", "let_go_of"]

OPEN_FILTER = "Objects (*.geojson *.geojson.gz *.json *.parquet *.geoparquet)"


@dataclass(frozen=True, eq=False)
class Opening:
    """What a session's `open` wants.

    Attributes
    ----------
    image : ImageChoice
    table : ObjectTable or None
    target, image_path : Path or None
    """

    image: ImageChoice
    table: ObjectTable | None
    target: Path | None
    image_path: Path | None


class StartChoice:
    """Fills a `StartPanel` with the images of a viewer and what objects there are of each.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    panel : StartPanel
    classes : ClassScheme
        For objects of a model that only finds.
    """

    def __init__(self, viewer: Any, panel: StartPanel, classes: ClassScheme) -> None:
        self._viewer = viewer
        self._panel = panel
        self._classes = classes
        panel.image_box.currentIndexChanged.connect(self._refresh_objects)
        panel.objects_box.currentIndexChanged.connect(self._render)

    @property
    def image(self) -> Image | None:
        """The image that is chosen."""
        return self.image_of(self._panel.image_box.currentData())

    @property
    def chosen(self) -> Beginning | None:
        """The objects that are chosen."""
        found: Beginning | None = self._panel.objects_box.currentData()
        return found

    def image_of(self, key: Any) -> Image | None:
        """Image layer of a key; None where it is gone."""
        return next((x for x in image_layers(self._viewer) if x.unique_id == key), None)

    def refresh(self) -> None:
        """Layers came, went or got other names."""
        images = image_layers(self._viewer)[::-1]
        show_choices(self._panel.image_box, [(x.name, x.unique_id) for x in images])
        self._refresh_objects()

    def opening(self) -> Opening | None:
        """What to open; asks for a file where that was chosen. None where nothing was.

        Raises
        ------
        ImageError
            The image cannot be read.
        """
        image, chosen = self.image, self.chosen
        if image is None or chosen is None:
            return None
        target = chosen.target
        if chosen.asks:
            path, _ = QFileDialog.getOpenFileName(self._panel, "Objects", "", OPEN_FILTER)
            if not path:
                return None
            target = Path(path)
        reader = reader_of(image, self._viewer.dims.point)
        choice = ImageChoice(image.unique_id, reader, hint_um(image))
        return Opening(choice, chosen.table, target, source_path(image))

    def hide_layer(self, chosen: Beginning | None) -> None:
        """Its outlines would lie under those that are worked on."""
        for layer in self._viewer.layers:
            if chosen is not None and layer.unique_id == chosen.layer:
                layer.visible = False

    def _refresh_objects(self) -> None:
        image, box = self.image, self._panel.objects_box
        found = [] if image is None else beginnings(self._viewer, image, self._classes)
        found = [b for b in found if b.table is None or len(b.table)]
        known = {box.itemData(i) for i in range(box.count())}
        show_choices(box, [(b.title, b) for b in found])
        fresh = [i for i, b in enumerate(found) if b.layer is not None and b not in known]
        if fresh:  # what was just segmented or opened is what people go on with
            box.setCurrentIndex(fresh[0])
        self._render()

    def _render(self) -> None:
        chosen, panel = self.chosen, self._panel
        facts = "Open an image first." if self.image is None else ""
        if chosen is not None:
            facts = chosen.facts
        panel.facts.setText(facts)
        panel.facts.setVisible(bool(facts))
        panel.objects_box.setToolTip("" if chosen is None else chosen.title)
        panel.start_button.setEnabled(chosen is not None)
        panel.segment_button.setEnabled(self.image is not None)


def let_go_of(viewer: Any, image: Any, but: Desk) -> None:
    """Close what other panels have open on an image: its objects are under one hand at a time.

    What was done there is in the journal, and comes along.
    """
    for widget in viewer.window.dock_widgets.values():
        desk = getattr(widget, "controller", None)
        if not isinstance(desk, Desk) or desk is but or not desk.state.is_open:
            continue
        if desk.state.image is not None and desk.state.image.key == image.unique_id:
            desk.close()
