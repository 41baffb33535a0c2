"""The table of objects: the truth of which every picture, file and project shows a part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_histo.core.box import Box
from napari_histo.core.classes import ClassScheme
from napari_histo.core.contours import Contours, as_rows
from napari_histo.core.object_facts import Details, ObjectState, ObjectType

if TYPE_CHECKING:
    import geopandas

__all__ = ["Details", "ObjectState", "ObjectTable", "ObjectType", "new_ids"]


def new_ids(n: int, rng: np.random.Generator | None = None) -> NDArray[np.uint8]:
    """`n` random UUIDs (version 4), (n, 16) uint8; seeded where `rng` is given."""
    rng = np.random.default_rng() if rng is None else rng
    ids = np.frombuffer(rng.bytes(16 * n), np.uint8).reshape(n, 16).copy()
    ids[:, 6] = (ids[:, 6] & 0x0F) | 0x40
    ids[:, 8] = (ids[:, 8] & 0x3F) | 0x80
    return ids


@dataclass(frozen=True, eq=False)
class ObjectTable:
    """Objects in columns; every operation gives back a new table.

    Attributes
    ----------
    contours : Contours
        (n) outlines, (x, y) in full-resolution px.
    object_id : (n, 16) uint8
        UUIDs, stable for ever.
    class_id : (n,) int32
        Position in `classes`; -1 unclassified.
    class_prob, det_prob : (n,) float32
        Probability of the class and of there being an object; NaN where nobody said.
    state : (n,) uint8
        `ObjectState`.
    object_type : (n,) uint8
        `ObjectType`.
    source_id : (n,) int32
        Position in `sources`; -1 unknown.
    classes : ClassScheme
    sources : tuple of str
        Who made the objects: a model with its version, a person, a file.
    measurements : mapping of str to (n,) float64
        Each name carries its unit ("Nucleus: Area µm^2"); NaN where there is none.
    nuclei : Contours or None
        (n) second outlines, for cells; empty rows where there is none.
    details : mapping of UUID to Details
        Only for objects that have any.
    """

    contours: Contours
    object_id: NDArray[np.uint8]
    class_id: NDArray[np.int32]
    class_prob: NDArray[np.float32]
    det_prob: NDArray[np.float32]
    state: NDArray[np.uint8]
    object_type: NDArray[np.uint8]
    source_id: NDArray[np.int32]
    classes: ClassScheme = field(default_factory=ClassScheme)
    sources: tuple[str, ...] = ()
    measurements: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    nuclei: Contours | None = None
    details: Mapping[UUID, Details] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.contours)
        for name in (*_COLUMNS, *(("nuclei",) if self.nuclei is not None else ())):
            if len(getattr(self, name)) != n:
                raise ValueError(f"{name} has {len(getattr(self, name))} rows for {n} outlines.")
        for name, values in self.measurements.items():
            if len(values) != n:
                raise ValueError(f"Measurement {name!r} has {len(values)} rows for {n} outlines.")
        _check_positions("class_id", self.class_id, "classes", self.classes.names)
        _check_positions("source_id", self.source_id, "sources", self.sources)

    def __len__(self) -> int:
        return len(self.contours)

    @classmethod
    def build(
        cls,
        contours: Contours,
        *,
        object_id: NDArray[np.uint8] | None = None,
        class_id: ArrayLike | None = None,
        class_prob: ArrayLike | None = None,
        det_prob: ArrayLike | None = None,
        state: ArrayLike = ObjectState.PREDICTED,
        object_type: ArrayLike = ObjectType.DETECTION,
        source: str | None = None,
        **rest: Any,
    ) -> ObjectTable:
        """Table from outlines, with a default for every column that is not given.

        Scalars are spread over all rows. `class_id` defaults to 0 where there is exactly one class,
        else to -1; `object_id` to fresh random UUIDs. `rest` goes to the constructor.
        """
        n = len(contours)
        classes: ClassScheme = rest.get("classes", ClassScheme())
        if class_id is None:
            class_id = 0 if len(classes) == 1 else -1
        if source is not None:
            rest["sources"] = (source,)
        return cls(
            contours,
            new_ids(n) if object_id is None else object_id,
            _column(class_id, n, np.int32),
            _column(np.nan if class_prob is None else class_prob, n, np.float32),
            _column(np.nan if det_prob is None else det_prob, n, np.float32),
            _column(state, n, np.uint8),
            _column(object_type, n, np.uint8),
            rest.pop("source_id", _column(0 if source is not None else -1, n, np.int32)),
            **rest,
        )

    @classmethod
    def empty(cls, classes: ClassScheme | None = None) -> ObjectTable:
        """A table without objects."""
        return cls.build(Contours.empty(), classes=classes or ClassScheme())

    # -- rows ------------------------------------------------------------------------------------

    def uuid(self, row: int) -> UUID:
        """Id of a row."""
        return UUID(bytes=self.object_id[row].tobytes())

    def uuids(self) -> list[UUID]:
        """Ids of all rows."""
        raw = self.object_id.tobytes()
        return [UUID(bytes=raw[i : i + 16]) for i in range(0, len(raw), 16)]

    def details_of(self, row: int) -> Details:
        """Details of a row; empty ones where it has none."""
        return self.details.get(self.uuid(row), _NO_DETAILS) if self.details else _NO_DETAILS

    def rows_of(self, ids: Iterable[UUID]) -> NDArray[np.int64]:
        """Rows of the given ids, in their order; ids that are not here are left out."""
        where = {key: row for row, key in enumerate(self.uuids())}
        return np.array([where[i] for i in ids if i in where], np.int64)

    def select(self, rows: ArrayLike) -> ObjectTable:
        """The chosen rows (indices or mask), in the given order; ids and details go along."""
        index = as_rows(rows, len(self))
        picked = replace(
            self,
            contours=self.contours.take(index),
            nuclei=None if self.nuclei is None else self.nuclei.take(index),
            measurements={k: v[index] for k, v in self.measurements.items()},
            details={},
            **{name: getattr(self, name)[index] for name in _COLUMNS},
        )
        if not self.details:
            return picked
        kept = {i: self.details[i] for i in picked.uuids() if i in self.details}
        return replace(picked, details=kept)

    def query(self, box: Box) -> NDArray[np.int64]:
        """Rows whose bounds meet `box` (full-resolution px), ascending."""
        return self.contours.query(box)

    @staticmethod
    def concat(tables: Sequence[ObjectTable]) -> ObjectTable:
        """All rows of `tables`; classes and sources are united by name, columns filled with NaN."""
        if not tables:
            return ObjectTable.empty()
        classes, sources = tables[0].classes, tables[0].sources
        for table in tables[1:]:
            classes = classes.union(table.classes)
            sources += tuple(s for s in table.sources if s not in sources)
        names = dict.fromkeys(name for t in tables for name in t.measurements)
        columns = {name: np.concatenate([getattr(t, name) for t in tables]) for name in _COLUMNS}
        columns["class_id"] = np.concatenate(
            [_remap(t.class_id, [classes.index(n) for n in t.classes.names]) for t in tables]
        )
        columns["source_id"] = np.concatenate(
            [_remap(t.source_id, [sources.index(s) for s in t.sources]) for t in tables]
        )
        has_nuclei = any(t.nuclei is not None for t in tables)
        return ObjectTable(
            Contours.concat([t.contours for t in tables]),
            **columns,
            classes=classes,
            sources=sources,
            measurements={
                name: np.concatenate(
                    [t.measurements.get(name, np.full(len(t), np.nan)) for t in tables]
                )
                for name in names
            },
            nuclei=Contours.concat([t.nuclei or Contours.empty(len(t)) for t in tables])
            if has_nuclei
            else None,
            details={key: d for t in tables for key, d in t.details.items()},
        )

    def with_columns(self, **columns: Any) -> ObjectTable:
        """A copy with some fields replaced (`class_id`, `measurements`, …)."""
        return replace(self, **columns)

    def transform(
        self, scale: float | tuple[float, float], offset: tuple[float, float]
    ) -> ObjectTable:
        """Outlines (and nuclei) scaled about the origin, then moved, both (x, y)."""
        return replace(
            self,
            contours=self.contours.transform(scale, offset),
            nuclei=None if self.nuclei is None else self.nuclei.transform(scale, offset),
        )

    # -- whole columns ---------------------------------------------------------------------------

    @property
    def centroids(self) -> NDArray[np.float64]:
        """(n, 2) centroids, x before y, full-resolution px."""
        return self.contours.centroids

    @property
    def areas_px(self) -> NDArray[np.float64]:
        """(n,) areas, px²."""
        return self.contours.areas_px

    @property
    def class_names(self) -> NDArray[np.object_]:
        """(n,) class names; None where unclassified."""
        return np.array([*self.classes.names, None], object)[self.class_id]

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        columns = sum(getattr(self, name).nbytes for name in _COLUMNS)
        nuclei = self.nuclei.nbytes if self.nuclei is not None else 0
        measured = sum(v.nbytes for v in self.measurements.values())
        return int(self.contours.nbytes + columns + nuclei + measured)

    # -- neighbours ------------------------------------------------------------------------------

    def to_shapely(self, rows: ArrayLike | None = None) -> NDArray[np.object_]:
        """Shapely geometries of `rows`, all by default."""
        return self.contours.to_shapely(rows)

    def to_geopandas(self) -> geopandas.GeoDataFrame:
        """GeoDataFrame indexed by id: geometry, class, probabilities, state, type, measurements."""
        from napari_histo.core._geopandas import frame_of

        return frame_of(self)

    @classmethod
    def from_geopandas(
        cls, frame: geopandas.GeoDataFrame, classes: ClassScheme | None = None
    ) -> ObjectTable:
        """Back from `to_geopandas`; of a foreign frame geometry, ``class`` and numbers are read.

        An index of UUIDs becomes the ids; any other index gets fresh ones.
        """
        from napari_histo.core._geopandas import columns_of

        contours, columns = columns_of(frame, classes)
        return cls.build(contours, **columns)


_NO_DETAILS = Details()
_COLUMNS = (
    "object_id",
    "class_id",
    "class_prob",
    "det_prob",
    "state",
    "object_type",
    "source_id",
)


def _column(values: ArrayLike, n: int, dtype: Any) -> NDArray[Any]:
    array = np.asarray(values)
    return np.full(n, array, dtype) if array.ndim == 0 else array.astype(dtype, copy=False)


def _check_positions(column: str, ids: NDArray[np.int32], what: str, names: Sequence[str]) -> None:
    """Raise ValueError for a position that is not there; -1 stands for none."""
    for worst in (int(ids.min(initial=-1)), int(ids.max(initial=-1))):
        if not -1 <= worst < len(names):
            raise ValueError(
                f"{column} {worst} is beyond the {len(names)} {what} {list(names)[:20]}; allowed "
                f"are -1 (none) to {len(names) - 1}."
            )


def _remap(ids: NDArray[np.int32], target: Sequence[int]) -> NDArray[np.int32]:
    """Ids translated by position; -1 stays -1 because it picks the last entry."""
    return np.array([*target, -1], np.int32)[ids]
