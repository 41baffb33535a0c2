from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from napari_histo.core import Box, ClassScheme, Contours, ObjectTable
from napari_histo.errors import LearningError
from napari_histo.learning.labels.consensus import AGREEMENT, Consensus, merge_annotators

REGION = Box(100, 50, 200, 150)
CLASSES = ClassScheme.of("Tumor", "Stroma")


def circles(*at: tuple[float, float, float], classes: list[int] | None = None) -> ObjectTable:
    """Circles (x, y, radius), by default of the first class."""
    shapes = [shapely.Point(x, y).buffer(r) for x, y, r in at]
    return ObjectTable.build(
        Contours.from_shapely(shapes), classes=CLASSES, class_id=classes or [0] * len(at)
    )


def merged(*tables: ObjectTable, **how: object) -> Consensus:
    named = {f"annotator {i}": table for i, table in enumerate(tables)}
    return merge_annotators(named, REGION, **how)  # type: ignore[arg-type]


both = pytest.mark.parametrize("method", ["majority", "staple"])


@both
@given(n=st.integers(0, 5), annotators=st.integers(2, 4), seed=st.integers(0, 999))
def test_those_who_agree_are_agreed_with(method: str, n: int, annotators: int, seed: int) -> None:
    radii = np.random.default_rng(seed).uniform(4, 12, n)
    table = circles(*[(120 + 30 * i, 100, r) for i, r in enumerate(radii)])
    found = merged(*[table] * annotators, method=method)
    assert len(found.objects) == n
    assert len(found.disputed) == len(found.left_out) == 0
    assert all(a.pq == 1 or np.isnan(a.pq) for a in found.between.values())
    for one, other in zip(found.objects.to_shapely(), table.to_shapely(), strict=True):
        assert one.intersection(other).area / one.union(other).area > 0.85  # whole pixels
    if n:
        assert (found.objects.measurements[AGREEMENT] == 1).all()


@both
def test_the_outline_is_that_of_most(method: str) -> None:
    found = merged(
        circles((200, 120, 20)), circles((200, 120, 20)), circles((207, 120, 20)), method=method
    )
    assert found.objects.centroids[0] == pytest.approx((200, 120), abs=0.7)
    assert found.objects.areas_px[0] == pytest.approx(np.pi * 400, rel=0.05)


def test_two_that_differ_meet_half_way() -> None:
    found = merged(circles((200, 120, 20)), circles((200, 120, 15)))
    radius = np.sqrt(found.objects.areas_px[0] / np.pi)
    assert radius == pytest.approx(17.5, abs=0.6)


def test_of_two_versions_too_different_to_merge_one_is_left_out() -> None:
    found = merged(circles((200, 120, 20)), circles((200, 120, 9)))
    assert len(found.objects) == len(found.left_out) == 1


def test_a_careless_annotator_is_outvoted_by_reliability() -> None:
    good = circles((200, 120, 20))
    found = merged(good, good, good, circles((209, 120, 20)), method="staple")
    assert found.objects.centroids[0] == pytest.approx((200, 120), abs=0.7)


def test_what_too_few_outlined_is_left_out_but_named() -> None:
    two, one = circles((150, 100, 9), (200, 100, 9)), circles((150, 100, 9))
    found = merged(two, one, one)
    assert len(found.objects) == 1
    assert found.left_out.centroids == pytest.approx(np.array([[200, 100]]), abs=0.7)
    assert len(merged(two, one, one, quorum=0.3).objects) == 2
    assert len(merged(two, one, quorum=0.5).objects) == 2


def test_disputed_ones_come_first() -> None:
    everyone = [(150, 100, 9), (200, 100, 9), (250, 100, 9)]
    found = merged(
        circles(*everyone),
        circles(*everyone, classes=[0, 1, 0]),
        circles(*everyone[:2], classes=[0, 1]),
    )
    assert found.objects.class_names.tolist() == ["Tumor", "Stroma", "Tumor"]
    assert found.disputed.tolist() == [1, 2]


def test_a_class_without_a_majority_is_left_open() -> None:
    found = merged(circles((150, 100, 9)), circles((150, 100, 9), classes=[1]))
    assert found.objects.class_names.tolist() == [None]


def test_who_gives_no_class_does_not_contradict() -> None:
    at = [(120 + 30 * i, 100, 9) for i in range(3)]
    silent = circles(*at).with_columns(class_id=np.full(3, -1, np.int32))
    found = merged(circles(*at, classes=[0, 1, 0]), silent)
    assert found.objects.class_names.tolist() == ["Tumor", "Stroma", "Tumor"]
    assert len(found.disputed) == 0
    assert np.isnan(found.kappa)
    assert merged(silent, silent).objects.class_names.tolist() == [None] * 3


def test_neighbours_are_never_joined() -> None:
    two = circles((150, 100, 10), (170, 100, 10))
    wide = circles((160, 100, 14))
    found = merged(two, two, wide)
    assert len(found.objects) == 2
    assert len(found.left_out) == 1


def test_agreement_between_annotators_is_told() -> None:
    a, b = circles((150, 100, 9), (200, 100, 9)), circles((150, 100, 9))
    found = merged(a, b, a)
    assert found.between["annotator 0", "annotator 2"].f1 == 1
    assert found.between["annotator 0", "annotator 1"].f1 == pytest.approx(2 / 3)
    assert 0 < found.mean_pq < 1


def test_kappa_of_classes() -> None:
    at = [(120 + 30 * i, 100, 9) for i in range(4)]
    one, other = circles(*at, classes=[0, 0, 1, 1]), circles(*at, classes=[0, 0, 1, 0])
    assert merged(one, one).kappa == 1
    assert merged(one, other).kappa == pytest.approx(0.5)
    assert np.isnan(merged(circles(*at), circles(*at)).kappa)


def test_one_annotator_is_no_consensus() -> None:
    with pytest.raises(LearningError, match="two annotators"):
        merged(circles((150, 100, 9)))
