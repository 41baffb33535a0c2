"""Objects whose class a person gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import ClassScheme, GeometryKind, ObjectState, ObjectTable, ObjectType
from napari_histo.errors import LearningError
from napari_histo.learning.cells.features import ObjectFeatures, is_object
from napari_histo.ops.region_counts import centres_of, rows_in_regions

__all__ = ["PLACEHOLDERS", "Examples", "examples_of", "rows_at"]

#: Classes that segmenters give to all that they find: they tell nothing apart.
PLACEHOLDERS = ("Nucleus", "Cell")
_CONFIRMED = (ObjectState.ACCEPTED, ObjectState.EDITED, ObjectState.DRAWN)


@dataclass(frozen=True, eq=False)
class Examples:
    """Objects with their classes, of one image or several.

    Attributes
    ----------
    features : ObjectFeatures
        (m) rows.
    class_id : (m,) int32
        Position in `classes`.
    classes : ClassScheme
    group : (m,) int32
        Position in `groups`.
    groups : tuple of str
        The images, or the patients.
    pixel_sizes_um : tuple of float
        That the images have.
    """

    features: ObjectFeatures
    class_id: NDArray[np.int32]
    classes: ClassScheme
    group: NDArray[np.int32]
    groups: tuple[str, ...]
    pixel_sizes_um: tuple[float, ...] = ()

    def __len__(self) -> int:
        return len(self.class_id)

    @classmethod
    def of(
        cls,
        features: ObjectFeatures,
        class_id: NDArray[np.integer],
        classes: ClassScheme,
        *,
        group: str = "",
    ) -> Examples:
        """Of one image.

        Parameters
        ----------
        features : ObjectFeatures
            Of all its objects.
        class_id : (n,) integers
            -1 for objects that are no examples.
        classes : ClassScheme
        group : str
            Name of the image, or of the patient.
        """
        rows = np.flatnonzero(class_id >= 0)
        size = features.pixel_size_um
        return cls(
            features.take(rows),
            class_id[rows].astype(np.int32),
            classes,
            np.zeros(len(rows), np.int32),
            (group,),
            () if size is None else (size,),
        )

    @staticmethod
    def join(parts: Sequence[Examples]) -> Examples:
        """Examples of several images: classes by name, columns that all have.

        Raises
        ------
        LearningError
            There are none, or they share no measurement.
        """
        parts = [part for part in parts if len(part)]
        if not parts:
            raise LearningError(
                "There are no examples. Give some objects a class and accept them, or put points "
                "with classes on them."
            )
        classes = parts[0].classes
        for part in parts[1:]:
            classes = classes.union(part.classes)
        groups = tuple(dict.fromkeys(name for part in parts for name in part.groups))
        ids = [
            np.array([classes.index(c) for c in p.classes.names], np.int32)[p.class_id]
            for p in parts
        ]
        images = [np.array([groups.index(g) for g in p.groups], np.int32)[p.group] for p in parts]
        return Examples(
            ObjectFeatures.concat([part.features for part in parts]),
            np.concatenate(ids),
            classes,
            np.concatenate(images),
            groups,
            tuple(sorted({size for part in parts for size in part.pixel_sizes_um})),
        )

    def counts(self) -> dict[str, int]:
        """Examples of each class that has any."""
        n = np.bincount(self.class_id, minlength=len(self.classes))
        return {c.name: int(k) for c, k in zip(self.classes, n, strict=True) if k}


def examples_of(
    table: ObjectTable, *, every: bool = False, areas: bool = False, within_px: float = 0.0
) -> NDArray[np.int32]:
    """Class of each object that is an example, (n,) positions in the table's classes, else -1.

    Examples are objects of a class that a person accepted, edited or drew, and objects that hold a
    point with a class (QuPath's point annotations). What models call all their objects
    (`PLACEHOLDERS`) is no class here.

    Parameters
    ----------
    table : ObjectTable
    every : bool
        True to take every object that has a class and no probability of it, for files of which
        all classes are a person's, as QuPath writes them.
    areas : bool
        True to take all objects within annotations of a class, the smallest that holds them, as
        QuPath's own training does. What is said of an object by itself wins.
    within_px : float
        A point beside all outlines counts for the object whose centroid is nearest, up to here.
    """
    known = np.isin(table.state, _CONFIRMED)
    if every:
        known |= (table.state == ObjectState.PREDICTED) & np.isnan(table.class_prob)
    held = np.array([c.name in PLACEHOLDERS for c in table.classes] + [True], bool)
    found = np.where(known & is_object(table) & ~held[table.class_id], table.class_id, -1)
    if areas:
        found = np.where(found < 0, _by_area(table), found)
    points, classes = _points(table)
    rows = rows_at(table, points, within_px=within_px)
    found[rows[rows >= 0]] = classes[rows >= 0]
    return found.astype(np.int32)


def rows_at(
    table: ObjectTable, points: NDArray[np.float64], *, within_px: float = 0.0
) -> NDArray[np.int64]:
    """Object that holds each point (x, y), px, or is nearest; -1 for none.

    Of several that hold it the one with the nearest centroid is taken.
    """
    import shapely
    from scipy.spatial import cKDTree

    out = np.full(len(points), -1, np.int64)
    if not len(points):
        return out
    rows = np.flatnonzero(is_object(table) & np.isfinite(table.centroids).all(axis=1))
    if not len(rows):
        return out
    centroids = table.centroids[rows]
    if within_px > 0:
        far, nearest = cKDTree(centroids).query(points)
        out = np.where(far <= within_px, rows[nearest], -1)
    tree = shapely.STRtree(table.to_shapely(rows))
    point, inside = tree.query(shapely.points(points), predicate="intersects")
    far = np.linalg.norm(points[point] - centroids[inside], axis=1)
    order = np.argsort(-far, kind="stable")
    out[point[order]] = rows[inside[order]]
    return out


def _by_area(table: ObjectTable) -> NDArray[np.int32]:
    """Class of the smallest annotation around each object, (n,); -1 for none."""
    found = np.full(len(table), -1, np.int32)
    drawn = (table.object_type == ObjectType.ANNOTATION) & (table.class_id >= 0)
    drawn &= (table.contours.kind == GeometryKind.POLYGON) & (table.state != ObjectState.REJECTED)
    regions = table.select(drawn)
    rows = np.flatnonzero(is_object(table))
    inside = rows_in_regions(centres_of(table)[rows], regions.contours)
    for i in np.argsort(-regions.areas_px, kind="stable").tolist():
        found[rows[inside[i]]] = regions.class_id[i]
    return found


def _points(table: ObjectTable) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """(m, 2) points with a class, and their classes."""
    import shapely

    of_points = (table.contours.kind == GeometryKind.POINT) & (table.class_id >= 0)
    rows = np.flatnonzero(of_points & (table.state != ObjectState.REJECTED))
    if not len(rows):
        return np.zeros((0, 2)), np.zeros(0, np.int32)
    xy, which = shapely.get_coordinates(table.to_shapely(rows), return_index=True)
    return xy, table.class_id[rows][which]
