"""Prompts in, objects out: what an annotator does, without a window."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histo.core import (
    ObjectState,
)
from napari_histo.errors import ModelError
from support.annotation_desk import Desk, predicted


def test_a_click_makes_an_object_of_the_current_class(desk):
    desk.click(200, 300)
    assert len(desk.table) == 1
    assert np.abs(desk.table.centroids[0] - (200, 300)).max() < 0.1
    assert desk.table.class_names.tolist() == ["Tumor"]
    assert desk.table.state.tolist() == [ObjectState.DRAWN]
    assert desk.table.det_prob[0] == pytest.approx(0.8)
    assert desk.state.selection == (desk.table.uuid(0),) == (desk.state.active,)
    assert desk.state.counts["Tumor"] == 1


def test_boxes_and_squiggles_make_objects(desk):
    desk.controller.box(260, 260, 200, 200)
    desk.controller.squiggle([(400, 400), (420, 420), (440, 400)])
    desk.settle()
    assert len(desk.table) == 2
    assert desk.table.areas_px[0] == pytest.approx(np.pi * 30**2, rel=0.02)


def test_an_excluding_click_refines_the_same_object(desk):
    desk.click(200, 300)
    first = desk.table
    desk.click(215, 300, positive=False)
    assert desk.table.uuid(0) == first.uuid(0)
    assert desk.table.areas_px[0] < first.areas_px[0]
    assert [p.positive for p in desk.engine.requests[-1].prompts] == [True, False]
    desk.click(205, 300, add=True)
    assert [p.positive for p in desk.engine.requests[-1].prompts] == [True, False, True]
    assert len(desk.table) == 1


def test_a_plain_click_on_an_object_selects_it_and_the_next_elsewhere_starts_another(desk):
    desk.click(200, 300)
    desk.click(400, 300)
    assert len(desk.table) == 2
    asked = len(desk.engine.requests)
    desk.click(201, 301)
    assert len(desk.engine.requests) == asked
    assert desk.state.selection == (desk.table.uuid(0),)


def test_refining_an_object_of_a_model_starts_from_a_point_inside_it(tmp_path):
    desk = Desk(tmp_path, predicted())
    desk.click(100, 400)
    desk.click(112, 400, positive=False)
    inner, outer = desk.engine.requests[-1].prompts
    assert np.hypot(inner.x - 100, inner.y - 400) < 8
    assert not outer.positive
    row = desk.controller.objects.get(desk.state.selection)
    assert row.state.tolist() == [ObjectState.EDITED]
    desk.controller.close()


def test_excluding_without_an_object_says_what_to_do(desk):
    desk.click(200, 300, positive=False)
    assert "select one object first" in desk.state.notice
    assert not len(desk.table)


def test_fast_clicks_are_all_answered_and_exclude_each_other(desk):
    for k in range(40):
        desk.controller.click(100 + 21 * k, 100)
    desk.settle()
    assert len(desk.table) == 40
    assert sorted(desk.table.centroids[:, 0].round()) == [100 + 21 * k for k in range(40)]
    assert len(set(desk.table.uuids())) == 40
    assert max(len(r.other_prompts) for r in desk.engine.requests) > 5


def test_known_neighbours_are_handed_to_the_model(desk):
    desk.click(200, 300)
    desk.click(230, 300)
    assert len(desk.engine.requests[-1].others) == 1
    assert np.abs(desk.engine.requests[-1].others.centroids[0] - (200, 300)).max() < 0.1


def test_an_empty_answer_is_told_and_leaves_nothing(desk):
    desk.engine.empty = True
    desk.click(200, 300)
    assert not len(desk.table)
    assert "Nothing was found" in desk.state.notice
    assert desk.state.active is None


@pytest.mark.parametrize(
    "gesture",
    [
        pytest.param(lambda c: c.click(-3, 50), id="click"),
        pytest.param(lambda c: c.box(-30, -20, -5, -2), id="box"),
        pytest.param(lambda c: c.squiggle([(1e5, 5), (1e5 + 9, 7)]), id="squiggle"),
    ],
)
def test_a_gesture_beside_the_image_is_told_and_asks_nobody(desk, gesture):
    gesture(desk.controller)
    desk.settle()
    assert not len(desk.table)
    assert not desk.engine.requests
    assert "outside the image" in desk.state.notice
    desk.controller.box(-30, -20, 40, 40)  # a part of it is on the image
    desk.settle()
    assert len(desk.table) == 1


def test_an_error_of_the_model_is_one_message_and_the_next_click_works(desk):
    desk.engine.error = ModelError("The model is damaged. Copy it again.")
    desk.click(200, 300)
    assert desk.state.error == "The model is damaged. Copy it again."
    desk.engine.error = None
    desk.click(200, 300)
    assert len(desk.table) == 1
    assert not desk.state.error


def test_answers_for_what_was_given_up_are_dropped(desk):
    desk.controller.click(200, 300)
    desk.controller.undo()
    assert desk.state.in_flight == 0
    desk.click(500, 300)
    assert len(desk.table) == 1
    assert desk.table.centroids[0, 0] == pytest.approx(500, abs=0.1)


def test_answers_after_closing_are_dropped(desk, tmp_path):
    desk.controller.click(200, 300)
    desk.controller.close()
    again = Desk(tmp_path)
    assert not len(again.table)
    again.controller.close()
