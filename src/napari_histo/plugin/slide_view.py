"""The picture of a whole-slide run while it grows, and after: heatmaps afar, outlines near."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_histo.core import Box, Contours, ObjectTable
from napari_histo.plugin.geometry import placement_of, plane_shape
from napari_histo.plugin.heat_colours import HeatBy, Palette
from napari_histo.plugin.layers import TABLE_KEY
from napari_histo.plugin.lazy import LazyPlane, count_levels, draw_level
from napari_histo.plugin.objects_view import smaller
from napari_histo.plugin.outlines import draw_nuclei, put_nuclei, rims
from napari_histo.plugin.patching import renew_overview
from napari_histo.plugin.threads import Mailbox
from napari_histo.plugin.tiles import TileCache, Tiles
from napari_histo.session import Growing
from napari_histo.session.jobs import Job, Lane

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

__all__ = ["SlideView"]

_log = logging.getLogger(__name__)
#: Levels whose pixels are larger show heatmaps: a nucleus of 8 µm has four pixels here.
_HEAT_UM = 1.9
#: New tiles are shown together, so that a fast device does not keep the window busy.
_SHOW_EVERY_MS = 250


class SlideView:
    """One labels layer over an image that follows a `Growing`. Only for the thread of the window.

    Tiles are drawn in a thread when parts come; the window's own work is to put them on the screen.

    Parameters
    ----------
    viewer : ViewerModel
    image : Image
        The layer is placed exactly over it.
    growing : Growing
    mailbox : Mailbox
        Brings answers of threads back; its end is the end of this.
    outline_px : int
        Width of the outlines; 0 fills the objects.
    heat_by : {"density", "class", "nothing"}

    Attributes
    ----------
    layer : Labels
    palette : Palette
    top : float
        Of the scale of densities.
    shown : psygnal.Signal
        Emits after new tiles were put on the screen.
    """

    shown = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        growing: Growing,
        mailbox: Mailbox,
        *,
        outline_px: int = 2,
        heat_by: HeatBy = "density",
    ) -> None:
        self.growing, self.palette = growing, Palette(growing.classes)
        self._outline_px, self._heat_by, self.top = outline_px, heat_by, 0.0
        self._pending: list[Box] = []
        self._lane = Lane(mailbox.post, "draw")
        self._timer = QTimer(mailbox)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._prepare)
        height, width = plane_shape(image)
        shape = (max(height, 2), max(width, 2))  # so that there is a smaller level
        tiles = Tiles()
        self._levels = [
            TileCache(partial(self._draw, downsample=1 << k), smaller(shape, 1 << k), 1 << k, tiles)
            for k in range(count_levels(shape))
        ]
        planes = [
            LazyPlane(level.read, smaller(shape, 1 << k), np.dtype(np.uint32)).to_dask()
            for k, level in enumerate(self._levels)
        ]
        self.layer: Labels = viewer.add_labels(
            planes,
            name=f"{growing.info.name} · {growing.model.name}",
            multiscale=True,
            cache=False,
            colormap=self.palette.colormap(),
            opacity=1.0,
            **placement_of(image),
        )
        growing.changed.connect(self._on_changed)
        self._on_changed(growing.info.box)

    def close(self) -> None:
        """Stop following; the layer stays as it is."""
        self.growing.changed.disconnect(self._on_changed, missing_ok=True)
        self._timer.stop()
        self._lane.drop()

    @property
    def heat_by(self) -> HeatBy:
        """What is shown from afar."""
        return self._heat_by

    @heat_by.setter
    def heat_by(self, wish: HeatBy) -> None:
        if wish != self._heat_by:
            self._heat_by = wish
            for tiles in self._levels[self._first_heat_level() :]:
                tiles.clear()
            renew_overview(self.layer)
            self.layer.refresh()

    def show_table(self, table: ObjectTable) -> None:
        """The layer can be saved and taken up from now on, as all layers of objects."""
        self.layer.metadata = {**self.layer.metadata, TABLE_KEY: table}

    def values_of(self, table: ObjectTable) -> NDArray[np.uint32]:
        """Values of the layer for the rows of a finished run's table."""
        return self.palette.values(table.class_id, np.arange(len(table)))

    # -- drawing ---------------------------------------------------------------------------------

    def _first_heat_level(self) -> int:
        n = len(self._levels)
        return next((k for k in range(n) if self._is_heat(1 << k)), n)

    def _is_heat(self, downsample: int) -> bool:
        return downsample * self.growing.pixel_um >= _HEAT_UM

    def _draw(self, box: Box, *, downsample: int) -> NDArray[np.uint32]:
        """Pixels of a box of a level; any thread."""
        if self._is_heat(downsample) and self._heat_by != "nothing":
            density = self.growing.heat.density(box, downsample)
            return self.palette.heat(density, self.top, self._heat_by)
        width = self._outline_px
        drawn = self._draw_objects(box.pad(width), downsample)
        drawn = rims(drawn, width) if width else drawn
        self._put_nuclei(drawn, box, downsample)
        return drawn

    def _put_nuclei(self, drawn: NDArray[np.uint32], box: Box, downsample: int) -> None:
        """Outlines of the nuclei of cells, where there are any."""
        for piece, rows in self.growing.near(box.scale(downsample)):
            table = piece.part.table
            if table.nuclei is None:
                continue
            values = self.palette.values(table.class_id[rows], piece.first + rows)
            lines = draw_nuclei(box, downsample, nuclei=table.nuclei.take(rows), values=values)
            put_nuclei(drawn, lines, filled=not self._outline_px)

    def _draw_objects(self, box: Box, downsample: int) -> NDArray[np.uint32]:
        outlines, values = [], []
        for piece, rows in self.growing.near(box.scale(downsample)):
            table = piece.part.table
            outlines.append(table.contours.take(rows))
            values.append(self.palette.values(table.class_id[rows], piece.first + rows))
        if not outlines:
            return np.zeros(box.shape, np.uint32)
        contours = Contours.concat(outlines)
        return draw_level(
            box,
            downsample,
            rows=np.arange(len(contours)),
            bounds=contours.bounds,
            outlines=contours.take,
            values=np.concatenate(values),
        )

    # -- following -------------------------------------------------------------------------------

    def _on_changed(self, box: Box) -> None:
        self._pending.append(box)
        if not self._timer.isActive():
            self._timer.start(_SHOW_EVERY_MS)

    def _prepare(self) -> None:
        """Draw in a thread what has changed and is seen."""
        if self._lane.is_busy:
            self._timer.start(_SHOW_EVERY_MS)
            return
        boxes, self._pending = self._pending, []
        level = self.layer.data_level
        corners = self.layer.corner_pixels
        seen = Box.from_edges(*corners[0, ::-1].tolist(), *(corners[1, ::-1] + 1).tolist())
        work = partial(self._draw_anew, boxes, level, seen if self.layer.visible else None)
        self._lane.submit(Job(lambda _: work(), self._show, _log_error))

    def _draw_anew(self, boxes: list[Box], level: int, seen: Box | None) -> None:
        """In a thread."""
        heat = self.growing.heat
        top, first = heat.top(), self._first_heat_level()
        is_rescaled, self.top = top != self.top, top
        margin_px = self._outline_px + 1
        for tiles in self._levels[:first]:
            for box in boxes:
                tiles.renew(box, margin_px=margin_px)
        for tiles in self._levels[first:]:
            if is_rescaled:
                tiles.clear()
            for box in boxes:
                tiles.renew(heat.reach(box))
        if seen is not None:
            self._levels[level].read(seen)

    def _show(self, _: object) -> None:
        renew_overview(self.layer)
        self.layer.refresh(thumbnail=self.growing.is_whole, highlight=False, extent=False)
        self.shown.emit()


def _log_error(error: BaseException) -> None:
    _log.error("A whole slide's picture could not be drawn", exc_info=error)
