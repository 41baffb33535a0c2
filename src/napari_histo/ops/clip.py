"""Cutting outlines off at the image's edge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_histo.core import Box, Contours

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

__all__ = ["clip_contours"]


def clip_contours(contours: Contours, box: Box) -> Contours:
    """The parts of areas that lie in `box`; rows that lie inside already are not touched.

    Parameters
    ----------
    contours : Contours
        Areas, px.
    box : Box
        In the same px.
    """
    left, top, right, bottom = contours.bounds.T
    beyond = (left < box.x) | (top < box.y) | (right > box.right) | (bottom > box.bottom)
    if not beyond.any():
        return contours
    import shapely

    outside, inside = np.flatnonzero(beyond), np.flatnonzero(~beyond)
    frame = shapely.box(box.x, box.y, box.right, box.bottom)
    cut = shapely.intersection(contours.to_shapely(outside), frame)
    # An intersection may bring along a line where an outline only touches the edge.
    areas = [_areas(geometry) for geometry in cut]
    joined = Contours.concat([contours.take(inside), Contours.from_shapely(areas)])
    return joined.take(np.argsort(np.concatenate([inside, outside])))


def _areas(geometry: BaseGeometry) -> BaseGeometry:
    import shapely

    if shapely.get_type_id(geometry) != shapely.GeometryType.GEOMETRYCOLLECTION:
        return geometry
    parts = shapely.get_parts(geometry)
    return shapely.union_all(parts[shapely.get_dimensions(parts) == 2])
