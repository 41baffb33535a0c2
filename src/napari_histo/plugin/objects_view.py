"""The picture of objects under edits: one labels layer, drawn where it is looked at."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, ClassScheme, Edit
from napari_histo.plugin.geometry import placement_of, plane_shape
from napari_histo.plugin.layers import TABLE_KEY, UNCLASSIFIED_RGB
from napari_histo.plugin.lazy import LazyPlane, count_levels, draw_level
from napari_histo.plugin.outlines import draw_nuclei, put_nuclei, rims, wider
from napari_histo.plugin.theme import line_colour
from napari_histo.plugin.tiles import TileCache, Tiles
from napari_histo.session.annotate.objects import EditableObjects

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels
    from napari.utils.colormaps import CyclicLabelColormap

__all__ = ["ColourBy", "Colouring", "ObjectsView", "renew_overview", "smaller"]

ColourBy = Literal["class", "object"]
#: Colours that are set apart for classes; when there are more classes, all is drawn anew.
_LEAST_SLOTS = 16
_OBJECT_COLOURS = 49
#: Changes of more objects are drawn as one.
_MANY = 64
#: When a larger share of what is seen has changed, all of it is shown anew.
_PATCHED_SHARE = 0.25
#: Frames of regions are at least so wide, px of the level.
_FRAME_PX = 2
#: Outlines of examples are so many times as wide as others.
_BOLD = 2


class Colouring(Protocol):
    """Classes that objects are shown in, where they are not their own; any thread may call."""

    @property
    def classes(self) -> ClassScheme:
        """Begins with the classes of the objects."""
        ...

    def class_ids(self, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """Class of row numbers, -1 for none."""
        ...

    def are_solid(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Row numbers whose outlines are drawn bolder."""
        ...


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
        self._colour_by: ColourBy = colour_by
        self._colouring = colouring
        self._classes = self._shown_classes
        self._slots = _slots_for(self._classes)
        height, width = plane_shape(image)
        shape = (max(height, 2), max(width, 2))  # so that there is a smaller level
        self._outline_px = outline_px
        tiles = Tiles()
        self._levels = [
            TileCache(partial(self._draw, downsample=1 << k), smaller(shape, 1 << k), 1 << k, tiles)
            for k in range(count_levels(shape))
        ]
        self.layer: Labels = viewer.add_labels(
            [LazyPlane(t.read, smaller(shape, 1 << k), np.dtype(np.uint32)).to_dask()
             for k, t in enumerate(self._levels)],
            name=name,
            multiscale=True,
            cache=False,
            colormap=self._colormap(),
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
        """Stop following; the layer stays."""
        self._objects.changed.disconnect(self._on_edit)

    @property
    def outline_px(self) -> int:
        """Width of the outlines; 0 fills the objects."""
        return self._outline_px

    @outline_px.setter
    def outline_px(self, width: int) -> None:
        if width != self._outline_px:
            self._outline_px = width
            self._draw_all_anew()

    @property
    def colour_by(self) -> ColourBy:
        """What a colour stands for."""
        return self._colour_by

    @colour_by.setter
    def colour_by(self, wish: ColourBy) -> None:
        if wish != self._colour_by:
            self._colour_by = wish
            self._draw_all_anew()

    @property
    def _shown_classes(self) -> ClassScheme:
        return self._objects.classes if self._colouring is None else self._colouring.classes

    def recolour(self) -> None:
        """The colouring says otherwise of many objects: show that, without drawing them anew."""
        if not self._follow_classes():
            return
        level = self._levels[self.layer.data_level]
        for other in self._levels:
            other.repaint(self._repaint, self._seen if other is level else Box(0, 0, 0, 0))
        renew_overview(self.layer)
        self.layer.refresh(thumbnail=False, highlight=False, extent=False)

    def row_at(self, value: int) -> int | None:
        """Row number of a value of the layer; None for the background."""
        if value <= 0:
            return None
        return value - 1 if self._colour_by == "object" else (value - 1) // self._slots

    # -- drawing ---------------------------------------------------------------------------------

    def _draw(self, box: Box, *, downsample: int) -> NDArray[np.uint32]:
        """Pixels of a box of a level; any thread.

        Outlines are drawn here, once a tile: napari's own contours are found anew over the whole
        view at every frame, which takes longer than all else that a click does.
        """
        width = max(self._bold_px, _FRAME_PX)
        rows = self._objects.rows_in(wider(box, width).scale(downsample))
        frames = self._objects.are_frames(rows)
        drawn = self._part(box, downsample, rows[~frames], self._outline_px)
        if self._objects.has_nuclei:
            self._put_nuclei(drawn, box, downsample, rows[~frames])
        drawn = self._with_bold(drawn, box, downsample, rows[~frames])
        if frames.any():
            # On their own, for the rims of what they hold are none of theirs; never filled.
            below = self._part(box, downsample, rows[frames], width)
            drawn = np.where(drawn > 0, drawn, below)
        return drawn

    def _with_bold(
        self, drawn: NDArray[np.uint32], box: Box, downsample: int, rows: NDArray[np.int64]
    ) -> NDArray[np.uint32]:
        """What was drawn, with the bold outlines over it."""
        if self._colouring is None or not self._outline_px:
            return drawn
        bold = rows[self._colouring.are_solid(rows)]
        if not len(bold):
            return drawn
        above = self._part(box, downsample, bold, self._bold_px)
        return np.where(above > 0, above, drawn)

    def _part(
        self, box: Box, downsample: int, rows: NDArray[np.int64], width: int
    ) -> NDArray[np.uint32]:
        """Some rows, as outlines of a width, or filled where it is 0."""
        drawn = draw_level(
            wider(box, width),
            downsample,
            rows=rows,
            bounds=self._objects.bounds(rows),
            outlines=self._objects.contours_of,
            values=self._values(rows),
        )
        return rims(drawn, width) if width else drawn

    def _put_nuclei(
        self, drawn: NDArray[np.uint32], box: Box, downsample: int, rows: NDArray[np.int64]
    ) -> None:
        """Put thinner outlines of nuclei into what was drawn; clear ones into filled cells."""
        lines = draw_nuclei(
            box,
            downsample,
            nuclei=self._objects.nuclei_of(rows),
            values=self._values(rows),
            width=max(self._outline_px // 2, 1),
        )
        put_nuclei(drawn, lines, filled=not self._outline_px)

    def _values(self, rows: NDArray[np.int64]) -> NDArray[np.uint32]:
        """Values of row numbers: a cycle of colours then shows classes, or tells objects apart."""
        if self._colour_by == "object":
            return (rows + 1).astype(np.uint32)
        classes = (self._colouring or self._objects).class_ids(rows)
        slot = np.where(classes < 0, self._slots - 1, classes)
        return (1 + rows * self._slots + slot).astype(np.uint32)

    def _colormap(self) -> CyclicLabelColormap:
        from napari.utils.colormaps import CyclicLabelColormap, label_colormap

        if self._colour_by == "object":
            return label_colormap(_OBJECT_COLOURS)
        rgb = [c.rgb for c in self._shown_classes]
        if self._outline_px:
            rgb = [line_colour(c) for c in rgb]
        rgb += [UNCLASSIFIED_RGB] * (self._slots - len(rgb))
        colours = np.array([(0, 0, 0, 0), *((*(v / 255 for v in c), 1) for c in rgb)], np.float32)
        return CyclicLabelColormap(colors=colours, background_value=0)

    # -- following -------------------------------------------------------------------------------

    def _on_edit(self, edit: Edit) -> None:
        if not self._follow_classes():
            return
        boxes, margin = _touched(edit), self._bold_px + 1
        for box in boxes:
            for level in self._levels:
                level.renew(box, margin_px=margin)
        renew_overview(self.layer)
        level = self._levels[self.layer.data_level]
        if boxes:
            self._show(level, [level.reach(box, margin) for box in boxes])

    def _follow_classes(self) -> bool:
        """Take over what classes there are; False where all had to be drawn anew for it."""
        classes = self._shown_classes
        if classes == self._classes:
            return True
        self._classes = classes
        if _slots_for(classes) > self._slots:
            self._slots = _slots_for(classes)
            self._draw_all_anew()
            return False
        self.layer.colormap = self._colormap()
        return True

    def _repaint(self, tile: NDArray[np.uint32]) -> None:
        """Give the pixels of a tile the values that their rows have now."""
        there = tile > 0
        rows = self._rows_of(tile[there].astype(np.int64))
        tile[there] = self._values(rows)

    def _rows_of(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        return values - 1 if self._colour_by == "object" else (values - 1) // self._slots

    @property
    def _bold_px(self) -> int:
        """Width of the outlines that are bold, where there are any."""
        return self._outline_px * (1 if self._colouring is None else _BOLD)

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
        if many or not _patched(self.layer, seen, [(part, level.read(part)) for part in parts]):
            self.layer.refresh(thumbnail=False, highlight=False, extent=False)

    def _draw_all_anew(self) -> None:
        for level in self._levels:
            level.clear()
        renew_overview(self.layer)
        self.layer.colormap = self._colormap()
        self.layer.refresh()


def renew_overview(layer: Labels) -> None:
    """Make napari read the coarsest level again when it is next shown.

    It keeps that level as it was first read, and nothing public tells it of changes but
    new data, for which it asks for everything anew.
    """
    reset = getattr(layer, "_reset_thumbnail_level_data", None)
    if reset is not None:
        reset()


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


def _patched(layer: Labels, seen: Box, parts: list[tuple[Box, NDArray[np.uint32]]]) -> bool:
    """Whether new pixels could be put into what a layer shows, the box `seen` of its level.

    napari does so for what is painted, and no public way leads there for a layer of many levels:
    a `refresh` asks for all that is seen, ten times the work.
    """
    try:
        raw = layer._slice.image.raw
        if not (layer.visible and layer.loaded) or raw.shape != seen.shape or layer.contour:
            return False
        for part, pixels in parts:
            where = _within(part, seen)
            raw[where] = pixels
            layer._slice.image.view[where] = layer._raw_to_displayed(raw, where)
            layer._updated_slice = where
            layer._partial_labels_refresh()
    except (AttributeError, TypeError, ValueError):  # another version of napari
        return False
    return True


def _within(part: Box, whole: Box) -> tuple[slice, slice]:
    top, left = part.y - whole.y, part.x - whole.x
    return slice(top, top + part.height), slice(left, left + part.width)


def _slots_for(classes: ClassScheme) -> int:
    """Colours to set apart: one more than classes, a power of two."""
    return max(_LEAST_SLOTS, 1 << len(classes).bit_length())


def smaller(shape: tuple[int, int], downsample: int) -> tuple[int, int]:
    return -(-shape[0] // downsample), -(-shape[1] // downsample)
