"""Features of QuPath 0.2 to 0.7, and of other programs, as rows of a table."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import (
    ClassDef,
    ClassScheme,
    Contours,
    Details,
    ObjectState,
    ObjectTable,
    ObjectType,
    new_ids,
    unpack_rgb,
)
from napari_histo.store._geojson_geometry import contours_of, extra_members
from napari_histo.store._geojson_words import (
    CLASS_PROB,
    DESCRIPTION,
    DET_PROB,
    MEMBER,
    PARENT,
    SOURCE,
    STATE,
    TYPE_OF_NAME,
    default_state,
)
from napari_histo.store._uuids import ids_from_text

__all__ = ["TableBuilder"]

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
_STATES = {state.name.lower(): int(state) for state in ObjectState}
_NO_PROPERTIES: dict[str, Any] = {}


@dataclass
class _Rare:
    """What a few rows have beside the columns."""

    details: dict[int, Details] = field(default_factory=dict)
    states: dict[int, int] = field(default_factory=dict)
    sources: dict[int, str] = field(default_factory=dict)
    numbers: dict[str, dict[int, float]] = field(default_factory=dict)


@dataclass
class TableBuilder:
    """Makes a table of each run of features; classes, sources and ids go on from run to run.

    The schemes of later tables begin with those of earlier ones, so a class id means the same in
    all of them.
    """

    classes: list[ClassDef] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    default_source: str | None = None

    def __post_init__(self) -> None:
        self._class_ids: dict[Any, int] = {}
        self._seen = np.zeros(0, np.uint64)

    def take_members(self, members: Mapping[str, Any]) -> None:
        """Read what this package wrote at the head of the file."""
        head = members.get(MEMBER)
        if isinstance(head, dict):
            for item in head.get("classes", ()):
                self._class_id(item)
            for name in head.get("sources", ()):
                self._source_id(name)
            self.default_source = head.get("source")

    def build(self, features: Sequence[Feature]) -> ObjectTable:
        """Rows of `features`, children behind their parents; QuPath's root is left out."""
        rows, parents = _flatten(features)
        properties = [f.get("properties") or _NO_PROPERTIES for f in rows]
        ids = self._ids([f.get("id") for f in rows])
        types = _object_types(rows, properties)
        geometries = [f.get("geometry") for f in rows]
        rare = _rare_of(properties, geometries)
        for child, parent in parents.items():
            found = rare.details.get(child, Details())
            parent_id = UUID(bytes=ids[parent].tobytes())
            rare.details[child] = replace(found, parent_id=parent_id)
        measurements = _measurements(properties)
        for name, values in rare.numbers.items():
            column = measurements.setdefault(name, np.full(len(rows), np.nan))
            column[list(values)] = list(values.values())
        class_id = [self._class_id(p.get("classification")) for p in properties]
        source_id = self._source_ids(len(rows), rare.sources)
        return ObjectTable.build(
            contours_of(geometries),
            object_id=ids,
            class_id=class_id,
            class_prob=measurements.pop(CLASS_PROB, None),
            det_prob=measurements.pop(DET_PROB, None),
            state=_states(types, rare.states),
            object_type=types,
            source_id=source_id,
            classes=ClassScheme(tuple(self.classes)),
            sources=tuple(self.sources),
            measurements=measurements,
            nuclei=_nuclei(rows, properties),
            details={UUID(bytes=ids[row].tobytes()): d for row, d in rare.details.items()},
        )

    # -- ids -------------------------------------------------------------------------------------

    def _ids(self, texts: list[Any]) -> NDArray[np.uint8]:
        """Ids of a run; features without a UUID, or with one seen before, get a fresh one."""
        ids, valid = ids_from_text(texts)
        ids[~valid] = new_ids(int((~valid).sum()))
        words = np.ascontiguousarray(ids).view(np.uint64)
        keys = words[:, 0] * np.uint64(0x9E3779B97F4A7C15) + words[:, 1]
        _, first = np.unique(keys, return_index=True)
        again = np.ones(len(keys), bool)
        again[first] = False
        if len(self._seen):
            at = np.minimum(np.searchsorted(self._seen, keys), len(self._seen) - 1)
            again |= self._seen[at] == keys
        if again.any():
            shown = UUID(bytes=ids[np.flatnonzero(again)[0]].tobytes())
            warnings.warn(
                f"{int(again.sum())} objects carry an id that an earlier object of the file has "
                f"({shown}); they got new ids.",
                stacklevel=2,
            )
            ids[again] = new_ids(int(again.sum()))
        self._seen = np.sort(np.concatenate([self._seen, keys[~again]]), kind="stable")
        return ids

    # -- classes and sources ---------------------------------------------------------------------

    def _class_id(self, classification: Any) -> int:
        if not classification:
            return -1
        key = _class_key(classification)
        known = self._class_ids.get(key)
        if known is None:
            item = _class_def(classification)
            names = [c.name for c in self.classes]
            known = names.index(item.name) if item.name in names else len(names)
            known = known if item.name else -1
            if known == len(names):
                self.classes.append(item)
            self._class_ids[key] = known
        return known

    def _source_id(self, name: str | None) -> int:
        if not name:
            return -1
        if name not in self.sources:
            self.sources.append(name)
        return self.sources.index(name)

    def _source_ids(self, n: int, named: Mapping[int, str]) -> NDArray[np.int32]:
        ids = np.full(n, self._source_id(self.default_source), np.int32)
        for row, name in named.items():
            ids[row] = self._source_id(name)
        return ids


# -- classes -------------------------------------------------------------------------------------


def _class_key(classification: Any) -> Any:
    """What tells classes apart, cheaply."""
    if isinstance(classification, dict) and "parentClass" not in classification:
        return classification.get("name") or tuple(classification.get("names") or ())
    return classification if isinstance(classification, str) else repr(classification)


def _class_def(classification: Any) -> ClassDef:
    """Class of a string, of ``{name or names, color or colorRGB}``, or with a ``parentClass``."""
    if isinstance(classification, str):
        return ClassDef.named(classification)
    if not isinstance(classification, dict):
        raise ValueError(f"classification {classification!r} is neither a name nor an object")
    names = [classification["name"]] if classification.get("name") else []
    names = names or list(classification.get("names") or ())
    parent = classification.get("parentClass")
    if parent:
        names = [_class_def(parent).name, *names]
    name = ": ".join(map(str, names))
    rgb = _rgb(classification.get("color", classification.get("colorRGB")))
    return ClassDef(name, rgb) if rgb else ClassDef.named(name)


def _rgb(color: Any) -> tuple[int, int, int] | None:
    """Colour of ``[r, g, b]``, ``[r, g, b, a]`` or a packed integer."""
    if isinstance(color, list) and len(color) >= 3:
        return int(color[0]), int(color[1]), int(color[2])
    if isinstance(color, list) and len(color) == 1:
        color = color[0]
    return unpack_rgb(int(color)) if isinstance(color, int | float) else None


# -- features ------------------------------------------------------------------------------------


def _flatten(features: Sequence[Feature]) -> tuple[list[Feature], dict[int, int]]:
    """Features with children behind their parents, and the row of each child's parent."""
    rows: list[Feature] = []
    parents: dict[int, int] = {}
    for feature in features:
        for row, parent in _walk(feature, len(rows)):
            if parent is not None:
                parents[len(rows)] = parent
            rows.append(row)
    return rows, parents


def _walk(feature: Feature, start: int) -> Iterator[tuple[Feature, int | None]]:
    """Depth-first, without recursion: hierarchies may be deep."""
    stack: list[tuple[Feature, int | None]] = [(feature, None)]
    row = start
    while stack:
        item, parent = stack.pop()
        if item["type"] == "FeatureCollection":
            stack += [(f, parent) for f in reversed(item["features"])]
            continue
        if item["type"] != "Feature":
            item = {"type": "Feature", "geometry": item}  # a bare geometry
        properties = item.get("properties") or _NO_PROPERTIES
        children = properties.get("childObjects") or properties.get("children") or ()
        is_root = _object_type(item, properties) == ObjectType.ROOT and bool(children)
        if not is_root:
            yield item, parent
        here = parent if is_root else row
        row += not is_root
        if isinstance(children, list):
            stack += [(child, here) for child in reversed(children)]


def _object_types(rows: Sequence[Feature], properties: Sequence[Feature]) -> NDArray[np.uint8]:
    return np.array([_object_type(f, p) for f, p in zip(rows, properties, strict=True)], np.uint8)


def _object_type(feature: Feature, properties: Feature) -> ObjectType:
    """Type of a feature; an unknown one or none is an annotation, as in QuPath."""
    name = properties.get("objectType") or properties.get("object_type") or properties.get("type")
    if name is None:
        name = feature.get("id")
    known = TYPE_OF_NAME.get(name) if isinstance(name, str) else None
    return ObjectType.ANNOTATION if known is None else known


def _nuclei(rows: Sequence[Feature], properties: Sequence[Feature]) -> Contours | None:
    """Second outlines; QuPath keeps them beside ``geometry``, QuBaLab in ``extra_geometries``."""
    found = [_nucleus_of(f, p) for f, p in zip(rows, properties, strict=True)]
    return contours_of(found) if any(found) else None


def _nucleus_of(feature: Feature, properties: Feature) -> Feature | None:
    for place in (feature, properties):
        nucleus = place.get("nucleusGeometry")
        if nucleus is None and "extra_geometries" in place:
            nucleus = (place["extra_geometries"] or {}).get("nucleus")
        if nucleus:
            return dict(nucleus)
    return None


# -- properties ----------------------------------------------------------------------------------


def _rare_of(properties: Sequence[Feature], geometries: Sequence[Feature | None]) -> _Rare:
    rare = _Rare()
    common = ("objectType", "classification", "measurements")
    for row, (values, geometry) in enumerate(zip(properties, geometries, strict=True)):
        if geometry and len(geometry) > 2:
            extra = extra_members(geometry)
            if extra:
                rare.details[row] = Details(geometry_extra=extra)
        if len(values) > sum(key in values for key in common):
            _take_rare(rare, row, values)
    return rare


def _take_rare(rare: _Rare, row: int, values: Feature) -> None:
    metadata = {str(k): _text(v) for k, v in (values.get("metadata") or {}).items()}
    for key, value in values.items():
        foreign = key not in _KNOWN or (key in _TYPE_KEYS and value not in TYPE_OF_NAME)
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
        rgb=_rgb(values.get("color")),
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


def _states(types: NDArray[np.uint8], named: Mapping[int, int]) -> NDArray[np.uint8]:
    states = np.array([default_state(kind) for kind in ObjectType], np.uint8)[types]
    for row, state in named.items():
        states[row] = state
    return states


# -- measurements --------------------------------------------------------------------------------


def _measurements(properties: Sequence[Feature]) -> dict[str, NDArray[np.float64]]:
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
