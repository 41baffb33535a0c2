"""Quality over objects, from a project's files; and the random baseline of a simulation."""

from __future__ import annotations

import json
import os

import pytest

from napari_histo.learning.progress.baseline import find_baseline
from napari_histo.learning.progress.points import learned
from napari_histo.learning.rounds.query import QueryWish, query
from napari_histo.learning.rounds.steps import abandon
from support.learning import FAKES, drive, make_project, run_round


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path)


def test_nothing_is_known_before_the_first_decision(project):
    assert learned(project).points == ()
    assert "there are none" in learned(project).forecast(3).sentence


def test_rounds_add_objects_and_are_judged_alike(project):
    for _ in range(3):
        run_round(project)
    found = learned(project)
    assert [(p.round, p.n_objects) for p in found.points] == [(0, 0), (1, 9), (2, 18), (3, 27)]
    assert found.per_region == 3
    qualities = [p.pq for p in found.points]
    assert qualities == sorted(qualities)
    assert found.points[1].pq == pytest.approx(project.round(1).decision["pq_new"], abs=1e-6)
    told = found.forecast(4)
    assert (told.n_rounds, told.n_more) == (3, 12)


def test_rounds_that_teach_no_more_are_no_points(project):
    run_round(project)
    run_round(project, spoil=True)
    drive(query(project, QueryWish("random"), FAKES))
    abandon(project, "as a test")
    assert [p.round for p in learned(project).points] == [0, 1]


def simulation(folder, arm="random-replay", pq=(0.3, 0.4), seeds=2):
    for seed in range(seeds):
        for i, value in enumerate(pq):
            place = folder / arm / f"seed-{seed}" / f"round-{i + 1}"
            place.mkdir(parents=True)
            score = {"round": i + 1, "n_objects": 50 * (i + 1) + seed, "pq": value + seed / 10}
            (place / "round.json").write_text(json.dumps({"score": score}))
    (folder / "simulation.json").write_text("{}")


@pytest.mark.parametrize("place", ["project/sim", "sim", "project"])
def test_a_simulation_in_or_beside_the_project_is_found(project, tmp_path, place):
    simulation(tmp_path / place)
    found = find_baseline(project.path)
    assert found.folder == tmp_path / place
    assert (found.arm, found.n_seeds) == ("random-replay", 2)
    assert found.points == ((50.5, pytest.approx(0.35)), (100.5, pytest.approx(0.45)))


def test_without_a_random_way_nothing_is_pretended(project, tmp_path):
    assert find_baseline(project.path) is None
    simulation(tmp_path / "sim", arm="default")
    assert find_baseline(project.path) is None


def test_the_latest_counts_and_torn_files_are_passed_by(project, tmp_path):
    simulation(tmp_path / "old", pq=(0.1, 0.2), seeds=1)
    os.utime(tmp_path / "old" / "simulation.json", (1, 1))
    simulation(tmp_path / "new", arm="random-scratch", pq=(0.5, 0.6), seeds=1)
    (tmp_path / "new/random-scratch/seed-0/round-2/round.json").write_text('{"score": {"pq"')
    found = find_baseline(project.path)
    assert (found.arm, found.points) == ("random-scratch", ((50.0, 0.5),))
