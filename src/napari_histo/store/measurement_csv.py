"""Measurements as a table of text, with the columns of QuPath's own export.

``Image``, ``Object ID``, ``Object type``, ``Classification``, ``Parent``, ``Centroid X µm``,
``Centroid Y µm``, then the probabilities and one column a measurement; empty where there is none.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from napari_histo.core import ObjectTable, ObjectType, PixelSize
from napari_histo.store._geojson_words import CLASS_PROB, DET_PROB
from napari_histo.store.write import atomic_path

__all__ = ["write_csv", "write_rows_csv"]

_CHUNK_ROWS = 20_000
_TYPE_WORDS = {
    ObjectType.DETECTION: "Detection",
    ObjectType.ANNOTATION: "Annotation",
    ObjectType.CELL: "Cell",
    ObjectType.TILE: "Tile",
    ObjectType.TMA_CORE: "TMA core",
    ObjectType.ROOT: "Image",
}


def write_csv(
    path: Path | str,
    table: ObjectTable,
    *,
    image: str = "",
    pixel_size: PixelSize | None = None,
    parents: Sequence[str] | None = None,
) -> int:
    """Write a row an object.

    Parameters
    ----------
    path : path
        Fields are separated by commas, by tabs where it ends with ``.tsv``.
    table : ObjectTable
    image : str
        Name of the image.
    pixel_size : PixelSize, optional
        None for centroids in px.
    parents : sequence of str, optional
        (n) names of the regions that hold the objects.

    Returns
    -------
    int
        Number of rows.

    Raises
    ------
    WriteError
    """
    separator = _separator(path)
    unit, scale = ("px", (1.0, 1.0))
    if pixel_size is not None:
        unit, scale = ("µm", (pixel_size.x_um, pixel_size.y_um))
    centroids = table.centroids * scale
    numbers: dict[str, NDArray[Any]] = {
        f"Centroid X {unit}": centroids[:, 0],
        f"Centroid Y {unit}": centroids[:, 1],
    }
    probabilities = {DET_PROB: table.det_prob, CLASS_PROB: table.class_prob}
    numbers |= {name: p for name, p in probabilities.items() if not np.isnan(p).all()}
    numbers |= table.measurements
    words = ("Image", "Object ID", "Object type", "Classification", "Parent")
    classes = [_field(name or "", separator) for name in (*table.classes.names, None)]
    types = {int(kind): word.encode() for kind, word in _TYPE_WORDS.items()}
    image_field = _field(image, separator)
    with atomic_path(path) as work, work.open("wb") as stream:
        names = [_field(name, separator) for name in (*words, *numbers)]
        stream.write(_mark(separator) + separator.join(names) + b"\n")
        for start in range(0, len(table), _CHUNK_ROWS):
            rows = slice(start, min(start + _CHUNK_ROWS, len(table)))
            n = rows.stop - rows.start
            columns = [
                [image_field] * n,
                _ids(table.object_id[rows]),
                [types[kind] for kind in table.object_type[rows].tolist()],
                [classes[i] for i in table.class_id[rows].tolist()],
                [_field(p, separator) for p in parents[rows]] if parents else [b""] * n,
                *(_texts(values[rows]) for values in numbers.values()),
            ]
            stream.write(b"\n".join(map(separator.join, zip(*columns, strict=True))) + b"\n")
    return len(table)


def write_rows_csv(path: Path | str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a small table; the first row names the columns, numbers keep six digits."""
    separator = _separator(path)
    with atomic_path(path) as work, work.open("wb") as stream:
        names = list(rows[0]) if rows else []
        head = separator.join(_field(name, separator) for name in names)
        stream.write(_mark(separator) + head + b"\n")
        for row in rows:
            values = (f"{v:.6g}" if isinstance(v, float) else str(v) for v in row.values())
            fields = (_field("" if v == "nan" else v, separator) for v in values)
            stream.write(separator.join(fields) + b"\n")


def _separator(path: Path | str) -> bytes:
    return b"\t" if Path(path).suffix.lower() == ".tsv" else b","


def _mark(separator: bytes) -> bytes:
    """What Excel needs to see, or it shows µ as two letters; QuPath's ``.tsv`` have none."""
    return b"\xef\xbb\xbf" if separator == b"," else b""


def _field(text: str, separator: bytes) -> bytes:
    """A field, quoted where it has to be."""
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=separator.decode(), lineterminator="").writerow([text])
    return buffer.getvalue().encode() if text else b""


def _texts(values: NDArray[Any]) -> list[bytes]:
    """Shortest text that reads back to the same number; empty for NaN and infinities."""
    text = orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)
    return text[1:-1].replace(b"null", b"").split(b",")


def _ids(object_id: NDArray[np.uint8]) -> list[bytes]:
    from napari_histo.store._uuids import ids_to_text

    text = ids_to_text(object_id)
    return [text[i : i + 36] for i in range(0, len(text), 36)]
