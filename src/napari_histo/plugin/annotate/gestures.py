"""What a stroke of the mouse means with each tool."""

from __future__ import annotations

from math import ceil, floor
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box
from napari_histo.plugin.annotate.canvas import Stroke
from napari_histo.plugin.annotate.marks import EXCLUDE, INCLUDE, Line, box_ring, rings
from napari_histo.session import AnnotationController, Tool

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

__all__ = ["carry_out", "draws", "preview"]

_BRUSHES = (Tool.PAINT, Tool.ERASE)
#: Outlines of so many objects follow the mouse; all of them move.
_MOST_MOVING = 100


def draws(tool: Tool) -> bool:
    """True where dragging the mouse draws; else it moves the view."""
    return tool is not Tool.CLICK


def carry_out(session: AnnotationController, stroke: Stroke) -> None:
    """Do what a stroke that is done says."""
    tool = session.state.tool
    if stroke.is_click and (stroke.extend or tool in (Tool.PICK, Tool.SPLIT)):
        session.select_at(*stroke.xy[0].tolist(), extend=stroke.extend or stroke.add)
    elif tool in _BRUSHES:
        _brush(session, stroke)
    elif stroke.is_click:
        session.click(*stroke.xy[0].tolist(), positive=not stroke.exclude, add=stroke.add)
    elif tool is Tool.BOX:
        session.box(*_edges(stroke))
    elif tool is Tool.SQUIGGLE:
        session.squiggle(stroke.xy, positive=not stroke.exclude, add=stroke.add)
    elif tool is Tool.SPLIT:
        session.split(stroke.xy)
    elif tool is Tool.PICK and _moves(session, stroke):
        session.move(*(stroke.xy[-1] - stroke.xy[0]).tolist())
    elif tool is Tool.PICK:
        inside = session.objects.ids_in(_whole(_edges(stroke)))
        session.select(inside, extend=stroke.extend or stroke.add)


def preview(session: AnnotationController, stroke: Stroke) -> list[Line]:
    """Lines that show a stroke while it is drawn."""
    tool = session.state.tool
    if tool is Tool.PICK and _moves(session, stroke):
        return _moved_lines(session, stroke)
    if tool in (Tool.BOX, Tool.PICK):
        return [(box_ring(*_edges(stroke)), INCLUDE)]
    if tool in _BRUSHES:
        colour = EXCLUDE if _erases(tool, stroke) else INCLUDE
        area = _brushed_area(stroke.xy, session.state.brush_px)
        return [(ring, colour) for ring in rings(np.array([area], object))]
    takes_away = tool is Tool.SPLIT or stroke.exclude
    return [(stroke.xy, EXCLUDE if takes_away else INCLUDE)]


def _brush(session: AnnotationController, stroke: Stroke) -> None:
    if _erases(session.state.tool, stroke):
        session.erase(stroke.xy)
        return
    if not _meets_selection(session, stroke):
        session.finish()  # painted elsewhere: another object
    session.paint(stroke.xy)


def _meets_selection(session: AnnotationController, stroke: Stroke) -> bool:
    import shapely

    selected = session.objects.get(session.state.selection).to_shapely()
    area = _brushed_area(stroke.xy, session.state.brush_px)
    return bool(shapely.intersects(shapely.make_valid(selected), area).any())


def _moves(session: AnnotationController, stroke: Stroke) -> bool:
    """True where a drag takes what is selected along: it began there, and no key says more."""
    if stroke.extend or stroke.add or stroke.exclude:
        return False
    x, y = stroke.xy[0].tolist()
    return session.objects.at(x, y) in session.state.selection


def _moved_lines(session: AnnotationController, stroke: Stroke) -> list[Line]:
    by = tuple((stroke.xy[-1] - stroke.xy[0]).tolist())
    some = session.objects.get(session.state.selection[:_MOST_MOVING]).transform(1, by)
    outlines = [some.contours] if some.nuclei is None else [some.contours, some.nuclei]
    return [(ring, INCLUDE) for c in outlines for ring in rings(c.to_shapely())]


def _erases(tool: Tool, stroke: Stroke) -> bool:
    """With Alt or the right button each brush does what the other one does."""
    return (tool is Tool.ERASE) != stroke.exclude


def _brushed_area(xy: NDArray[np.float64], radius: float) -> BaseGeometry:
    import shapely

    path = shapely.LineString(xy) if len(xy) > 1 else shapely.Point(xy[0])
    return path.buffer(radius, quad_segs=6)


def _edges(stroke: Stroke) -> tuple[float, float, float, float]:
    (left, top), (right, bottom) = np.sort(stroke.xy[[0, -1]], axis=0).tolist()
    return left, top, right, bottom


def _whole(edges: tuple[float, float, float, float]) -> Box:
    left, top, right, bottom = edges
    return Box.from_edges(floor(left), floor(top), ceil(right), ceil(bottom))
