"""Layers as object files; ids, classes and measurements stay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Contours, ObjectState, ObjectTable, ObjectType
from napari_histo.errors import WriteError
from napari_histo.plugin.geometry import shape_geometries
from napari_histo.plugin.layers import current_table

if TYPE_CHECKING:
    from napari.types import FullLayerData

__all__ = ["table_of_layer", "write_objects"]

#: Vertices nearer than this are where they were: twice the precision of QuPath's files.
_SAME_PX = 0.02


def write_objects(path: str, layers: list[FullLayerData]) -> list[str]:
    """Write labels and shapes layers to one GeoJSON or Parquet file, for napari.

    Raises
    ------
    WriteError
        A layer holds no objects, or the file cannot be written.
    """
    from napari_histo.store import save_objects

    tables = [table_of_layer(*layer) for layer in layers]
    save_objects(path, ObjectTable.concat(tables))
    return [path]


def table_of_layer(data: Any, attributes: dict[str, Any], kind: str) -> ObjectTable:
    """Objects of a layer: those that it shows, or its labels or shapes traced anew."""
    table = current_table(attributes.get("metadata", {}))
    if kind == "shapes":
        return _from_shapes(data, attributes, table)
    if table is not None:
        return table
    return _from_labels(data, attributes)


def _from_labels(data: Any, attributes: dict[str, Any]) -> ObjectTable:
    from napari_histo.store import labels_to_table

    plane = np.asarray(data[0] if attributes.get("multiscale") else data)
    name = attributes.get("name", "The layer")
    if plane.ndim != 2:
        raise WriteError(
            f"{name} has {plane.ndim} axes; objects lie in one plane (height, width). "
            "Slice one plane out of it first."
        )
    return labels_to_table(plane, source=name)


def _from_shapes(
    data: list[NDArray[Any]], attributes: dict[str, Any], table: ObjectTable | None
) -> ObjectTable:
    """Shapes that came from a table keep their row; new ones become annotations."""
    drawn = shape_geometries(data, attributes["shape_type"])
    if table is None:
        return _annotations(drawn)
    rows = _rows(attributes.get("features"), len(drawn), table)
    known = rows >= 0
    kept = _with_geometries(table.select(rows[known]), drawn[known])
    return ObjectTable.concat([kept, _annotations(drawn[~known])]) if not known.all() else kept


def _annotations(geometries: NDArray[np.object_]) -> ObjectTable:
    return ObjectTable.build(
        Contours.from_shapely(geometries),
        state=ObjectState.DRAWN,
        object_type=ObjectType.ANNOTATION,
    )


def _with_geometries(table: ObjectTable, geometries: NDArray[np.object_]) -> ObjectTable:
    """The rows with what is drawn now; those that changed are marked as edited."""
    import shapely

    before = table.to_shapely()
    same = shapely.equals_exact(
        shapely.normalize(before), shapely.normalize(geometries), tolerance=_SAME_PX
    )
    return table.with_columns(
        contours=Contours.from_shapely(np.where(same, before, geometries)),
        state=np.where(same, table.state, ObjectState.EDITED).astype(np.uint8),
    )


def _rows(features: Any, n: int, table: ObjectTable) -> NDArray[np.int64]:
    """Row of each shape by its id; -1 for new shapes, and for the second of two with one id."""
    row_of = {str(uuid): row for row, uuid in enumerate(table.uuids())}
    ids = features["object_id"] if features is not None and "object_id" in features else [None] * n
    return np.array([row_of.pop(str(i), -1) for i in ids], np.int64)
