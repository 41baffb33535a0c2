from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_histo.learning.simulation.compare import compare_arms, comparison_text
from napari_histo.learning.simulation.curves import (
    curve_rows,
    draw_curves,
    interval,
    objects_needed,
    table_text,
)
from napari_histo.learning.simulation.record import RoundScore

SCORES = [
    RoundScore(arm, seed, n, 50 * 2**n, 5, 3, base + 0.1 * n + 0.01 * seed, 0.5, 0.4, 9)
    for arm, base in (("one", 0.2), ("other", 0.1))
    for seed in range(5)
    for n in (1, 2, 3)
]


def test_an_interval_is_student_s() -> None:
    mean, half = interval([1, 2, 3, 4, 5])
    assert mean == 3
    assert half == pytest.approx(1.963, abs=1e-3)
    assert np.isnan(interval([2.0])[1])
    assert np.isnan(interval([])[0])


def test_seeds_become_one_row() -> None:
    rows = curve_rows(SCORES)
    assert [(r.arm, r.round, r.n_seeds) for r in rows][:3] == [(("one"), n, 5) for n in (1, 2, 3)]
    assert rows[0].pq == pytest.approx(0.32)
    assert rows[0].pq_pm == pytest.approx(interval([0.3, 0.31, 0.32, 0.33, 0.34])[1])
    assert table_text(rows).count("\n") == 1 + len(rows)
    assert "0.320 ± 0.020" in table_text(rows)


def test_objects_needed_are_read_off_the_curve() -> None:
    rows = curve_rows(SCORES)
    assert objects_needed(rows, "one", 0.37) == pytest.approx(150)
    assert objects_needed(rows, "one", 0.1) == 100
    assert objects_needed(rows, "other", 0.32) == pytest.approx(200)
    assert np.isnan(objects_needed(rows, "other", 0.9))


def score(arm: str, seed: int, number: int, pq: float, seconds: float) -> RoundScore:
    return RoundScore(arm, seed, number, 100, 5, 3, pq, pq, pq - 0.1, seconds)


def test_arms_are_held_against_each_other_seed_by_seed() -> None:
    scores = [
        score(arm, seed, n, 0.4 + 0.1 * seed + gain * (1 + seed), seconds * n)
        for arm, gain, seconds in (("one", 0.0, 10), ("other", 0.01, 35), ("third", -0.02, 5))
        for seed in (0, 1)
        for n in (1, 2, 3)
    ]
    rows = compare_arms(scores)
    assert [(r.other, r.round) for r in rows] == [
        (arm, n) for arm in ("other", "third") for n in (1, 2, 3, 0)
    ]
    assert [r.time_ratio for r in rows] == pytest.approx([3.5] * 4 + [0.5] * 4)
    assert rows[3].pq == rows[3].first_pq == pytest.approx(0.015)
    # Of gains of 0.01 and 0.02 by seed; rounds of one seed are no further trials.
    assert rows[3].pq_pm == pytest.approx(interval([0.01, 0.02])[1])
    text = comparison_text(rows)
    assert "| other to one | all later | +0.015 ± 0.064 | +0.015 | 3.5 times |" in text


@pytest.mark.parametrize(
    ("scores", "n"),
    [
        pytest.param([score("one", 0, 1, 0.4, 9)], 0, id="one arm"),
        pytest.param([score("one", 0, 1, 0.4, 9), score("two", 1, 1, 0.4, 9)], 0, id="other seeds"),
        pytest.param([score("one", 0, 1, 0.4, 9), score("two", 0, 1, 0.4, 9)], 1, id="one round"),
    ],
)
def test_what_both_did_not_play_is_not_compared(scores: list[RoundScore], n: int) -> None:
    assert len(compare_arms(scores)) == n
    assert bool(comparison_text(compare_arms(scores))) == bool(n)


def test_the_figure_is_a_picture(tmp_path: Path) -> None:
    draw_curves(curve_rows(SCORES), tmp_path / "curves.png")
    pixels = np.asarray(Image.open(tmp_path / "curves.png").convert("RGB"))
    assert pixels.shape[1] > 500
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50
