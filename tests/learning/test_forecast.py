"""What another round would give: laws of the forecast, and how often it holds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from napari_histo.learning.progress.forecast import Enough, LearningCurve, forecast

#: Objects and PQ of each round that were measured with `napari-histo learn simulate` on TNBC and
#: DSB (the ways default, random-replay and random-scratch, 5 seeds each).
MEASURED = [
    [(53, 0.391), (100, 0.405), (216, 0.416), (402, 0.408), (801, 0.441)],
    [(91, 0.410), (150, 0.433), (226, 0.443), (429, 0.404), (817, 0.458)],
    [(58, 0.425), (101, 0.444), (225, 0.433), (433, 0.437), (802, 0.459)],
    [(53, 0.377), (102, 0.430), (210, 0.431), (403, 0.438), (813, 0.448)],
    [(76, 0.382), (105, 0.412), (200, 0.419), (411, 0.450), (828, 0.443)],
    [(56, 0.360), (113, 0.399), (289, 0.416), (400, 0.419), (809, 0.448)],
    [(54, 0.361), (102, 0.357), (214, 0.374), (403, 0.387), (803, 0.413)],
    [(60, 0.375), (106, 0.380), (209, 0.418), (411, 0.423), (819, 0.443)],
    [(51, 0.310), (106, 0.333), (233, 0.408), (456, 0.401), (833, 0.417)],
    [(58, 0.359), (108, 0.418), (201, 0.424), (438, 0.415), (825, 0.420)],
    [(56, 0.360), (113, 0.403), (289, 0.367), (400, 0.366), (809, 0.396)],
    [(54, 0.361), (102, 0.356), (214, 0.376), (403, 0.392), (803, 0.406)],
    [(60, 0.375), (106, 0.405), (209, 0.400), (411, 0.413), (819, 0.396)],
    [(51, 0.310), (106, 0.401), (233, 0.393), (456, 0.367), (833, 0.360)],
    [(58, 0.359), (108, 0.411), (201, 0.374), (438, 0.392), (825, 0.396)],
]
ROUNDS = st.lists(
    st.tuples(st.integers(1, 5000), st.floats(0.2, 0.8)),
    min_size=3,
    max_size=8,
    unique_by=lambda p: p[0],
)


@pytest.mark.parametrize(
    ("points", "n_more", "words"),
    [
        pytest.param([], 50, "there are none", id="none"),
        pytest.param([(40, 0.6)], 50, "there is 1", id="one"),
        pytest.param([(40, 0.6), (80, 0.62)], 50, "there are 2", id="two"),
        pytest.param([(40, 0.6), (40, 0.61), (80, 0.62)], 50, "Too early", id="twice-the-same"),
        pytest.param([(40, 0.6), (80, 0.62), (120, 0.7)], 0, "Too early", id="nothing-more"),
    ],
)
def test_too_few_rounds_are_said_and_nothing_is_guessed(points, n_more, words):
    told = forecast(points, n_more)
    assert told.enough is Enough.TOO_EARLY
    assert words in told.sentence
    assert np.isnan([told.pq, told.low, told.gain, told.chance]).all()


@pytest.mark.parametrize(
    ("points", "enough"),
    [
        pytest.param([(50, 0.50), (100, 0.56), (150, 0.60), (200, 0.63)], "GOES_ON", id="rises"),
        pytest.param([(50, 0.64), (100, 0.65), (150, 0.65), (200, 0.65)], "ENOUGH", id="level"),
        pytest.param([(50, 0.60), (100, 0.62), (150, 0.64)], "OPEN", id="rises-a-little"),
        pytest.param([(50, 0.65), (100, 0.63), (150, 0.62), (200, 0.6)], "ENOUGH", id="falls"),
    ],
)
def test_the_answer_in_short(points, enough):
    told = forecast(points, 50)
    assert told.enough.name == enough
    assert "50 more objects" in told.sentence


def test_the_sentence_names_what_was_measured():
    points = [(50, 0.50), (100, 0.56), (150, 0.60)]
    assert "objects PQ +0." in forecast(points, 50).sentence
    assert "objects IoU of clicks +0." in forecast(points, 50, "IoU of clicks").sentence


@given(ROUNDS, st.integers(1, 5000))
@example(points=[(1, 0.21875), (332, 0.5), (1051, 0.5)], n_more=1)
def test_the_interval_holds_the_estimate_and_chances_are_chances(points, n_more):
    told = forecast(points, n_more)
    assert 0 <= told.low <= told.high <= 1
    assert told.low <= np.clip(told.pq, 0, 1) + 1e-3
    assert 0 <= told.chance <= 1


@given(ROUNDS, st.permutations(range(8)), st.floats(-0.15, 0.15))
def test_order_and_level_are_no_matter_for_the_gain(points, order, shift):
    told = forecast(points, 60)
    others = [points[i] for i in order if i < len(points)]
    again = forecast([(n, pq + shift) for n, pq in others], 60)
    assert again.gain == pytest.approx(told.gain, abs=1e-6)
    assert again.chance == pytest.approx(told.chance, abs=1e-6)


@given(st.floats(0.1, 2), st.floats(0.05, 0.3))
@settings(max_examples=30)
def test_a_power_law_without_scatter_is_continued(shape, rise):
    n = np.array([50, 100, 150, 200, 250, 300])
    pq = 0.7 - rise * (n / 50.0) ** -shape
    told = forecast(list(zip(n[:5].tolist(), pq[:5].tolist(), strict=True)), 50)
    assert told.pq == pytest.approx(pq[5], abs=0.01)


def test_more_rounds_make_surer():
    n = np.arange(1, 9) * 50
    points = list(zip(n.tolist(), (0.7 - 0.2 * (n / 50.0) ** -0.5).tolist(), strict=True))
    widths = []
    for k in (3, 5, 8):
        low, high = LearningCurve(points[:k]).interval([n[k - 1] + 50])
        widths.append(float((high - low)[0]))
    assert widths == sorted(widths, reverse=True)


def test_it_holds_as_often_as_it_says_on_measured_curves():
    inside = []
    for points in MEASURED:
        for known in (3, 4):
            told = forecast(points[:known], points[known][0] - points[known - 1][0])
            inside.append(told.low <= points[known][1] <= told.high)
    assert 0.7 <= np.mean(inside) <= 0.95


def test_it_holds_as_often_as_it_says_on_power_laws():
    rng = np.random.default_rng(0)
    inside, said, true = [], [], []
    for _ in range(400):
        n = np.cumsum(rng.integers(20, 120, rng.integers(4, 9)))
        shape, rise, top = rng.uniform(0.1, 1.5), rng.uniform(0, 0.3), rng.uniform(0.5, 0.8)
        curve = top - rise * (n / n[0]) ** -shape
        pq = np.clip(curve + rng.normal(0, rng.uniform(0.004, 0.02), len(n)), 0, 1)
        told = forecast(list(zip(n[:-1].tolist(), pq[:-1].tolist(), strict=True)), n[-1] - n[-2])
        inside.append(told.low <= pq[-1] <= told.high)
        said.append(told.chance)
        true.append(curve[-1] - curve[-2] >= 0.01)
    assert 0.75 <= np.mean(inside) <= 0.95
    sure, unsure = np.array(said) > 0.8, np.array(said) < 0.2
    assert np.mean(np.array(true)[sure]) > 0.75
    assert np.mean(np.array(true)[unsure]) < 0.1


@pytest.mark.parametrize(
    ("points", "told"),
    [
        pytest.param([(0, 0.5), (50, 0.6), (90, 0.6)], "more than 0", id="no-objects"),
        pytest.param([(10, 0.5), (50, 1.6), (90, 0.6)], "between 0 and 1", id="no-quality"),
        pytest.param([(10, 0.5), (10, 0.6)], "different numbers", id="one-place"),
    ],
)
def test_what_is_no_round_is_refused(points, told):
    with pytest.raises(ValueError, match=told):
        LearningCurve(points)
