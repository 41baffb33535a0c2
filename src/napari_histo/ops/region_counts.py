"""How many objects of each class lie in each region, and how densely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import (
    ClassScheme,
    Contours,
    GeometryKind,
    ObjectState,
    ObjectTable,
    ObjectType,
    PixelSize,
)

__all__ = ["ANNOTATIONS", "WHOLE_IMAGE", "Places", "centres_of", "count_objects", "rows_in_regions"]

WHOLE_IMAGE = "Image"
_UNCLASSIFIED = "Unclassified"
#: What people draw around objects; everything else is counted.
ANNOTATIONS = (ObjectType.ANNOTATION, ObjectType.TMA_CORE, ObjectType.ROOT)


@dataclass(frozen=True, eq=False)
class Places:
    """The image and its regions, and which objects lie in each.

    Attributes
    ----------
    names : list of (str, str)
        Name and class of each, the image first.
    members : list of int arrays
        Rows in each; a row may lie in several.
    areas_px : list of float
        px²; NaN where unknown.
    """

    names: list[tuple[str, str]]
    members: list[NDArray[np.int64]]
    areas_px: list[float]

    @classmethod
    def of(cls, table: ObjectTable, regions: ObjectTable | None, image_px2: float) -> Places:
        """Objects of `table` by their centres, without annotations and what a person refused.

        Parameters
        ----------
        table : ObjectTable
        regions : ObjectTable or None
            None for the image alone.
        image_px2 : float
            Area of the image, px².
        """
        centres = centres_of(table)
        known = np.isfinite(centres).all(axis=1) & (table.state != ObjectState.REJECTED)
        rows = np.flatnonzero(known & ~np.isin(table.object_type, ANNOTATIONS))
        names, members, areas = [(WHOLE_IMAGE, "")], [rows], [float(image_px2)]
        if regions is not None:
            classes = [name or "" for name in regions.class_names]
            names += list(zip(_titles(regions), classes, strict=True))
            members += [rows[i] for i in rows_in_regions(centres[rows], regions.contours)]
            areas += regions.areas_px.tolist()
        return cls(names, members, areas)


def centres_of(table: ObjectTable) -> NDArray[np.float64]:
    """(n, 2) centroids of nuclei where there are any, else of outlines, px."""
    if table.nuclei is None:
        return table.centroids
    nuclei = table.nuclei.centroids
    return np.where(np.isfinite(nuclei), nuclei, table.centroids)


def _titles(regions: ObjectTable) -> list[str]:
    """A name for each region: its own, or its class's with a number."""
    classes = regions.class_names
    return [
        regions.details_of(i).name or f"{classes[i] or 'Annotation'} {i + 1}"
        for i in range(len(regions))
    ]


def rows_in_regions(points: NDArray[np.float64], regions: Contours) -> list[NDArray[np.int64]]:
    """Rows of the points (n, 2) that lie in each region, ascending; lines and points hold none."""
    import shapely

    order = np.argsort(points[:, 0])
    x, bounds = points[order, 0], regions.bounds
    found = []
    for i, shape in enumerate(regions.to_shapely()):
        if regions.kind[i] != GeometryKind.POLYGON or shape.is_empty:
            found.append(np.zeros(0, np.int64))
            continue
        # From left to right, so that a small region looks at the few points above and below it.
        near = order[slice(*np.searchsorted(x, bounds[i, [0, 2]] + np.array([0, 1e-3])))]
        near = near[(points[near, 1] >= bounds[i, 1]) & (points[near, 1] <= bounds[i, 3])]
        shapely.prepare(shape)
        found.append(np.sort(near[shapely.contains_xy(shape, points[near])]))
    return found


def count_objects(
    class_id: NDArray[np.integer],
    classes: ClassScheme,
    *,
    members: Sequence[NDArray[np.int64]],
    names: Sequence[tuple[str, str]],
    areas_px: Sequence[float],
    pixel_size: PixelSize | None,
) -> list[dict[str, Any]]:
    """A row for each region and class, the region's total first.

    Parameters
    ----------
    class_id : (n,) integers
    classes : ClassScheme
    members : sequence of int arrays
        Rows in each region.
    names : sequence of (str, str)
        Name and class of each region.
    areas_px : sequence of float
        Of each region, px².
    pixel_size : PixelSize or None
        None leaves area and density empty.
    """
    mm2 = np.nan if pixel_size is None else pixel_size.area_um2 / 1e6
    present = np.unique(class_id).tolist()
    rows = []
    for (name, region_class), inside, area_px in zip(names, members, areas_px, strict=True):
        counts = np.bincount(class_id[inside] + 1, minlength=len(classes) + 1)
        area = area_px * mm2
        kinds = [("All", len(inside))]
        kinds += [(classes.name_of(i) or _UNCLASSIFIED, int(counts[i + 1])) for i in present]
        rows += [
            {
                "Region": name,
                "Region class": region_class,
                "Class": kind,
                "Count": n,
                "Share": n / len(inside) if len(inside) else np.nan,
                "Area mm^2": area,
                "Density per mm^2": n / area if area > 0 else np.nan,
            }
            for kind, n in kinds
        ]
    return rows
