"""Objects as GeoParquet: every column without loss, opened by geopandas, QGIS and DuckDB.

Columns: ``object_id`` (UUID as text), ``geometry`` and ``nucleus_geometry`` (WKB, full-resolution
px), ``class``, ``class_prob``, ``det_prob``, ``state``, ``object_type``, ``source``, ``details``
(JSON, null for nearly all), then one float64 column a measurement. The file's metadata hold the
GeoParquet key ``geo`` and ``napari_histo``: format version, classes with colours, sources.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from napari_histo.core import ClassScheme, Contours, ObjectTable
from napari_histo.errors import ObjectsFileError, WriteError
from napari_histo.store._parquet_columns import (
    batch_of,
    column_names,
    schema_of,
    scheme_of,
    table_of,
)
from napari_histo.store._wkb import geometry_types
from napari_histo.store.write import atomic_path

__all__ = ["FORMAT_VERSION", "iter_parquet", "read_parquet", "write_parquet"]

FORMAT_VERSION = 1
_KEY = b"napari_histo"
_CHUNK_ROWS = 20_000


def write_parquet(
    path: Path | str,
    objects: ObjectTable | Iterable[ObjectTable],
    *,
    about: Mapping[str, Any] | None = None,
) -> int:
    """Write a GeoParquet 1.1 file in row groups of 20,000.

    Parameters
    ----------
    path : path
    objects : ObjectTable or iterable of ObjectTable
        All with the same measurements, and all with or all without nuclei.
    about : mapping, optional
        Facts to keep in the file's metadata (model, image, settings), as JSON.

    Returns
    -------
    int
        Number of objects.

    Raises
    ------
    WriteError
        The file cannot be written, or a later table has other columns than the first.
    """
    import pyarrow.parquet as pq

    tables = iter([objects] if isinstance(objects, ObjectTable) else objects)
    first = next(tables, ObjectTable.empty())
    schema, facts, n = schema_of(first), _Facts(first), 0
    with (
        atomic_path(path) as work,
        pq.ParquetWriter(work, schema, compression="zstd") as writer,
    ):
        for table in chain([first], tables):
            facts.take(table, path)
            for start in range(0, len(table), _CHUNK_ROWS):
                chunk = table.select(range(start, min(start + _CHUNK_ROWS, len(table))))
                writer.write_batch(batch_of(chunk, schema))
                n += len(chunk)
        writer.add_key_value_metadata(facts.metadata(about or {}))
    return n


def iter_parquet(path: Path | str) -> Iterator[ObjectTable]:
    """Read a file in tables of up to 20,000 objects, in bounded memory.

    Raises
    ------
    ObjectsFileError
        The file is missing, damaged, or no GeoParquet; or it was written by a newer version.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            found = (file.metadata.metadata or {}).get(_KEY)
            if found is None:
                yield _foreign(path)
                return
            facts = _checked(json.loads(found), path)
            for batch in file.iter_batches(_CHUNK_ROWS):
                yield table_of(batch, facts)
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise ObjectsFileError(
            f"Cannot read {path} as Parquet: {str(error).splitlines()[0]}. Check the path; where "
            "the file is damaged, copy or export it again."
        ) from error


def read_parquet(path: Path | str) -> ObjectTable:
    """All objects of a file; of a foreign GeoParquet the geometry, ``class`` and numbers.

    Raises
    ------
    ObjectsFileError
        As of `iter_parquet`.
    """
    tables = list(iter_parquet(path))
    if tables:
        return ObjectTable.concat(tables)
    import pyarrow.parquet as pq

    facts = json.loads(pq.read_metadata(path).metadata[_KEY])
    return ObjectTable.empty().with_columns(
        classes=scheme_of(facts),
        sources=tuple(facts["sources"]),
        measurements={name: np.zeros(0) for name in facts["measurements"]},
        nuclei=Contours.empty() if facts["nuclei"] else None,
    )


# -- writing -------------------------------------------------------------------------------------


class _Facts:
    """What goes into the file's metadata, gathered while tables pass."""

    def __init__(self, first: ObjectTable) -> None:
        self._measurements = list(first.measurements)
        self._has_nuclei = first.nuclei is not None
        self._classes, self._sources = ClassScheme(), dict[str, None]()
        self._types: dict[str, set[str]] = {"geometry": set(), "nucleus_geometry": set()}
        self._bounds = np.array([np.inf, np.inf, -np.inf, -np.inf])

    def take(self, table: ObjectTable, path: Path | str) -> None:
        """Take in a table."""
        same = list(table.measurements) == self._measurements
        if len(table) and not (same and (table.nuclei is not None) == self._has_nuclei):
            raise WriteError(
                f"Cannot write {path}: tables differ in their columns. The first has measurements "
                f"{self._measurements} and nuclei={self._has_nuclei}, a later one "
                f"{list(table.measurements)} and nuclei={table.nuclei is not None}. Join them with "
                "ObjectTable.concat first."
            )
        self._classes = self._classes.union(table.classes)
        self._sources |= dict.fromkeys(table.sources)
        self._types["geometry"] |= geometry_types(table.contours)
        if table.nuclei is not None:
            self._types["nucleus_geometry"] |= geometry_types(table.nuclei)
        if len(table.contours.xy):
            low, high = table.contours.xy.min(axis=0), table.contours.xy.max(axis=0)
            self._bounds[:2] = np.minimum(self._bounds[:2], low)
            self._bounds[2:] = np.maximum(self._bounds[2:], high)

    def metadata(self, about: Mapping[str, Any]) -> dict[bytes, bytes]:
        """Keys ``geo`` (https://geoparquet.org/releases/v1.1.0) and ``napari_histo``."""
        names = ("geometry", "nucleus_geometry") if self._has_nuclei else ("geometry",)
        # "crs": null says that coordinates are no place on earth.
        columns: dict[str, Any] = {
            name: {"encoding": "WKB", "geometry_types": sorted(self._types[name]), "crs": None}
            for name in names
        }
        if np.isfinite(self._bounds).all():
            columns["geometry"]["bbox"] = self._bounds.tolist()
        geo = {"version": "1.1.0", "primary_column": "geometry", "columns": columns}
        facts = {
            "version": FORMAT_VERSION,
            "classes": [{"name": c.name, "color": list(c.rgb)} for c in self._classes],
            "sources": list(self._sources),
            "measurements": column_names(self._measurements),
            "nuclei": self._has_nuclei,
            "about": dict(about),
        }
        return {b"geo": json.dumps(geo).encode(), _KEY: json.dumps(facts).encode()}


def _checked(facts: dict[str, Any], path: Path | str) -> dict[str, Any]:
    if facts["version"] > FORMAT_VERSION:
        raise ObjectsFileError(
            f"{path} has format version {facts['version']}; this version of napari-histo reads up "
            f"to {FORMAT_VERSION}. Update napari-histo."
        )
    return facts


def _foreign(path: Path | str) -> ObjectTable:
    """A GeoParquet file of another program, or of geopandas."""
    import geopandas

    return ObjectTable.from_geopandas(geopandas.read_parquet(path))
