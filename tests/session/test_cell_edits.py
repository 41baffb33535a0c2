"""A cell is one object with two outlines: every edit acts on both, and undo takes both back."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_histo.core import ClassScheme, Contours, Details, ObjectTable, ObjectType
from napari_histo.session import Outline
from napari_histo.session.annotate.cell_edits import shown_outline
from support.annotation_desk import Desk

FINE_PX = 0.03


def disc(x, y, radius):
    return shapely.Point(x, y).buffer(radius, quad_segs=8)


def cells(*shapes, nuclei=None, kind=ObjectType.CELL, **columns):
    inner = None if nuclei is None else Contours.from_shapely(nuclei)
    scheme = ClassScheme.of("Tumor", "Stroma")
    found = Contours.from_shapely(shapes)
    columns = {"class_id": 0, "classes": scheme, "nuclei": inner, "object_type": kind} | columns
    table = ObjectTable.build(found, **columns)
    return table.with_columns(measurements={"Cell: Area µm^2": np.arange(len(shapes)) + 1.0})


PAIR = (
    (disc(100, 100, 30), disc(200, 100, 30)),
    (disc(100, 100, 10), disc(195, 100, 10)),
)


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path, cells(*PAIR[0], nuclei=PAIR[1]))
    yield desk
    desk.controller.close()


@pytest.fixture
def session(desk):
    return desk.controller


def choose(desk, *rows):
    desk.controller.select([desk.table.uuid(row) for row in rows])


def looks(desk):
    """Both outlines, types and classes by id."""
    table = desk.table
    inner = shown_outline(table, Outline.NUCLEUS)
    rows = zip(table.uuids(), table.class_names, table.object_type, strict=True)
    return {
        key: (name, int(kind), table.contours.ring(i).tolist(), inner.ring(i).tolist())
        for i, (key, name, kind) in enumerate(rows)
    }


def nucleus_areas(desk):
    table = desk.table
    return [] if table.nuclei is None else np.round(table.nuclei.areas_px).tolist()


def all_within(desk):
    pairs = zip(desk.table.to_shapely(), desk.table.nuclei.to_shapely(), strict=True)
    return all(n.is_empty or n.within(c.buffer(FINE_PX)) for c, n in pairs)


EDITS = {
    "delete": lambda s: s.delete(),
    "relabel": lambda s: s.relabel("Stroma"),
    "move": lambda s: s.move(12.5, -7.25),
    "smooth": lambda s: s.smooth(),
    "fill": lambda s: s.fill_holes(),
    "accept": lambda s: s.accept(),
    "erase": lambda s: s.erase([(100, 60), (100, 140)], 6.0),
    "paint": lambda s: s.paint([(100, 100), (140, 100)], 8.0),
    "split": lambda s: s.split([(60, 97), (140, 97)]),
}


@pytest.mark.parametrize("which", Outline)
@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_undo_and_the_journal_know_both_outlines(desk, session, tmp_path, edit, which):
    choose(desk, 0)
    session.set_outline(which)
    before = looks(desk)
    edit(session)
    after = looks(desk)
    assert desk.state.error == ""
    assert all_within(desk)
    session.undo()
    assert looks(desk) == before
    session.redo()
    assert looks(desk) == after
    session.close()
    again = Desk(tmp_path)
    assert looks(again) == after
    again.controller.close()


def test_moving_takes_the_nucleus_along(desk, session):
    choose(desk, 0)
    session.move(20.0, 5.0)
    (row,) = desk.table.rows_of([desk.state.selection[0]])
    assert desk.table.centroids[row] == pytest.approx((120, 105), abs=0.05)
    assert desk.table.nuclei.centroids[row] == pytest.approx((120, 105), abs=0.05)
    assert np.isnan(desk.table.measurements["Cell: Area µm^2"][row])
    assert len(desk.table) == 2


def test_what_is_locked_is_not_moved(tmp_path):
    table = cells(PAIR[0][0], nuclei=PAIR[1][:1])
    table = table.with_columns(details={table.uuid(0): Details(locked=True)})
    desk = Desk(tmp_path, table)
    choose(desk, 0)
    desk.controller.move(20.0, 5.0)
    assert "locked" in desk.state.notice
    assert desk.table.centroids[0] == pytest.approx((100, 100), abs=0.05)
    desk.controller.close()


def test_a_nucleus_is_painted_within_its_cell(desk, session):
    choose(desk, 0)
    session.set_outline(Outline.NUCLEUS)
    outline = desk.table.to_shapely()[0]
    session.paint([(100, 100), (160, 100)], 8.0)
    row = desk.table.rows_of(desk.state.selection)[0]
    inner = desk.table.nuclei.to_shapely()[row]
    assert desk.table.to_shapely()[row].equals(outline)
    assert inner.bounds[2] == pytest.approx(130, abs=0.1)
    assert all_within(desk)


def test_erasing_the_cell_cuts_the_nucleus_and_erasing_it_all_takes_it_away(desk, session):
    choose(desk, 0)
    session.erase([(100, 80), (100, 100)], 12.0)
    assert nucleus_areas(desk)[-1] < 200
    session.set_outline(Outline.NUCLEUS)
    session.erase([(100, 100), (100, 115)], 20.0)
    assert sorted(nucleus_areas(desk)) == [0, 312]
    assert desk.table.object_type.tolist() == [ObjectType.CELL] * 2


def test_a_nucleus_painted_in_a_detection_makes_it_a_cell(tmp_path):
    desk = Desk(tmp_path, cells(*PAIR[0], kind=ObjectType.DETECTION))
    session = desk.controller
    session.set_outline(Outline.NUCLEUS)
    session.paint([(195, 100), (205, 100)], 8.0)  # nothing is selected: the cell under the brush
    assert desk.table.object_type.tolist() == [ObjectType.DETECTION, ObjectType.CELL]
    assert nucleus_areas(desk)[0] == 0
    session.finish()
    session.paint([(600, 600), (605, 600)], 8.0)
    assert "paint within one" in desk.state.notice
    assert len(desk.table) == 2
    session.close()


def test_merged_cells_have_one_nucleus_of_the_parts(tmp_path):
    outlines = (shapely.box(60, 60, 150, 140), shapely.box(150, 60, 250, 140))
    desk = Desk(tmp_path, cells(*outlines, nuclei=PAIR[1]))
    before = looks(desk)
    choose(desk, 0, 1)
    desk.controller.merge()
    (merged,) = looks(desk)
    assert merged in before
    assert nucleus_areas(desk) == [624]
    desk.controller.split([(150, 20), (150, 180)])
    assert nucleus_areas(desk) == [312, 312]
    assert merged in looks(desk)
    desk.controller.close()


def test_a_cut_beside_the_nucleus_leaves_a_cell_without_one(desk, session):
    choose(desk, 0)
    session.split([(115, 60), (115, 140)])
    areas = [nucleus_areas(desk)[r] for r in desk.table.rows_of(desk.state.selection)]
    assert areas == [312, 0]
    assert desk.table.object_type.tolist() == [ObjectType.CELL] * 3


def test_clicks_refine_the_outline_that_is_edited(desk, session):
    choose(desk, 0)
    session.set_outline(Outline.NUCLEUS)
    desk.click(104, 100, add=True)  # a disc of 10 px around the nucleus's inner point
    (row,) = desk.table.rows_of(desk.state.selection)
    assert desk.table.areas_px[row] > 2000
    assert desk.table.nuclei.areas_px[row] == pytest.approx(np.pi * 100, rel=0.02)


def test_the_switch_is_back_at_the_cell_for_other_objects(desk, session):
    session.switch_outline()
    assert desk.state.outline is Outline.NUCLEUS
    session.switch_outline()
    assert desk.state.outline is Outline.CELL


strokes = st.lists(
    st.tuples(st.integers(60, 240), st.integers(60, 140)), min_size=1, max_size=4
)  # fmt: skip
gesture = st.tuples(
    st.sampled_from(["paint", "erase", "split", "smooth"]), st.sampled_from(Outline), strokes
)


@settings(max_examples=12, deadline=None)
@given(gestures=st.lists(gesture, min_size=1, max_size=5))
def test_no_gesture_brings_a_nucleus_out_of_its_cell(tmp_path_factory, gestures):
    desk = Desk(tmp_path_factory.mktemp("desk"), cells(*PAIR[0], nuclei=PAIR[1]))
    start = looks(desk)
    session = desk.controller
    for name, which, line in gestures:
        session.select(desk.table.uuids()[:1])
        session.set_outline(which)
        session.smooth() if name == "smooth" else getattr(session, name)(line)
        assert all_within(desk)
    while session.state.undo_name:
        session.undo()
    assert looks(desk) == start
    session.close()
