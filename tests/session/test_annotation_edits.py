"""Objects, classes and the review under an annotator's hands, without a window."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_histo.core import (
    Contours,
    ObjectState,
    PromptAnswer,
)
from support.annotation_desk import Desk, predicted


def two(desk):
    desk.click(200, 300)
    desk.click(215, 300 + 8)
    desk.controller.select(desk.table.uuids())
    return desk.table


def test_merge_keeps_the_id_of_the_largest(desk):
    before = two(desk)
    desk.controller.merge()
    assert len(desk.table) == 1
    assert desk.table.uuid(0) == before.uuid(int(np.argmax(before.areas_px)))
    assert desk.table.areas_px[0] > before.areas_px.max()


def test_split_gives_the_largest_part_the_old_id(desk):
    desk.click(200, 300)
    before = desk.table
    desk.controller.split([(204, 280), (204, 320)])
    assert len(desk.table) == 2
    assert desk.table.areas_px.sum() == pytest.approx(before.areas_px[0], rel=0.01)
    largest = int(np.argmax(desk.table.areas_px))
    assert desk.table.uuid(largest) == before.uuid(0)


def test_a_line_that_cuts_nothing_is_told(desk):
    desk.click(200, 300)
    desk.controller.split([(500, 280), (500, 320)])
    assert "cuts no object" in desk.state.notice


def test_a_line_beside_an_object_of_two_parts_leaves_it_alone(desk):
    desk.controller.paint([(100.0, 100.0)], 10)
    desk.controller.paint([(200.0, 100.0)], 10)
    before = desk.content()
    desk.controller.split([(150.0, 50.0), (150.0, 150.0)])
    assert desk.content() == before
    assert "cuts no object" in desk.state.notice
    desk.controller.split([(100.0, 50.0), (100.0, 150.0)])
    assert len(desk.table) == 2


@pytest.mark.parametrize(
    ("gesture", "told"),
    [
        (lambda c: c.paint([(np.nan, 1.0)], 5), "outside all images"),
        (lambda c: c.erase([(1.0, 1.0), (np.inf, 1.0)], 5), "outside all images"),
        (lambda c: c.paint([(1.0, 1.0)], np.nan), "radius"),
        (lambda c: c.erase([(1.0, 1.0)], -2), "radius"),
        (lambda c: c.set_brush(np.nan), "radius"),
        (lambda c: c.split([(np.nan, 1.0), (5.0, 5.0)]), ""),
    ],
    ids=["NaN stroke", "infinite stroke", "NaN radius", "radius -2", "NaN brush", "NaN knife"],
)
@pytest.mark.parametrize("selected", [True, False])
def test_a_gesture_of_no_numbers_is_told_and_changes_nothing(desk, gesture, told, selected):
    desk.click(200, 300)
    if not selected:
        desk.controller.finish()
    before, brush = desk.content(), desk.state.brush_px
    gesture(desk.controller)
    assert told in desk.state.error
    assert desk.state.error or desk.state.notice
    assert desk.content() == before
    assert desk.state.brush_px == brush


def test_an_answer_of_no_numbers_is_told(desk):
    ring = np.array([(0, 0), (9, 0), (np.nan, 9)], np.float32)
    desk.engine.answer = lambda requests: [
        PromptAnswer(Contours.from_rings([ring]), 0.9) for _ in requests
    ]
    desk.click(200, 300)
    assert "no numbers" in desk.state.error
    assert (len(desk.table), desk.state.active, desk.state.in_flight) == (0, None, 0)


def test_paint_and_erase(desk):
    desk.controller.paint([(200, 300), (230, 300)], 5)
    assert desk.table.areas_px[0] == pytest.approx(300 + np.pi * 25, rel=0.03)
    desk.controller.paint([(230, 300), (260, 300)], 5)
    assert len(desk.table) == 1
    desk.controller.erase([(250, 300), (270, 300)], 8)
    assert desk.table.contours.bounds[0, 2] < 245
    desk.controller.erase([(190, 300), (270, 300)], 30)
    assert len(desk.table) == 0
    desk.controller.undo()
    assert len(desk.table) == 1


def test_delete_smooth_fill_and_relabel(desk):
    desk.click(200, 300)
    desk.controller.smooth()
    desk.controller.fill_holes()
    desk.controller.relabel("Stroma")
    assert desk.table.class_names.tolist() == ["Stroma"]
    assert desk.state.current_class == "Stroma"
    desk.controller.delete()
    assert not len(desk.table)
    assert desk.state.counts == {"Tumor": 0, "Stroma": 0, None: 0}


def test_gestures_stay_in_the_image(desk):
    desk.controller.paint([(-50, -50), (20, 20)], 10)
    assert (desk.table.contours.bounds[0] >= 0).all()


# -- classes ---------------------------------------------------------------------------------------


def test_classes_are_renamed_with_their_objects_and_undone(desk):
    desk.click(200, 300)
    desk.controller.rename_class("Tumor", "Carcinoma")
    assert desk.table.class_names.tolist() == ["Carcinoma"]
    assert desk.state.current_class == "Carcinoma"
    desk.controller.recolour_class("Carcinoma", (1, 2, 3))
    assert desk.state.classes[0].rgb == (1, 2, 3)
    desk.controller.undo()
    desk.controller.undo()
    assert desk.table.class_names.tolist() == ["Tumor"]


@pytest.mark.parametrize("name", ["", "  ", "Tumor"], ids=["empty", "blank", "taken"])
def test_a_bad_name_is_told(desk, name):
    desk.controller.add_class(name)
    assert desk.state.error
    assert desk.state.classes.names == ("Tumor", "Stroma")


def test_qupaths_classes_are_imported_with_their_colours(desk, tmp_path):
    path = tmp_path / "classes.json"
    words = [
        {"name": "Tumor", "color": -3670016},
        {"names": ["Immune cells", "CD3"], "color": [160, 90, 160]},
        {},
    ]
    path.write_text(json.dumps({"pathClasses": words}))
    desk.controller.import_classes(path)
    assert desk.state.classes.names == ("Tumor", "Stroma", "Immune cells: CD3")
    assert desk.state.classes[0].rgb == (200, 0, 0)
    assert desk.state.classes[2].rgb == (160, 90, 160)


def test_a_file_that_is_no_classes_json_is_told(desk, tmp_path):
    path = tmp_path / "classes.json"
    path.write_text('{"a": 1}')
    desk.controller.import_classes(path)
    assert "does not hold QuPath's classes" in desk.state.error


# -- review ----------------------------------------------------------------------------------------


def test_a_review_goes_from_the_least_certain_on(tmp_path):
    desk = Desk(tmp_path, predicted())
    ids = desk.table.uuids()
    desk.controller.review_start()
    assert desk.state.review.object_id == ids[1]
    assert (desk.state.review.position, desk.state.review.total) == (1, 4)
    desk.controller.accept()
    assert desk.state.review.object_id == ids[3]
    desk.controller.delete()
    assert desk.state.review.object_id == ids[2]
    desk.controller.review_next()
    assert desk.state.review.object_id == ids[0]
    desk.controller.review_previous()
    assert desk.state.selection == (ids[2],)
    desk.controller.review_next()
    desk.controller.review_next()
    assert desk.state.review is None
    assert "done" in desk.state.notice
    states = dict(zip(desk.table.uuids(), desk.table.state, strict=True))
    assert states[ids[1]] == ObjectState.ACCEPTED
    assert ids[3] not in states
    desk.controller.close()


def test_nothing_to_review_is_told(desk):
    desk.controller.review_start()
    assert desk.state.review is None
    assert "nothing to review" in desk.state.notice
