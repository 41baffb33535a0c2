"""A learning project under damage, kills and failing disks."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_histo.errors import LearningError, WriteError
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.rounds.folder import Stage
from napari_histo.learning.rounds.query import QueryWish, query
from napari_histo.learning.rounds.steps import TrainWish, collect, train
from support.disks import mounted, needs_root_on_linux
from support.learning import FAKES, annotate, contents, drive, errors_of, make_project, run_round

# -- damage --------------------------------------------------------------------------------------


def _edit(path, **changes):
    words = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(words))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        pytest.param(lambda p: shutil.rmtree(p), "does not exist", id="gone"),
        pytest.param(lambda p: (p / "project.json").unlink(), "no learning project", id="others"),
        pytest.param(
            lambda p: (p / "project.json").write_text('{"format_'), "is damaged", id="half"
        ),
        pytest.param(lambda p: (p / "project.json").write_text("[]"), "no file of", id="list"),
        pytest.param(
            lambda p: _edit(p / "project.json", format_version=99),
            "Update napari-histo",
            id="newer",
        ),
        pytest.param(
            lambda p: _edit(p / "project.json", images={}), "no image to learn from", id="empty"
        ),
        pytest.param(
            lambda p: _edit(p / "project.json", images={"../x": {}}), "no whole", id="evil-id"
        ),
        pytest.param(
            lambda p: _edit(p / "project.json", settings={"margin_pq": 7}), "margin", id="setting"
        ),
    ],
)
def test_what_is_no_project_is_told(project, damage, told):
    damage(project.path)
    with pytest.raises(LearningError, match=told):
        LearningProject(project.path)


RECORD = [
    "query.json",
    "labels/labels.json",
    "labels/*.parquet",
    "training.json",
    "model/share.txt",
    "evaluation.json",
    "decision.json",
]


@pytest.mark.parametrize("name", RECORD)
def test_every_changed_file_is_named(done, name):
    path = next(done.round(1).path.glob(name))
    path.write_bytes(path.read_bytes()[:-3] + b"9 }\n")
    assert any(path.name in text for text in errors_of(done))


@pytest.mark.parametrize("name", RECORD)
def test_every_file_that_went_is_named(done, name):
    path = next(done.round(1).path.glob(name))
    path.unlink()
    if name == "decision.json":
        assert done.open_round is not None, "the last stage that is gone is to be done again"
    else:
        assert any(path.name in text for text in errors_of(done))


def test_a_number_changed_by_hand_is_noticed_when_it_is_used(done):
    path = done.round(1).path / "decision.json"
    path.write_text(path.read_text().replace('"promoted": true', '"promoted": false'))
    with pytest.raises(LearningError, match=r"decision\.json was changed since it was sealed"):
        _ = done.current


def test_a_stage_of_another_copy_does_not_fit(tmp_path):
    one, two = (make_project(tmp_path / str(seed), seed=seed) for seed in (1, 2))
    for project in (one, two):
        run_round(project)
    shutil.copy(two.round(1).path / "evaluation.json", one.round(1).path / "evaluation.json")
    assert any("another copy of the project" in text for text in errors_of(one))


def test_a_round_missing_between_others_is_told(done):
    run_round(done)
    shutil.rmtree(done.round(1).path)
    with pytest.raises(LearningError, match="one is missing"):
        _ = done.rounds
    assert any("one is missing" in text for text in errors_of(done))


def test_a_split_changed_afterwards_is_told(done):
    path = done.path / "project.json"
    words = json.loads(path.read_text())
    for image in words["images"].values():
        image["split"] = "train"
    path.write_text(json.dumps(words))
    changed = LearningProject(done.path)
    assert any("Splits are fixed at the start" in text for text in errors_of(changed))


def test_an_older_project_without_newer_settings_is_read(done):
    _edit(done.path / "project.json", settings={"region_px": 32}, format_version=1)
    again = LearningProject(done.path)
    assert again.facts.settings.gate.margin_pq == 0.01
    assert again.current == 1


# -- writing that fails --------------------------------------------------------------------------


def test_only_one_process_writes(project):
    with project.editing():
        with pytest.raises(LearningError, match="Another process is working on"):
            drive(query(project, QueryWish(), FAKES))
        assert LearningProject(project.path).current == 0, "reading is free"


def test_torsos_of_killed_processes_are_cleared(done):
    torso = done.round(1).path / ".query-abc.part.json"
    torso.write_text("{")
    folder = done.round(1).path / ".labels-abc.part"
    folder.mkdir()
    with done.editing():
        pass
    assert not torso.exists()
    assert not folder.exists()


@needs_root_on_linux
def test_a_read_only_project_can_be_read(done, tmp_path):
    with mounted(tmp_path / "disk", "size=8m") as disk:
        shutil.copytree(done.path, disk / "project")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        there = LearningProject(disk / "project")
        assert there.current == 1
        assert errors_of(there) == []
        with pytest.raises(WriteError, match="read-only"):
            drive(query(there, QueryWish(), FAKES))


@needs_root_on_linux
def test_a_full_disk_leaves_the_last_whole_state(project, tmp_path):
    drive(query(project, QueryWish("random"), FAKES))
    annotate(project)
    before = contents(project.path)
    with mounted(tmp_path / "disk", "size=2m") as disk:
        shutil.copytree(project.path, disk / "project")
        shutil.copytree(tmp_path / "images", disk / "images")
        fill = disk / "fill"
        with fill.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
            while stream.write(bytes(4096)):
                pass
        there = LearningProject(disk / "project")
        with pytest.raises(WriteError, match="full"):
            collect(there)
        assert contents(there.path) == before
        fill.unlink()
        assert collect(there).stage == Stage.LABELLED
        assert errors_of(there) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kill_9_at_every_write_leaves_a_whole_state_and_the_same_calls_go_on(tmp_path):
    """A round killed before and after each rename, then run again: the bytes are the same."""
    child = Path(__file__).with_name("kill_rounds.py")
    answer = subprocess.run(
        [sys.executable, child, tmp_path],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(child.parents[1])},
    )
    assert answer.returncode == 0, answer.stderr
    told = json.loads(answer.stdout)
    assert told["kills"] > 20
    assert told["wrong"] == []
    assert set(told["stages"]) == {stage.name for stage in Stage}


def test_cancelled_training_goes_on(project):
    from napari_histo.core import CancelToken
    from napari_histo.errors import Cancelled

    drive(query(project, QueryWish("random"), FAKES))
    annotate(project)
    collect(project)
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        drive(train(project, TrainWish(), FAKES, cancel))
    assert project.round(1).stage == Stage.LABELLED
    assert drive(train(project, TrainWish(), FAKES)).stage == Stage.TRAINED


def test_figures_of_the_decision_follow_from_the_evaluation_alone(done):
    """A decision that was sealed over other counts than those beside it is noticed."""
    found = done.round(1)
    words = json.loads((found.path / "evaluation.json").read_text())
    assert len(words["regions"]) == 8
    assert words["gate"]["seed"] == found.decision["seed"]
    assert np.isclose(found.decision["pq_difference"], 0.126, atol=0.002)


def test_settings_are_kept(tmp_path):
    from napari_histo.learning.rounds.promotion import Gate
    from support.learning import SETTINGS

    settings = replace(SETTINGS, regions=5, gate=Gate(margin_pq=0.02, draws=3000))
    project = make_project(tmp_path, settings=settings)
    assert LearningProject(project.path).facts == project.facts
    assert LearningProject(project.path).facts.settings == settings
