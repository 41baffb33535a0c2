"""Properties of features: measurements as columns, and what only few objects carry."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Details, ObjectState, ObjectType
from napari_histo.store._geojson_classes import rgb_of
from napari_histo.store._geojson_geometry import extra_members
from napari_histo.store._geojson_words import (
    DESCRIPTION,
    PARENT,
    SOURCE,
    STATE,
    TYPE_OF_NAME,
    default_state,
)

__all__ = ["RareValues", "measurement_columns", "rare_values", "state_column"]

Feature = dict[str, Any]
_TYPE_KEYS = ("objectType", "object_type", "type")
_KNOWN = {
    *_TYPE_KEYS,
    "childObjects",
    "children",
    "classification",
    "color",
    "extra_geometries",
    "isLocked",
    "measurements",
    "metadata",
    "name",
    "nucleusGeometry",
}
_COMMON = {"objectType", "classification", "measurements"}
_STATES = {state.name.lower(): int(state) for state in ObjectState}
_NO_PROPERTIES: dict[str, Any] = {}


@dataclass
class RareValues:
    """What a few rows have beside the columns."""

    details: dict[int, Details] = field(default_factory=dict)
    states: dict[int, int] = field(default_factory=dict)
    sources: dict[int, str] = field(default_factory=dict)
    numbers: dict[str, dict[int, float]] = field(default_factory=dict)


def rare_values(properties: Sequence[Feature], geometries: Sequence[Feature | None]) -> RareValues:
    """Details, states and sources of rows that have any, and numbers of foreign properties."""
    rare = RareValues()
    for row, (values, geometry) in enumerate(zip(properties, geometries, strict=True)):
        if geometry and len(geometry) > 2:
            extra = extra_members(geometry)
            if extra:
                rare.details[row] = Details(geometry_extra=extra)
        if not values.keys() <= _COMMON:
            _take_rare(rare, row, values)
    return rare


def _take_rare(rare: RareValues, row: int, values: Feature) -> None:
    metadata = {str(k): _text(v) for k, v in (values.get("metadata") or {}).items()}
    for key, value in values.items():
        foreign = key not in _KNOWN or (key in _TYPE_KEYS and str(value) not in TYPE_OF_NAME)
        if foreign and value is not None:
            if isinstance(value, int | float) and not isinstance(value, bool):
                rare.numbers.setdefault(key, {})[row] = float(value)
            else:
                metadata.setdefault(key, _text(value))
    if STATE in metadata:
        rare.states[row] = _STATES[metadata.pop(STATE)]
    if SOURCE in metadata:
        rare.sources[row] = metadata.pop(SOURCE)
    parent = metadata.pop(PARENT, None)
    name, before = values.get("name"), rare.details.get(row, Details())
    details = Details(
        name=None if name is None else str(name),
        description=metadata.pop(DESCRIPTION, None),
        rgb=rgb_of(values.get("color")),
        locked=values.get("isLocked") is True,
        metadata=metadata,
        geometry_extra=before.geometry_extra,
        parent_id=None if parent is None else UUID(parent),
    )
    if details != Details():
        rare.details[row] = details


def _text(value: Any) -> str:
    """Metadata are text; whatever else stands there keeps its JSON spelling."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def state_column(types: NDArray[np.uint8], named: Mapping[int, int]) -> NDArray[np.uint8]:
    states = np.array([default_state(kind) for kind in ObjectType], np.uint8)[types]
    for row, state in named.items():
        states[row] = state
    return states


# -- measurements --------------------------------------------------------------------------------


def measurement_columns(properties: Sequence[Feature]) -> dict[str, NDArray[np.float64]]:
    """Columns of all names; rows with the same names are converted together."""
    groups: dict[tuple[str, ...], list[int]] = {}
    maps: list[dict[str, Any]] = []
    for row, values in enumerate(properties):
        measured = values.get("measurements") or _NO_PROPERTIES
        if isinstance(measured, list):  # until 0.3
            measured = {str(item["name"]): item.get("value") for item in measured}
        maps.append(measured)
        if measured:
            groups.setdefault(tuple(measured), []).append(row)
    columns: dict[str, NDArray[np.float64]] = {}
    for names, rows in groups.items():
        block = _numbers([maps[row] for row in rows]).reshape(len(rows), len(names))
        for i, name in enumerate(names):
            column = columns.setdefault(name, np.full(len(properties), np.nan))
            column[rows] = block[:, i]
    return columns


def _numbers(maps: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    values = chain.from_iterable(m.values() for m in maps)
    try:
        return np.fromiter(values, np.float64)
    except (TypeError, ValueError):  # "NaN", null, a word
        return np.array([_number(v) for m in maps for v in m.values()], np.float64)


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)
