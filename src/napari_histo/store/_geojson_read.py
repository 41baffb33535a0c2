"""Features of QuPath 0.2 to 0.7, and of other programs, as rows of a table."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import (
    ClassDef,
    ClassScheme,
    Contours,
    Details,
    ObjectTable,
    ObjectType,
    new_ids,
)
from napari_histo.store._geojson_classes import class_def, class_key
from napari_histo.store._geojson_geometry import contours_of
from napari_histo.store._geojson_properties import (
    measurement_columns,
    rare_values,
    state_column,
)
from napari_histo.store._geojson_words import (
    CLASS_PROB,
    DET_PROB,
    MEMBER,
    TYPE_OF_NAME,
)
from napari_histo.store._uuids import ids_from_text

__all__ = ["TableBuilder"]

Feature = dict[str, Any]
_NO_PROPERTIES: dict[str, Any] = {}


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
        rare = rare_values(properties, geometries)
        for child, parent in parents.items():
            found = rare.details.get(child, Details())
            parent_id = UUID(bytes=ids[parent].tobytes())
            rare.details[child] = replace(found, parent_id=parent_id)
        measurements = measurement_columns(properties)
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
            state=state_column(types, rare.states),
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
        key = class_key(classification)
        known = self._class_ids.get(key)
        if known is None:
            item = class_def(classification)
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


# -- features ------------------------------------------------------------------------------------


def _flatten(features: Sequence[Feature]) -> tuple[Sequence[Feature], dict[int, int]]:
    """Features with children behind their parents, and the row of each child's parent."""
    if not any(_is_nested(feature) for feature in features):
        return features, {}
    rows: list[Feature] = []
    parents: dict[int, int] = {}
    for feature in features:
        for row, parent in _walk(feature, len(rows)):
            if parent is not None:
                parents[len(rows)] = parent
            rows.append(row)
    return rows, parents


def _is_nested(feature: Feature) -> bool:
    """True where `_walk` has something to do: children, or no feature at all."""
    properties = feature.get("properties") or _NO_PROPERTIES
    return feature["type"] != "Feature" or "childObjects" in properties or "children" in properties


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
    names: list[Any] = [p.get("objectType") for p in properties]
    if all(name in TYPE_OF_NAME for name in set(names)):
        return np.array([TYPE_OF_NAME[name] for name in names], np.uint8)
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
