"""The picture of objects under edits: one labels layer, drawn where it is looked at."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from napari_histo.core import Box, Edit
from napari_histo.plugin.geometry import placement_of, plane_shape
from napari_histo.plugin.layers import TABLE_KEY
from napari_histo.plugin.lazy import LazyPlane, count_levels
from napari_histo.plugin.objects_painter import ColourBy, Colouring, ObjectsPainter
from napari_histo.plugin.patching import put_on_screen, renew_overview
from napari_histo.plugin.tiles import TileCache, Tiles
from napari_histo.session.annotate.objects import EditableObjects

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

__all__ = ["ObjectsView", "smaller"]

#: Changes of more objects are drawn as one.
_MANY = 64
#: When a larger share of what is seen has changed, all of it is shown anew.
_PATCHED_SHARE = 0.25


class ObjectsView:
    """Shows `objects` over an image and follows their edits. Only for the thread of the window.

    The layer cannot be painted: the objects are the truth. After an edit only what it touched is
    drawn anew, on the tiles that are kept.

    Parameters
    ----------
    viewer : ViewerModel
    image : Image
        The layer is placed exactly over it.
    objects : EditableObjects
    name : str
        Of the layer.
    outline_px : int
        Width of the outlines; 0 fills the objects.
    colour_by : {"class", "object"}
    colouring : Colouring, optional
        What the classes are; the objects' own by default.

    Attributes
    ----------
    layer : Labels
    """

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        objects: EditableObjects,
        *,
        name: str = "objects",
        outline_px: int = 2,
        colour_by: ColourBy = "class",
        colouring: Colouring | None = None,
    ) -> None:
        self._viewer = viewer
        self._objects = objects
        self._painter = painter = ObjectsPainter(
            objects, outline_px=outline_px, colour_by=colour_by, colouring=colouring
        )
        self._classes = painter.classes
        height, width = plane_shape(image)
        shape = (max(height, 2), max(width, 2))  # so that there is a smaller level
        tiles = Tiles()
        self._levels = [
            TileCache(
                partial(painter.draw, downsample=1 << k), smaller(shape, 1 << k), 1 << k, tiles
            )
            for k in range(count_levels(shape))
        ]
        self.layer: Labels = viewer.add_labels(
            [LazyPlane(t.read, smaller(shape, 1 << k), np.dtype(np.uint32)).to_dask()
             for k, t in enumerate(self._levels)],
            name=name,
            multiscale=True,
            cache=False,
            colormap=painter.colormap(),
            opacity=1.0,
            metadata={TABLE_KEY: objects},
            **placement_of(image),
        )  # fmt: skip
        objects.changed.connect(self._on_edit)

    def close(self) -> None:
        """Take the layer away and stop following."""
        self.stop()
        if self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)

    def stop(self) -> None:
        """Stop following; the layer stays, and offers its objects to nobody any more."""
        self._objects.changed.disconnect(self._on_edit)
        self.layer.metadata = {}

    @property
    def outline_px(self) -> int:
        """Width of the outlines; 0 fills the objects."""
        return self._painter.outline_px

    @outline_px.setter
    def outline_px(self, width: int) -> None:
        if width != self._painter.outline_px:
            self._painter.outline_px = width
            self._draw_all_anew()

    @property
    def colour_by(self) -> ColourBy:
        """What a colour stands for."""
        return self._painter.colour_by

    @colour_by.setter
    def colour_by(self, wish: ColourBy) -> None:
        if wish != self._painter.colour_by:
            self._painter.colour_by = wish
            self._draw_all_anew()

    def recolour(self) -> None:
        """The colouring says otherwise of many objects: show that, without drawing them anew."""
        if not self._follow_classes():
            return
        level = self._levels[self.layer.data_level]
        for other in self._levels:
            other.repaint(self._painter.repaint, self._seen if other is level else Box(0, 0, 0, 0))
        renew_overview(self.layer)
        self.layer.refresh(thumbnail=False, highlight=False, extent=False)

    def row_at(self, value: int) -> int | None:
        """Row number of a value of the layer; None for the background."""
        if value <= 0:
            return None
        return int(self._painter.rows_of(np.array([value]))[0])

    # -- following -------------------------------------------------------------------------------

    def _on_edit(self, edit: Edit) -> None:
        if not self._follow_classes():
            return
        boxes, margin = _touched(edit), self._painter.bold_px + 1
        for box in boxes:
            for level in self._levels:
                level.renew(box, margin_px=margin)
        renew_overview(self.layer)
        level = self._levels[self.layer.data_level]
        if boxes:
            self._show(level, [level.reach(box, margin) for box in boxes])

    def _follow_classes(self) -> bool:
        """Take over what classes there are; False where all had to be drawn anew for it."""
        classes = self._painter.classes
        if classes == self._classes:
            return True
        self._classes = classes
        if self._painter.make_room():
            self._draw_all_anew()
            return False
        self.layer.colormap = self._painter.colormap()
        return True

    @property
    def _seen(self) -> Box:
        """What napari shows, in pixels of the level that it takes."""
        shown = self.layer.corner_pixels
        return Box.from_edges(*shown[0, ::-1].tolist(), *(shown[1, ::-1] + 1).tolist())

    def _show(self, level: TileCache, parts: list[Box]) -> None:
        """Put parts of a level on the screen, and only these where napari allows it."""
        seen = self._seen
        parts = [part for p in parts if not (part := p.intersect(seen)).is_empty]
        many = sum(part.area for part in parts) > _PATCHED_SHARE * seen.area
        if many or not put_on_screen(
            self.layer, seen, [(part, level.read(part)) for part in parts]
        ):
            self.layer.refresh(thumbnail=False, highlight=False, extent=False)

    def _draw_all_anew(self) -> None:
        for level in self._levels:
            level.clear()
        renew_overview(self.layer)
        self.layer.colormap = self._painter.colormap()
        self.layer.refresh()


def _touched(edit: Edit) -> list[Box]:
    """Boxes that an edit changed, full-resolution px: one for all, or one a row where far apart."""
    hull = edit.box
    if len(edit.before) + len(edit.after) > _MANY or hull.is_empty:
        return [] if hull.is_empty else [hull]
    bounds = np.concatenate([edit.before.contours.bounds, edit.after.contours.bounds])
    bounds = bounds[np.isfinite(bounds).all(axis=1)]
    edges = np.concatenate([np.floor(bounds[:, :2]), np.ceil(bounds[:, 2:])], axis=1)
    boxes = [Box.from_edges(*e) for e in edges.astype(np.int64).tolist()]
    return [hull] if hull.area <= 2 * sum(b.area for b in boxes) else boxes


def smaller(shape: tuple[int, int], downsample: int) -> tuple[int, int]:
    return -(-shape[0] // downsample), -(-shape[1] // downsample)
