"""Objects under edits hold what a plain dictionary would."""

from __future__ import annotations

from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_histo.core import Box, ClassScheme, Contours, Details, Edit, ObjectTable
from napari_histo.core.grid_index import GridIndex
from napari_histo.errors import EditError
from napari_histo.session.annotate.objects import EditableObjects

SCHEME = ClassScheme.of("Tumor", "Stroma", "Immune cells")
NOTHING = ObjectTable.empty(SCHEME)


def squares(centres, half=5.0, **columns):
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half
    rings = [np.asarray(c) + corners for c in centres]
    contours = Contours.from_rings(rings) if rings else Contours.empty()
    return ObjectTable.build(contours, classes=SCHEME, **columns)


def content(table):
    """What a table holds, by id, whatever the order."""
    return {
        i: (table.class_names[k], table.contours.ring(k).tolist())
        for k, i in enumerate(table.uuids())
    }


@st.composite
def histories(draw):
    """A table, and edits that fit it one after the other."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(0, 8))
    start = squares(rng.uniform(0, 1500, (n, 2)), class_id=rng.integers(-1, 3, n))
    living, edits = {i: start.select([k]) for k, i in enumerate(start.uuids())}, []
    for _ in range(draw(st.sampled_from([1, 5, 12, 100]))):
        kind = rng.integers(4)
        some = [i for i in living if rng.random() < 0.4]
        before = ObjectTable.concat([living[i] for i in some]) if some else NOTHING
        if kind == 0 or not some:
            edit = Edit("Add", NOTHING, squares(rng.uniform(0, 1500, (int(rng.integers(1, 3)), 2))))
        elif kind == 1:
            edit = Edit("Delete", before, NOTHING)
        elif kind == 2:
            ids = rng.integers(-1, 3, len(before)).astype(np.int32)
            edit = Edit("Relabel", before, before.with_columns(class_id=ids))
        else:
            edit = Edit("Move", before, before.transform(1.0, tuple(rng.uniform(-300, 300, 2))))
        for i in edit.before.uuids():
            del living[i]
        living |= {i: edit.after.select([k]) for k, i in enumerate(edit.after.uuids())}
        edits.append(edit)
    return start, edits, content(ObjectTable.concat([NOTHING, *living.values()]))


@given(histories())
def test_edits_do_what_they_say(history):
    start, edits, expected = history
    objects = EditableObjects(start)
    for edit in edits:
        objects.apply(edit)
    table = objects.table()
    assert content(table) == expected
    assert len(objects) == len(table) == len(expected)
    counted = {k: v for k, v in objects.counts_by_class().items() if v}
    names, counts = np.unique([str(n) for n in table.class_names], return_counts=True)
    assert {str(k): v for k, v in counted.items()} == dict(zip(names, counts, strict=True))


@given(histories())
def test_undoing_all_gives_the_start_and_redoing_all_the_end(history):
    start, edits, expected = history
    objects = EditableObjects(start)
    for edit in [*edits, *(e.inverse for e in reversed(edits))]:
        objects.apply(edit)
    assert content(objects.table()) == content(start)
    for edit in edits:
        objects.apply(edit)
    assert content(objects.table()) == expected


@given(histories(), st.integers(-50, 1500), st.integers(-50, 1500), st.integers(1, 600))
def test_queries_agree_with_the_whole_table(history, x, y, side):
    start, edits, _ = history
    objects = EditableObjects(start)
    for edit in edits:
        objects.apply(edit)
    box, table = Box(x, y, side, side), objects.table()
    expected = {table.uuid(int(k)) for k in table.query(box)}
    assert set(objects.ids_in(box)) == expected
    drawn = objects.draw(Box(x, y, side, side))
    assert {objects.uuid(int(v) - 1) for v in np.unique(drawn) if v} <= expected


@given(st.lists(st.tuples(st.floats(-2000, 2000), st.floats(-2000, 2000), st.floats(0, 700))))
def test_the_grid_index_finds_what_a_plain_search_finds(rows):
    bounds = np.array([(x, y, x + s, y + s / 2) for x, y, s in rows], np.float32).reshape(-1, 4)
    index = GridIndex(bounds)
    box = Box(-300, -200, 555, 777)
    left, top, right, bottom = bounds.T
    hit = (left < box.right) & (top < box.bottom)
    hit &= np.where(left == right, left >= box.x, right > box.x)
    hit &= np.where(top == bottom, top >= box.y, bottom > box.y)
    assert index.query(box).tolist() == np.flatnonzero(hit).tolist()


def test_the_top_object_is_found_and_holes_are_no_area():
    import shapely

    ring = shapely.Point(50, 50).buffer(20).difference(shapely.Point(50, 50).buffer(8))
    below = squares([(60, 60), (200, 200)])
    objects = EditableObjects(below)
    assert objects.at(60, 60) == below.uuid(0)
    assert objects.at(120, 120) is None
    gland = ObjectTable.build(Contours.from_shapely([ring]), classes=SCHEME)
    objects.apply(Edit("Draw", NOTHING, gland))
    assert objects.at(62, 60) == gland.uuid(0)
    assert objects.at(50, 50) is None


def test_row_numbers_are_never_given_twice():
    objects = EditableObjects(squares([(10, 10), (50, 50)]))
    first = objects.get([objects.uuid(0)])
    objects.apply(Edit("Delete", first, NOTHING))
    objects.apply(Edit("Delete", first, NOTHING).inverse)
    assert objects.uuid(0) is None
    assert objects.row_of(first.uuid(0)) == 2
    assert objects.n_rows == 3


def test_an_edit_that_does_not_fit_changes_nothing():
    objects = EditableObjects(squares([(10, 10)]))
    here, stranger = objects.table(), squares([(90, 90)])
    for edit, message in (
        (Edit("Delete", stranger, NOTHING), "is not here"),
        (Edit("Draw", NOTHING, here), "already an object"),
        (Edit("Move", ObjectTable.concat([here, stranger]), NOTHING), "is not here"),
    ):
        with pytest.raises(EditError, match=message):
            objects.apply(edit)
    assert objects.table() is here
    assert objects.version == 0


def test_classes_are_added_renamed_and_taken_back():
    objects = EditableObjects(squares([(10, 10)], class_id=0))
    named = ClassScheme.of("Carcinoma", "Stroma", "Immune cells", "Necrosis")
    edit = Edit("Classes", NOTHING, NOTHING, (SCHEME, named))
    objects.apply(edit)
    assert objects.table().class_names.tolist() == ["Carcinoma"]
    assert objects.counts_by_class() == {
        "Carcinoma": 1, "Stroma": 0, "Immune cells": 0, "Necrosis": 0, None: 0,
    }  # fmt: skip
    more = squares([(90, 90)], class_id=1).with_columns(classes=named)
    objects.apply(Edit("Draw", NOTHING, more))
    assert sorted(objects.table().class_names) == ["Carcinoma", "Stroma"]
    objects.apply(Edit("Draw", NOTHING, more).inverse)
    objects.apply(edit.inverse)
    assert objects.classes == SCHEME


def test_a_class_that_comes_with_an_object_is_added():
    objects = EditableObjects(squares([(10, 10)]))
    new = squares([(90, 90)], class_id=0).with_columns(classes=ClassScheme.of("Gland", "X", "Y"))
    objects.apply(Edit("Draw", NOTHING, new))
    assert objects.classes.names == (*SCHEME.names, "Gland", "X", "Y")
    assert objects.get([new.uuid(0)]).class_names.tolist() == ["Gland"]


def test_listeners_hear_of_each_edit():
    objects, heard = EditableObjects(), []
    objects.changed.connect(heard.append)
    edit = Edit("Draw", NOTHING, squares([(10, 10)]))
    objects.apply(edit)
    assert heard == [edit]


def test_more_than_65535_objects_keep_their_ids():
    n = 70_000
    at = np.stack([np.arange(n) % 300, np.arange(n) // 300], axis=1) * 12.0
    table = squares(at[:0])
    table = ObjectTable.build(
        Contours.from_star(at[:, None] + np.array([(0, 0), (4, 0), (4, 4), (0, 4)], np.float32)),
        classes=SCHEME,
    )
    objects = EditableObjects(table)
    last = table.uuid(n - 1)
    assert objects.row_of(last) == n - 1
    assert objects.uuid(n - 1) == last
    assert int(objects.draw(Box(0, 0, 3600, 2900)).max()) == n
    assert objects.row_of(UUID(int=0)) is None


def test_a_class_that_still_has_objects_is_not_taken_back():
    objects = EditableObjects(squares([(10, 10)], class_id=2))
    fewer = Edit("Classes", NOTHING, NOTHING, (SCHEME, ClassScheme(SCHEME.classes[:2])))
    with pytest.raises(EditError, match=r"1 objects are still in .*Immune cells"):
        objects.apply(fewer)
    assert objects.classes == SCHEME
    objects.apply(Edit("Delete", objects.table(), NOTHING))
    objects.apply(fewer)
    assert objects.classes == fewer.schemes[1]


def test_details_that_an_edit_took_away_stay_away():
    named = squares([(10, 10)])
    named = named.with_columns(details={named.uuid(0): Details(name="first")})
    bare = named.with_columns(details={})
    objects = EditableObjects(squares([(400, 400)]))
    objects.apply(Edit("Draw", NOTHING, named))
    objects.apply(Edit("Forget the name", named, bare))
    for k in range(100):  # so that the rows of edits are put together
        objects.apply(Edit("Draw", NOTHING, squares([(50 + k, 50)])))
    assert objects.get([named.uuid(0)]).details == {}
    objects.apply(Edit("Forget the name", named, bare).inverse)
    for k in range(100):
        objects.apply(Edit("Draw", NOTHING, squares([(50 + k, 90)])))
    assert objects.get([named.uuid(0)]).details_of(0).name == "first"


@pytest.mark.parametrize("n", [pytest.param(3, id="few"), pytest.param(2000, id="many-at-once")])
@pytest.mark.parametrize("half", [pytest.param(4, id="small"), pytest.param(9000, id="large")])
def test_what_came_is_found_and_what_went_is_not(n, half):
    objects = EditableObjects(squares([(10, 10)]))
    new = squares([(5000 + k, 5000) for k in range(n)], half)
    objects.apply(Edit("Draw", NOTHING, new))
    spot = Box(5000, 5000, 1, 1)
    assert new.uuid(0) in objects.ids_in(spot)
    objects.apply(Edit("Delete", new, NOTHING))
    assert objects.rows_in(spot).tolist() == []
    assert len(objects) == 1
