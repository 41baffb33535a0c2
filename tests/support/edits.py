"""Random edits, and a plain model of what they make: one table a row, in order."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import numpy as np

from napari_histo.core import (
    ClassDef,
    ClassScheme,
    Contours,
    Details,
    Edit,
    ObjectState,
    ObjectTable,
    ObjectType,
    new_ids,
)


class Model:
    """Objects under random edits; edit `k` is the same whenever it follows the same k - 1."""

    def __init__(self, start: ObjectTable | None = None, seed: int = 0) -> None:
        self.n_edits = 0
        self.scheme = ClassScheme.of("Tumor", "Stroma") if start is None else start.classes
        self._seed = seed
        self._rows: dict[UUID, ObjectTable] = {}
        if start is not None:
            self._rows = {key: start.select([row]) for row, key in enumerate(start.uuids())}

    def table(self) -> ObjectTable:
        """All objects."""
        rows = [row.with_columns(classes=self.scheme) for row in self._rows.values()]
        return ObjectTable.concat(rows) if rows else ObjectTable.empty(self.scheme)

    def next_edit(self) -> Edit:
        """What the user does next; not yet done."""
        rng = np.random.default_rng([self._seed, self.n_edits])
        if rng.random() < 0.1:
            return self._of_classes(rng)
        if rng.random() < 0.4 or len(self._rows) < 3:
            return Edit("Click", self._none(), self._drawn(rng))
        return self._of_rows(rng)

    def do(self, edit: Edit) -> None:
        """Do an edit, row by row."""
        before, after = edit.before.uuids(), edit.after.uuids()
        for key in (*before, *after):  # what changes comes last
            self._rows.pop(key, None)
        self._rows.update((key, edit.after.select([i])) for i, key in enumerate(after))
        self.scheme = self.scheme if edit.schemes is None else edit.schemes[1]
        self.n_edits += 1

    def go_to(self, n_edits: int) -> Model:
        """Do all edits up to a number."""
        while self.n_edits < n_edits:
            self.do(self.next_edit())
        return self

    def _none(self) -> ObjectTable:
        return ObjectTable.empty(self.scheme)

    def _pick(self, rng: np.random.Generator, most: int) -> ObjectTable:
        n = int(rng.integers(1, most + 1))
        keys = rng.choice(len(self._rows), n, replace=False).tolist()
        every = list(self._rows.values())
        return ObjectTable.concat([every[i].with_columns(classes=self.scheme) for i in keys])

    def _drawn(self, rng: np.random.Generator, n: int = 1, **columns) -> ObjectTable:
        angles = np.linspace(0, 2 * np.pi, 8, endpoint=False)
        star = np.stack([np.cos(angles), np.sin(angles)], -1) * rng.uniform(5, 9, (n, 8, 1))
        columns = {
            "class_id": rng.integers(-1, len(self.scheme), n),
            "det_prob": rng.random(n),
            "measurements": {"Area µm^2": rng.random(n)},
            "source": "a person",
            "object_id": new_ids(n, rng),
            **columns,
        }
        return ObjectTable.build(
            Contours.from_star(np.round(star + rng.random((n, 1, 2)) * 5000, 2)),
            state=ObjectState.DRAWN,
            object_type=ObjectType.ANNOTATION,
            classes=self.scheme,
            **columns,
        )

    def _of_rows(self, rng: np.random.Generator) -> Edit:
        name = rng.choice(["Delete", "Relabel", "Paint", "Merge", "Split", "Describe", "Measure"])
        rows = self._pick(rng, 2 if name == "Merge" else 3)
        n = len(rows)
        if name == "Delete":
            return Edit(name, rows, self._none())
        if name == "Relabel":
            classes = rng.integers(-1, len(self.scheme), n).astype(np.int32)
            return Edit(name, rows, replace(rows, class_id=classes))
        if name == "Paint":
            return Edit(name, rows, replace(rows, contours=self._drawn(rng, n).contours))
        if name == "Merge":
            return Edit(name, rows, self._drawn(rng, object_id=rows.object_id[:1]))
        if name == "Split":
            pieces = self._drawn(rng, 2)
            pieces.object_id[0] = rows.object_id[0]
            return Edit(name, rows.select([0]), pieces)
        if name == "Describe":
            described = Details(name=f"object {rng.integers(99)}", metadata={"by": "Ä\n"})
            return Edit(name, rows, replace(rows, details={rows.uuid(0): described}))
        return Edit(name, rows, replace(rows, measurements={"Area µm^2": rng.random(n)}))

    def _of_classes(self, rng: np.random.Generator) -> Edit:
        classes = list(self.scheme)
        fresh = ClassDef(f"Class {self.n_edits}", tuple(rng.integers(0, 256, 3).tolist()))
        place = int(rng.integers(0, len(classes) + 1))
        if place == len(classes):
            classes.append(fresh)
        else:  # another name, or another colour only
            name = fresh.name if rng.random() < 0.5 else classes[place].name
            classes[place] = replace(fresh, name=name)
        new = ClassScheme(tuple(classes))
        none = self._none()
        return Edit("Classes", none, none.with_columns(classes=new), (self.scheme, new))
