"""Objects as pixels of a labels layer: outlines or filled, in the colours of their classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, ClassScheme
from napari_histo.plugin.layers import UNCLASSIFIED_RGB
from napari_histo.plugin.lazy import draw_level
from napari_histo.plugin.outlines import draw_nuclei, put_nuclei, rims, wider
from napari_histo.plugin.theme import line_colour
from napari_histo.session.annotate.objects import EditableObjects

if TYPE_CHECKING:
    from napari.utils.colormaps import CyclicLabelColormap

__all__ = ["ColourBy", "Colouring", "ObjectsPainter"]

ColourBy = Literal["class", "object"]
#: Colours that are set apart for classes; when there are more classes, all is drawn anew.
_LEAST_SLOTS = 16
_OBJECT_COLOURS = 49
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


class ObjectsPainter:
    """Draws what objects are there, where it is asked to.

    Parameters
    ----------
    objects : EditableObjects
    outline_px : int
        Width of the outlines; 0 fills the objects.
    colour_by : {"class", "object"}
    colouring : Colouring, optional
        What the classes are; the objects' own by default.
    """

    def __init__(
        self,
        objects: EditableObjects,
        *,
        outline_px: int,
        colour_by: ColourBy,
        colouring: Colouring | None,
    ) -> None:
        self._objects = objects
        self._colouring = colouring
        self.outline_px = outline_px
        self.colour_by: ColourBy = colour_by
        self.slots = _slots_for(self.classes)

    @property
    def classes(self) -> ClassScheme:
        """That objects are shown in."""
        return self._objects.classes if self._colouring is None else self._colouring.classes

    @property
    def bold_px(self) -> int:
        """Width of the outlines that are bold, where there are any."""
        return self.outline_px * (1 if self._colouring is None else _BOLD)

    def make_room(self) -> bool:
        """Set colours apart for all classes; whether values are others than before for it."""
        before, self.slots = self.slots, max(self.slots, _slots_for(self.classes))
        return self.slots > before

    def rows_of(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Row numbers of values, which are above 0."""
        return values - 1 if self.colour_by == "object" else (values - 1) // self.slots

    def repaint(self, tile: NDArray[np.uint32]) -> None:
        """Give the pixels of a tile the values that their rows have now."""
        there = tile > 0
        rows = self.rows_of(tile[there].astype(np.int64))
        tile[there] = self._values(rows)

    def draw(self, box: Box, *, downsample: int) -> NDArray[np.uint32]:
        """Pixels of a box of a level; any thread.

        Outlines are drawn here, once a tile: napari's own contours are found anew over the whole
        view at every frame, which takes longer than all else that a click does.
        """
        width = max(self.bold_px, _FRAME_PX)
        rows = self._objects.rows_in(wider(box, width).scale(downsample))
        frames = self._objects.are_frames(rows)
        drawn = self._part(box, downsample, rows[~frames], self.outline_px)
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
        if self._colouring is None or not self.outline_px:
            return drawn
        bold = rows[self._colouring.are_solid(rows)]
        if not len(bold):
            return drawn
        above = self._part(box, downsample, bold, self.bold_px)
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
            width=max(self.outline_px // 2, 1),
        )
        put_nuclei(drawn, lines, filled=not self.outline_px)

    def _values(self, rows: NDArray[np.int64]) -> NDArray[np.uint32]:
        """Values of row numbers: a cycle of colours then shows classes, or tells objects apart."""
        if self.colour_by == "object":
            return (rows + 1).astype(np.uint32)
        classes = (self._colouring or self._objects).class_ids(rows)
        slot = np.where(classes < 0, self.slots - 1, classes)
        return (1 + rows * self.slots + slot).astype(np.uint32)

    def colormap(self) -> CyclicLabelColormap:
        """Colours of the values."""
        from napari.utils.colormaps import CyclicLabelColormap, label_colormap

        if self.colour_by == "object":
            return label_colormap(_OBJECT_COLOURS)
        rgb = [c.rgb for c in self.classes]
        if self.outline_px:
            rgb = [line_colour(c) for c in rgb]
        rgb += [UNCLASSIFIED_RGB] * (self.slots - len(rgb))
        colours = np.array([(0, 0, 0, 0), *((*(v / 255 for v in c), 1) for c in rgb)], np.float32)
        return CyclicLabelColormap(colors=colours, background_value=0)


def _slots_for(classes: ClassScheme) -> int:
    """Colours to set apart: one more than classes, a power of two."""
    return max(_LEAST_SLOTS, 1 << len(classes).bit_length())
