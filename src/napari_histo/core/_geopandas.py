"""Object tables as GeoDataFrames, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from napari_histo.core.classes import ClassScheme
from napari_histo.core.contours import Contours
from napari_histo.core.object_facts import ObjectState, ObjectType

if TYPE_CHECKING:
    import geopandas

    from napari_histo.core.objects import ObjectTable

__all__ = ["columns_of", "frame_of"]


def frame_of(table: ObjectTable) -> geopandas.GeoDataFrame:
    """See `ObjectTable.to_geopandas`."""
    import geopandas
    import pandas as pd

    index = pd.Index([str(i) for i in table.uuids()], name="object_id", dtype=object)
    columns: dict[str, Any] = {
        "class": table.class_names,
        "class_prob": table.class_prob,
        "det_prob": table.det_prob,
        "state": [ObjectState(s).name.lower() for s in table.state],
        "object_type": [ObjectType(t).name.lower() for t in table.object_type],
        "source": np.array([*table.sources, None], object)[table.source_id],
        **table.measurements,
    }
    if table.nuclei is not None:
        columns["nucleus_geometry"] = geopandas.GeoSeries(table.nuclei.to_shapely(), index=index)
    frame = pd.DataFrame(columns, index=index)
    return geopandas.GeoDataFrame(frame, geometry=table.to_shapely())


def columns_of(
    frame: geopandas.GeoDataFrame, classes: ClassScheme | None
) -> tuple[Contours, dict[str, Any]]:
    """What `ObjectTable.build` takes; see `ObjectTable.from_geopandas`."""
    n = len(frame)
    names = frame["class"] if "class" in frame else [None] * n
    names = [None if not isinstance(name, str) else name for name in names]
    scheme = (classes or ClassScheme()).union(ClassScheme.of(*dict.fromkeys(x for x in names if x)))
    known = {"class", "class_prob", "det_prob", "state", "object_type", "source"}
    numeric = frame.drop(columns=frame.geometry.name).select_dtypes("number")
    enums = {"state": ObjectState, "object_type": ObjectType}
    columns: dict[str, Any] = {
        name: [enum[v.upper()] for v in frame[name]]
        for name, enum in enums.items()
        if name in frame
    }
    for name in ("class_prob", "det_prob"):
        if name in frame:
            columns[name] = frame[name].to_numpy(np.float32)
    if "nucleus_geometry" in frame:
        columns["nuclei"] = Contours.from_shapely(frame["nucleus_geometry"])
    if "source" in frame:
        sources = tuple(dict.fromkeys(s for s in frame["source"] if isinstance(s, str)))
        columns["sources"] = sources
        columns["source_id"] = np.array(
            [sources.index(s) if isinstance(s, str) else -1 for s in frame["source"]], np.int32
        )
    return Contours.from_shapely(frame.geometry), {
        "object_id": _ids_from_index(frame.index),
        "class_id": [scheme.index(name) for name in names],
        "classes": scheme,
        "measurements": {
            str(k): v.to_numpy(np.float64) for k, v in numeric.items() if k not in known
        },
        **columns,
    }


def _ids_from_index(index: Iterable[Any]) -> NDArray[np.uint8] | None:
    try:
        raw = b"".join(UUID(str(i)).bytes for i in index)
    except ValueError:
        return None
    return np.frombuffer(raw, np.uint8).reshape(-1, 16).copy()
