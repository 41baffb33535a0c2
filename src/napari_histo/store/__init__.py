"""Objects on disk: GeoJSON in QuPath's dialect, GeoParquet, label images.

`save_objects` and `load_objects` choose by the suffix of the path.
"""

from __future__ import annotations

from napari_histo.store.dispatch import FORMATS, check_output, format_of, load_objects, save_objects
from napari_histo.store.geojson import iter_geojson, read_geojson, write_geojson
from napari_histo.store.labels import labels_to_table, rasterise
from napari_histo.store.write import atomic_path

__all__ = [
    "FORMATS",
    "atomic_path",
    "check_output",
    "format_of",
    "iter_geojson",
    "labels_to_table",
    "load_objects",
    "rasterise",
    "read_geojson",
    "save_objects",
    "write_geojson",
]
