"""Read GeoJSON (also ``.gz``) or ``.qpdata`` files with QuPath's own reader; print what QuPath saw.

Run as a child process, never imported: it starts a JVM, which cannot be restarted in one process
and must not share napari's::

    python read_with_qupath.py [--export FOLDER] FILE [FILE ...]

With ``--export`` QuPath also writes what it read to FOLDER, under the same file names. Prints one
JSON document per file, one a line: ``{"path", "qupath_version", "seconds", "objects": [...]}`` or
``{"path", ..., "error": "..."}``. QuPath's log goes to stderr, a line ``== PATH`` before each file.
Geometries are hexadecimal WKB, in pixels of the full resolution; children of the hierarchy follow
their parent and name it in ``parent_id``.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Java logs to stdout, which is this script's answer: keep the real one, send all else to stderr.
ANSWER = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)

from paquo import java  # noqa: E402  (starts the JVM)

OBJECT_TYPES = {
    "PathAnnotationObject": "annotation",
    "PathDetectionObject": "detection",
    "PathCellObject": "cell",
    "PathTileObject": "tile",
    "TMACoreObject": "tmaCore",
}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _rgb(packed: Any) -> list[int] | None:
    if packed is None:
        return None
    tools = java.ColorTools
    argb = java.Integer.valueOf(packed).intValue()
    return [int(tools.red(argb)), int(tools.green(argb)), int(tools.blue(argb))]


def _wkb(roi: Any) -> str | None:
    if roi is None:
        return None
    return str(java.WKBWriter.toHex(java.WKBWriter().write(roi.getGeometry())))


def _describe(obj: Any, parent_id: str | None) -> dict[str, Any]:
    path_class = obj.getPathClass()
    measurements = obj.getMeasurementList().asMap()
    simple_name = str(obj.getClass().getSimpleName())
    roi = obj.getROI()
    return {
        "id": str(obj.getID()),
        "parent_id": parent_id,
        "object_type": OBJECT_TYPES.get(simple_name, simple_name),
        "name": _text(obj.getName()),
        "color": _rgb(obj.getColor()),
        "classification": _text(path_class),
        "classification_color": None if path_class is None else _rgb(path_class.getColor()),
        "locked": bool(obj.isLocked()),
        "measurements": {str(e.getKey()): float(e.getValue()) for e in measurements.entrySet()},
        "metadata": {str(e.getKey()): str(e.getValue()) for e in obj.getMetadata().entrySet()},
        "geometry": _wkb(roi),
        "roi_type": None if roi is None else str(roi.getRoiName()),
        "plane": None if roi is None else [int(roi.getC()), int(roi.getZ()), int(roi.getT())],
        "nucleus_geometry": (
            _wkb(obj.getNucleusROI()) if isinstance(obj, java.PathCellObject) else None
        ),
    }


def _walk(objects: Any, parent_id: str | None = None) -> Iterator[dict[str, Any]]:
    for obj in objects:
        described = _describe(obj, parent_id)
        yield described
        yield from _walk(obj.getChildObjects(), described["id"])


def _export(objects: Any, path: Path) -> None:
    options = java.JClass("qupath.lib.io.PathIO$GeoJsonExportOptions")
    java.PathIO.exportObjectsAsGeoJSON(java.File(str(path)), objects, options.FEATURE_COLLECTION)


def read(path: str, export: Path | None) -> dict[str, Any]:
    """Everything that QuPath read from one file, or the error that it raised."""
    answer: dict[str, Any] = {"path": path, "qupath_version": str(java.qupath_version)}
    start = time.perf_counter()
    try:
        objects = java.PathIO.readObjects(java.File(path))
        answer["seconds"] = round(time.perf_counter() - start, 4)
        answer["objects"] = list(_walk(objects))
        if export is not None:
            _export(objects, export / Path(path).name)
    except Exception as error:  # a Java exception of any kind is an answer, too
        answer["error"] = f"{type(error).__name__}: {error}"
    return answer


if __name__ == "__main__":
    gc.disable()  # JPype would run a full collection here for each one of Java's
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--export", type=Path)
    parser.add_argument("files", nargs="+")
    arguments = parser.parse_args()
    for file in arguments.files:
        print(f"== {file}", file=sys.stderr, flush=True)
        ANSWER.write(json.dumps(read(file, arguments.export)) + "\n")
        ANSWER.flush()
