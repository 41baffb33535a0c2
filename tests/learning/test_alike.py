"""Regions like a place that the user pointed at."""

from __future__ import annotations

import pytest

from napari_histo.errors import LearningError
from napari_histo.learning.rounds.alike import Spot
from napari_histo.learning.rounds.query import QueryWish, query
from support.learning import FAKES, drive, make_project, run_round


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path)


def first(project, split="train"):
    return project.facts.of_split(split)[0]


def test_the_region_at_the_place_is_most_like_it(project):
    spot = Spot(first(project).id, 40.0, 10.0)
    found = drive(query(project, QueryWish(like=(spot,)), FAKES))
    best = found.query["regions"][0]
    assert best["image"] == spot.image
    assert best["box"][0] <= 40 < best["box"][0] + best["box"][2]
    assert best["box"][1] <= 10 < best["box"][1] + best["box"][3]
    assert found.query["asked"]["strategy"] == "alike"
    assert found.query["asked"]["like"] == [[spot.image, 40.0, 10.0]]


def test_what_was_annotated_can_be_pointed_at_and_is_not_asked_for_again(project):
    run_round(project)
    known = next(r for r in project.round(1).query["regions"] if r["split"] == "train")
    x, y, side, _ = known["box"]
    wish = QueryWish("alike", like=(Spot(known["image"], x + side / 2, y + side / 2),))
    asked = drive(query(project, wish, FAKES)).query["regions"]
    assert known["box"] not in [r["box"] for r in asked if r["image"] == known["image"]]


def test_the_same_place_goes_on_and_another_is_refused(project):
    spot = Spot(first(project).id, 40.0, 10.0)
    drive(query(project, QueryWish(like=(spot,)), FAKES))
    drive(query(project, QueryWish(like=(spot,)), FAKES))
    with pytest.raises(LearningError, match="was chosen otherwise"):
        drive(query(project, QueryWish(like=(Spot(spot.image, 1.0, 1.0),)), FAKES))


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        pytest.param(
            lambda p: QueryWish(like=(Spot(first(p, "validation").id, 1, 1),)),
            "images that judge",
            id="judging-image",
        ),
        pytest.param(
            lambda p: QueryWish(like=(Spot(first(p).id, -1, 5),)), "lies outside", id="outside"
        ),
        pytest.param(lambda p: QueryWish("alike"), "at least one place", id="no-place"),
        pytest.param(
            lambda p: QueryWish("random", like=(Spot(first(p).id, 1, 1),)),
            "none to others",
            id="other-strategy",
        ),
        pytest.param(
            lambda p: QueryWish(like=(Spot.parse("nothing.tif:1,2", p),)),
            "has no image 'nothing.tif'",
            id="unknown-image",
        ),
        pytest.param(
            lambda p: QueryWish(like=(Spot.parse("40;10", p),)), "is no place", id="no-numbers"
        ),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_chosen(project, wish, told):
    with pytest.raises(LearningError, match=told):
        drive(query(project, wish(project), FAKES))
    assert project.rounds == []
