"""Files of gestures: points from a detector, a table or QuPath; boxes; squiggles."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_histo.core import (
    BoxPrompt,
    ClassScheme,
    GeometryKind,
    PointPrompt,
    Prompt,
    ScribblePrompt,
)
from napari_histo.errors import ObjectsFileError
from napari_histo.store.dispatch import format_of
from napari_histo.store.geojson import read_geojson

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

__all__ = ["PromptKind", "PromptedObject", "read_prompts", "scheme_of"]

PromptKind = Literal["points", "boxes", "scribbles"]
_COLUMNS = {
    "points": ("x", "y"),
    "boxes": ("left", "top", "right", "bottom"),
    "scribbles": ("object", "x", "y"),
}
_NO = {"0", "false", "no", "-", "negative"}


@dataclass(frozen=True, eq=False)
class PromptedObject:
    """All gestures for one object, full-resolution px, and its class where the file names one."""

    prompts: tuple[Prompt, ...]
    class_name: str | None = None


def read_prompts(path: Path | str, kind: PromptKind) -> list[PromptedObject]:
    """Gestures of a CSV or GeoJSON file.

    A CSV file has a heading. Points: ``x,y``; boxes: ``left,top,right,bottom``; scribbles:
    ``object,x,y``, a row a vertex. Optional are ``class`` or ``class_id``, ``positive`` (0 or 1),
    and ``object``, which joins several rows to one object. In GeoJSON, points and MultiPoints are
    points (an object each), lines are scribbles, and the bounds of areas are boxes.

    Parameters
    ----------
    kind : {"points", "boxes", "scribbles"}

    Raises
    ------
    ObjectsFileError
        The file is missing or damaged, has other columns, or holds none of that kind.
    """
    path = Path(path)
    if not path.is_file():
        raise ObjectsFileError(f"There is no file {path}. Check the path.")
    is_geojson = format_of(path) == "geojson"
    found = list(_from_geojson(path, kind) if is_geojson else _from_csv(path, kind))
    if not found:
        raise ObjectsFileError(f"{path} holds no {kind}. {_help(kind)}")
    return found


def _help(kind: PromptKind) -> str:
    shapes = {"points": "points", "boxes": "rectangles", "scribbles": "lines"}[kind]
    return f"Give a CSV file with the columns {','.join(_COLUMNS[kind])}, or GeoJSON with {shapes}."


# -- GeoJSON ---------------------------------------------------------------------------------------


def _from_geojson(path: Path, kind: PromptKind) -> Iterator[PromptedObject]:
    table = read_geojson(path)
    names = table.class_names
    for row, geometry in enumerate(table.to_shapely()):
        name = names[row]
        if kind == "points" and table.contours.kind[row] == GeometryKind.POINT:
            for x, y in _vertices(geometry):
                yield PromptedObject((PointPrompt(x, y),), name)
        elif kind == "boxes" and table.contours.kind[row] == GeometryKind.POLYGON:
            yield PromptedObject((BoxPrompt(*geometry.bounds),), name)
        elif kind == "scribbles" and table.contours.kind[row] == GeometryKind.LINE:
            xy = np.array(_vertices(geometry), np.float32)
            yield PromptedObject((ScribblePrompt(xy),), name)


def _vertices(geometry: BaseGeometry) -> list[tuple[float, float]]:
    import shapely

    return [(float(x), float(y)) for x, y in shapely.get_coordinates(geometry)]


# -- CSV -------------------------------------------------------------------------------------------


def _from_csv(path: Path, kind: PromptKind) -> Iterator[PromptedObject]:
    rows = _rows(path, kind)
    objects: dict[str, list[Mapping[str, str]]] = {}
    for number, row in enumerate(rows):
        objects.setdefault(row.get("object") or f"#{number}", []).append(row)
    for name, own in objects.items():
        try:
            prompts = tuple(_prompts(own, kind))
        except ValueError as error:
            raise ObjectsFileError(
                f"{path}: a coordinate of object {name} is not a number ({error}). Correct it."
            ) from error
        yield PromptedObject(prompts, _class_name(own[0]))


def _rows(path: Path, kind: PromptKind) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            text = csv.DictReader(file)
            rows = [{k.strip().lower(): (v or "").strip() for k, v in r.items() if k} for r in text]
    except (OSError, UnicodeDecodeError, csv.Error, AttributeError) as error:
        raise ObjectsFileError(f"{path} is not readable CSV: {error}. {_help(kind)}") from error
    missing = [c for c in _COLUMNS[kind] if rows and c not in rows[0]]
    if missing:
        raise ObjectsFileError(
            f"{path} has no column {', '.join(missing)}; it has {', '.join(rows[0])}. {_help(kind)}"
        )
    return rows


def _prompts(rows: list[Mapping[str, str]], kind: PromptKind) -> Iterator[Prompt]:
    positive = rows[0].get("positive", "1").lower() not in _NO
    if kind == "scribbles":
        xy = np.array([(_number(r["x"]), _number(r["y"])) for r in rows], np.float32)
        yield ScribblePrompt(xy, positive)
        return
    for row in rows:
        positive = row.get("positive", "1").lower() not in _NO
        if kind == "points":
            yield PointPrompt(_number(row["x"]), _number(row["y"]), positive)
        else:
            left, top, right, bottom = (_number(row[c]) for c in _COLUMNS["boxes"])
            if right <= left or bottom <= top:
                raise ValueError(f"box {left:g},{top:g},{right:g},{bottom:g} has no area")
            yield BoxPrompt(left, top, right, bottom, positive)


def _number(text: str) -> float:
    value = float(text)
    if not np.isfinite(value):
        raise ValueError(f"{text!r} is not finite")
    return value


def _class_name(row: Mapping[str, str]) -> str | None:
    if row.get("class"):
        return row["class"]
    return f"Class {row['class_id']}" if row.get("class_id") else None


def scheme_of(objects: Sequence[PromptedObject]) -> ClassScheme:
    """The classes that the objects name, in order of appearance."""
    return ClassScheme.of(*dict.fromkeys(o.class_name for o in objects if o.class_name))
