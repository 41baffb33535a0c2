"""Which image, and which objects, a panel is to work on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QFileDialog

from napari_histo.core import ClassScheme
from napari_histo.errors import HistoError
from napari_histo.plugin.annotate.start import Beginning, beginnings, source_path
from napari_histo.plugin.geometry import hint_um, pixel_size_of
from napari_histo.plugin.image_stacks import image_stacks
from napari_histo.plugin.layers import image_layers, reader_of
from napari_histo.plugin.objects_form import StartPanel
from napari_histo.plugin.parts import show_choices
from napari_histo.session import ImageChoice
from napari_histo.session.annotate.desk import Desk

if TYPE_CHECKING:
    from napari.layers import Image

__all__ = ["StartChoice", "let_go_of"]

_OPEN_FILTER = "Objects (*.geojson *.geojson.gz *.json *.parquet *.geoparquet)"


class StartChoice:
    """Fills a `StartPanel` with the images of a viewer and what objects there are of each.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    panel : StartPanel
    classes : callable
        Gives those for objects of a model that only finds.
    allows_none : bool
        Whether one may begin without objects.
    size_unknown : str
        What to say of an image without a pixel size.
    """

    def __init__(
        self,
        viewer: Any,
        panel: StartPanel,
        classes: Callable[[], ClassScheme],
        *,
        allows_none: bool = False,
        size_unknown: str = "",
    ) -> None:
        self._viewer = viewer
        self._panel = panel
        self._classes = classes
        self._allows_none = allows_none
        self._size_unknown = size_unknown
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
        stacks = image_stacks(self._viewer)
        images = [layer for stack in stacks for layer in stack.nuclear_first]
        show_choices(self._panel.image_box, [(x.name, x.unique_id) for x in images])
        self._refresh_objects()

    def begin(self, session: Desk) -> Beginning | None:
        """Let a session open what is chosen; asks for a file where that was chosen.

        None where there is nothing to open; what is wrong is told by the session.
        """
        image, chosen = self.image, self.chosen
        if image is None or chosen is None:
            return None
        target = chosen.target
        if chosen.asks:
            path, _ = QFileDialog.getOpenFileName(self._panel, "Objects", "", _OPEN_FILTER)
            if not path:
                return None
            target = Path(path)
        try:
            reader = reader_of(image, self._viewer.dims.point)
        except HistoError as error:
            session.fail(error)
            return None
        let_go_of(self._viewer, image, but=session)
        choice = ImageChoice(image.unique_id, reader, hint_um(image))
        path_of_image = source_path(image)
        session.open(choice, table=chosen.table, target=target, image_path=path_of_image)
        return chosen

    def hide_layer(self, chosen: Beginning | None) -> None:
        """Its outlines would lie under those that are worked on."""
        for layer in self._viewer.layers:
            if chosen is not None and layer.unique_id == chosen.layer:
                layer.visible = False

    def _refresh_objects(self) -> None:
        image, box = self.image, self._panel.objects_box
        found = [] if image is None else beginnings(self._viewer, image, self._classes())
        found = [b for b in found if self._allows_none or b.table is None or len(b.table)]
        known = {box.itemData(i) for i in range(box.count())}
        show_choices(box, [(b.title, b) for b in found])
        fresh = [i for i, b in enumerate(found) if b.layer is not None and b not in known]
        if fresh:  # what was just segmented or opened is what people go on with
            box.setCurrentIndex(fresh[0])
        self._render()

    def _render(self) -> None:
        chosen, panel = self.chosen, self._panel
        image = self.image
        facts = "Open an image first." if chosen is None else chosen.facts
        if image is not None and pixel_size_of(image) is None:
            facts = f"{facts} {self._size_unknown}".strip()
        panel.facts.setText(facts)
        panel.facts.setVisible(bool(facts))
        # Long names do not fit.
        panel.objects_box.setToolTip("" if chosen is None else chosen.title)
        panel.start_button.setEnabled(chosen is not None)
        panel.segment_button.setEnabled(chosen is not None)


def let_go_of(viewer: Any, image: Image, *, but: Desk) -> None:
    """Close what other panels have open on an image: its objects are under one hand at a time.

    What was done there is in the journal, and comes along.
    """
    for widget in viewer.window.dock_widgets.values():
        desk = getattr(widget, "controller", None)
        if not isinstance(desk, Desk) or desk is but or not desk.state.is_open:
            continue
        if desk.state.image is not None and desk.state.image.key == image.unique_id:
            desk.close()
