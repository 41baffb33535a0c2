from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from napari_histo.core import CancelToken
from napari_histo.errors import Cancelled, LearningError
from napari_histo.learning.simulation.arms import ARMS, in_order
from napari_histo.learning.simulation.play import Simulation, simulate
from napari_histo.learning.simulation.truth import TruthImage
from napari_histo.learning.training import StarDistTraining
from support.labelled import drive, example

TINY = Simulation(
    budgets=(6, 14),
    region_px=32,
    at_once=2,
    training=StarDistTraining(steps=2, batch=2, patch_px=32, judge_every=2, device="cpu"),
    next_steps=1,
)


def images() -> list[TruthImage]:
    splits = ["train", "train", "train", "judge", "test"]
    drawn = [example(seed, side=96, colours=((225, 185, 212), (110, 65, 140))) for seed in range(5)]
    return [
        TruthImage(f"i{n}", e.reader, e.labels.objects, split)
        for n, (e, split) in enumerate(zip(drawn, splits, strict=True))
    ]


def play(folder: Path, arms: tuple[str, ...] = ("default",), **how: object):
    how = {"seeds": [0], "params": TINY, **how}
    return drive(simulate(images(), folder, [ARMS[a] for a in arms], **how))[1]  # type: ignore[arg-type]


@pytest.mark.slow
def test_each_round_reaches_its_budget_and_is_judged_on_images_that_teach_nothing(tmp_path: Path):
    scores = play(tmp_path, ("default", "random-scratch"))
    assert [(s.arm, s.round) for s in scores] == [
        ("default", 1), ("default", 2), ("random-scratch", 1), ("random-scratch", 2),
    ]  # fmt: skip
    for score, budget in zip(scores, (6, 14, 6, 14), strict=True):
        assert score.n_objects >= budget
        assert 0 <= score.pq <= score.f1 <= 1
    assert scores[1].n_regions > scores[0].n_regions


@pytest.mark.slow
def test_a_stopped_simulation_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    whole = play(tmp_path / "whole")
    cancel = CancelToken()
    work = simulate(images(), tmp_path / "parts", [ARMS["default"]], [0], TINY, cancel)
    for step in work:
        if step.done == 1 and "Learning" in step.message:
            break
    cancel.cancel()
    with pytest.raises(Cancelled):
        drive(work)
    again = play(tmp_path / "parts")
    assert [replace(s, seconds=0) for s in again] == [replace(s, seconds=0) for s in whole]
    first = tmp_path / "whole/default/seed-0/round-2/round.json"
    second = tmp_path / "parts/default/seed-0/round-2/round.json"
    assert first.read_text().split('"regions"')[1] == second.read_text().split('"regions"')[1]


def test_other_settings_do_not_go_on_in_the_same_folder(tmp_path: Path) -> None:
    next(simulate(images(), tmp_path, [ARMS["default"]], [0], TINY))
    other = replace(TINY, region_px=64)
    with pytest.raises(LearningError, match="other settings"):
        next(simulate(images(), tmp_path, [ARMS["default"]], [0], other))


@pytest.mark.parametrize("split", ["train", "judge", "test"])
def test_every_split_needs_an_image(split: str, tmp_path: Path) -> None:
    some = [image for image in images() if image.split != split]
    with pytest.raises(LearningError, match=split):
        next(simulate(some, tmp_path, params=TINY))


def test_budgets_must_rise() -> None:
    with pytest.raises(LearningError, match="rising"):
        Simulation(budgets=(10, 5))


@pytest.mark.slow
def test_an_arm_that_follows_learns_from_the_very_same_regions(tmp_path: Path) -> None:
    scores = play(tmp_path, ("auto-scratch", "default"))
    assert [s.arm for s in scores] == ["default"] * 2 + ["auto-scratch"] * 2
    for number in (1, 2):
        kept = [
            json.loads((tmp_path / arm / "seed-0" / f"round-{number}" / "round.json").read_text())
            for arm in ("default", "auto-scratch")
        ]
        assert kept[0]["regions"] == kept[1]["regions"]
    # The first round is one training for both.
    assert scores[2] == replace(scores[0], arm="auto-scratch")
    assert not (tmp_path / "auto-scratch" / "seed-0" / "round-1" / "model").exists()
    card = tmp_path / "auto-scratch" / "seed-0" / "round-2" / "model" / "card.json"
    assert json.loads(card.read_text())["parent"]["name"] == ""


def test_arms_that_follow_need_whom_to_follow() -> None:
    both = [ARMS["auto-scratch"], ARMS["default"], ARMS["grid-replay"]]
    assert [arm.name for arm in in_order(both)] == ["default", "grid-replay", "auto-scratch"]
    with pytest.raises(LearningError, match="--arm default --arm auto-scratch"):
        in_order(both[:1])
