"""StarDist learns from labelled regions, goes on after a stop, and keeps what it knew."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_histo.core import Box, Contours, PixelSize
from napari_histo.errors import ModelError, ObjectsFileError, WriteError
from napari_histo.learning.course.evaluation import evaluate_model, pooled
from napari_histo.learning.stardist.learner import Learner
from napari_histo.learning.stardist.preflight import preflight
from napari_histo.learning.stardist.run import Run
from napari_histo.learning.stardist.training import small_config, train_stardist
from napari_histo.learning.training import Example, Preflight, StarDistTraining, hold_out
from napari_histo.models import load_model
from napari_histo.models.shelf.folder import SHIPPED_WEIGHTS
from napari_histo.slides import ArrayReader
from support.labelled import (
    BRIGHT,
    drive,
    ellipses,
    example,
    first_step,
    region,
    square,
    stop_after,
)

NET = replace(
    small_config(),
    n_rays=16,
    unet_n_depth=2,
    unet_n_filter_base=8,
    net_conv_after_unet=16,
)
TINY = StarDistTraining(
    steps=6, batch=2, patch_px=64, judge_every=3, device="cpu", precision="float32", workers=0
)
LEARNING = replace(TINY, steps=40, batch=4, judge_every=10, rate=5e-3)
FILES = ("card.json", "config.json", "thresholds.json", "weights.safetensors")


def train(folder, regions, params=TINY, parent=NET, replay=(), **words):
    return drive(train_stardist(parent, regions, replay, folder, params, **words))


def bytes_of(folder):
    return {name: (folder / name).read_bytes() for name in FILES}


def f1(model, *examples):
    return pooled(evaluate_model(model, examples)).f1


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A model that knows purple nuclei, and how it came about."""
    folder = tmp_path_factory.mktemp("learned") / "purple"
    regions = [example(s) for s in range(4)]
    return train(folder, regions, LEARNING, validation=[example(10), example(11)])


class TestLearning:
    """From scratch on drawn nuclei."""

    def test_loss_falls_and_quality_rises(self, learned):
        steps, done = learned
        assert [s.done for s in steps if s.loss == s.loss][:3] == [1, 2, 3]
        first, last = done.curve[0], done.curve[-1]
        assert last.loss < 0.85 * first.loss
        assert last.pq > first.pq
        assert done.agreement.f1 > 0.8
        assert [p.step for p in done.curve] == [10, 20, 30, 40]
        assert [s.point for s in steps if s.point] == list(done.curve)

    def test_it_finds_nuclei_that_it_never_saw(self, learned):
        assert f1(learned[1].model, example(20), example(21)) > 0.8

    def test_the_folder_is_a_model(self, learned):
        done = learned[1]
        found = load_model(str(done.folder), device="cpu", precision="float32")
        assert found.info.thresholds == done.model.info.thresholds
        assert found.info.pixel_size_um == 0.5
        image = np.random.default_rng(0).uniform(size=(1, 64, 64, 3)).astype(np.float32)
        (a,), (b,) = (m.propose(image, 0.1) for m in (found, done.model))
        np.testing.assert_array_equal(a.prob, b.prob)

    def test_the_card_says_where_it_comes_from(self, learned):
        card = json.loads((learned[1].folder / "card.json").read_text())
        taught, judged = card["data"]
        assert (taught["name"], taught["regions"], taught["images"]) == ("taught", 4, 4)
        assert judged["regions"] == 2
        assert card["parent"] == {"name": "", "sha256": ""}
        assert card["metrics"][0]["f1"] == pytest.approx(learned[1].agreement.f1, abs=1e-4)
        assert len(card["sha256"]) == 64
        assert card["training"]["kept"] == learned[1].best_step

    def test_thresholds_are_those_of_the_best_quality(self, learned):
        done = learned[1]
        judges = [example(10), example(11)]
        chosen = pooled(evaluate_model(done.model, judges))
        for prob in (0.3, 0.7):
            other = replace(done.model.info.thresholds, prob=prob)
            found = pooled(evaluate_model(done.model, judges, thresholds=other))
            assert chosen.pq >= found.pq - 0.01

    def test_time_left_is_told(self, learned):
        lefts = [s.seconds_left for s in learned[0] if s.done and not math.isnan(s.seconds_left)]
        assert lefts[0] > lefts[-1] == 0


class TestPartialLabels:
    """Only what lies in a region teaches."""

    BOX = Box(16, 16, 96, 96)

    def weights(self, folder, one):
        train(folder, [one], replace(TINY, steps=3))
        return (folder / "weights.safetensors").read_bytes()

    def test_what_is_labelled_outside_or_in_ignored_areas_changes_nothing(self, tmp_path):
        ignored = Contours.from_rings([square(60, 60, 30)])
        inside = [r for r in ellipses(0) if (r.max(0) < 58).all() and (r.min(0) > 20).all()]
        assert inside
        one = example(0)
        plain = one._replace(labels=region("i0", self.BOX, inside, ignored))
        more = [*inside, square(1, 1), square(114, 60), square(65, 65)]
        other = one._replace(labels=region("i0", self.BOX, more, ignored))
        fewer = one._replace(labels=region("i0", self.BOX, inside[1:], ignored))
        first = self.weights(tmp_path / "a", plain)
        assert first == self.weights(tmp_path / "b", other)
        assert first != self.weights(tmp_path / "c", fewer)

    def test_regions_without_objects_teach_background(self, tmp_path, learned):
        """Decoys that look like nuclei go away once they are known to be none."""
        decoy = example(30)
        empty = decoy._replace(labels=region("i30", Box(0, 0, 128, 128), []))
        before = sum(s.fp for s in evaluate_model(learned[1].model, [empty]))
        params = replace(LEARNING, steps=40, rate=5e-3, distillation=0)
        _, done = train(tmp_path / "m", [empty], params, parent=learned[1].folder)
        after = sum(s.fp for s in evaluate_model(done.model, [empty]))
        assert before > 10
        assert after < before / 4


class TestReplay:
    """A new task does not cost the old one."""

    def continued(self, folder, learned, replay):
        params = replace(LEARNING, steps=60)
        new = [example(s, colours=BRIGHT) for s in (40, 41)]
        judges = [example(50), example(51, colours=BRIGHT)]
        return train(folder, new, params, learned[1].folder, replay, validation=judges)[1].model

    @pytest.mark.slow
    def test_replay_keeps_the_old_task(self, tmp_path, learned):
        old, new = example(60), example(61, colours=BRIGHT)
        before = f1(learned[1].model, old)
        alone = self.continued(tmp_path / "alone", learned, ())
        with_replay = self.continued(tmp_path / "replay", learned, [example(0), example(1)])
        assert f1(with_replay, new) > 0.6 > f1(learned[1].model, new)
        assert f1(with_replay, old) > before - 0.1
        assert f1(alone, old) < before - 0.3

    def test_replayed_regions_fill_their_share(self):
        params = replace(TINY, batch=8, replay_share=0.25)
        run = Run.of(NET, [example(0)], [example(1)], [example(2)], params)
        shares = [float(run.batches.draw(i).replayed.float().mean()) for i in range(12)]
        assert np.mean(shares) == pytest.approx(0.25, abs=0.08)


class TestSameAgain:
    """One seed and machine, one model."""

    def test_same_seed_same_bytes_whoever_prepares_patches(self, tmp_path):
        regions = [example(0), example(1)]
        for name, workers in (("a", 0), ("b", 2)):
            train(tmp_path / name, regions, replace(TINY, workers=workers))
        assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")
        train(tmp_path / "c", regions, replace(TINY, seed=1))
        assert bytes_of(tmp_path / "c") != bytes_of(tmp_path / "a")

    def test_cancelled_and_gone_on_with(self, tmp_path):
        regions = [example(0), example(1), example(2)]
        train(tmp_path / "whole", regions)
        stop_after(4, train_stardist, NET, regions, tmp_path / "part", TINY)
        steps, _ = train(tmp_path / "part", regions, resume=True)
        assert first_step(steps) == 5
        assert bytes_of(tmp_path / "part") == bytes_of(tmp_path / "whole")
        assert not (tmp_path / "part.training").exists()

    @pytest.mark.slow
    def test_killed_and_gone_on_with(self, tmp_path):
        code = f"""
            import sys, time
            sys.path[:0] = {[str(Path(__file__).parents[1])]!r}
            from learning.test_stardist_training import *
            from napari_histo.learning.course import run as course
            course._KEEP_EVERY_S = 0.0
            regions = [example(0), example(1), example(2)]
            for step in train_stardist(NET, regions, [], sys.argv[1], TINY):
                print(step.done, flush=True)
                if step.done == 4:
                    time.sleep(3600)  # or it might end before it is killed
        """
        command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "killed")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for line in child.stdout:
                if line.strip() == "4":
                    break
            os.kill(child.pid, signal.SIGKILL)
        assert not (tmp_path / "killed").exists()
        regions = [example(0), example(1), example(2)]
        steps, _ = train(tmp_path / "killed", regions, resume=True)
        assert first_step(steps) > 4
        train(tmp_path / "whole", regions)
        assert bytes_of(tmp_path / "killed") == bytes_of(tmp_path / "whole")

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            pytest.param({"params": replace(TINY, seed=7)}, "seed was 0, now 7", id="seed"),
            pytest.param({"regions": [example(3), example(1)]}, "teach was", id="labels"),
        ],
    )
    def test_another_training_is_not_gone_on_with(self, tmp_path, change, said):
        regions, judges = [example(0), example(1)], [example(5)]
        asked = {"regions": regions, "params": TINY} | change
        stop_after(1, train_stardist, NET, regions, tmp_path / "m", TINY, validation=judges)
        with pytest.raises(ModelError, match=said):
            train(tmp_path / "m", validation=judges, resume=True, **asked)


class TestEnds:
    """When training ends early, or cannot begin."""

    def test_it_stops_when_it_gets_no_better(self, tmp_path, learned):
        params = replace(
            LEARNING, steps=30, judge_every=5, patience=2, rate=1e-9, freeze_norms=True
        )
        steps, done = train(
            tmp_path / "m", [example(0)], params, learned[1].folder, validation=[example(10)]
        )
        assert max(s.done for s in steps if s.point) == 25, "two looks after half of the steps"
        assert done.best_step == 5

    def test_a_model_that_goes_on_is_judged_before_its_first_step(self, tmp_path, learned):
        _steps, done = train(
            tmp_path / "m", [example(0)], TINY, learned[1].folder, validation=[example(10)]
        )
        assert done.curve[0].step == 0
        assert done.curve[0].pq > 0.5
        assert done.card["parent"]["name"] == "nuclei"
        assert done.card["parent"]["sha256"] == learned[1].card["sha256"]

    def test_without_judges_the_last_weights_and_the_parents_thresholds_are_kept(
        self, tmp_path, learned
    ):
        _, done = train(tmp_path / "m", [example(0)], TINY, learned[1].folder)
        assert done.best_step == 6
        assert done.model.info.thresholds == learned[1].model.info.thresholds
        assert done.card["metrics"] == []

    def test_it_goes_on_from_a_shipped_model(self, tmp_path):
        params = replace(TINY, steps=1, batch=1)
        _, done = train(tmp_path / "m", [example(0)], params, "he-nuclei-fast")
        assert done.model.info.pixel_size_um == load_model("he-nuclei-fast").info.pixel_size_um
        assert f1(done.model, example(1)) > 0.5

    def test_fluorescence(self, tmp_path):
        image = 400 + 3000 * np.random.default_rng(0).random((96, 96))
        reader = ArrayReader(image.astype(np.uint16), pixel_size=PixelSize.square(0.5))
        one = Example(reader, region("f", Box(0, 0, 96, 96), [square(20, 20, 14)]))
        _, done = train(tmp_path / "m", [one], parent=replace(NET, n_channel_in=1))
        assert done.model.info.channels == "gray"
        with pytest.raises(ModelError, match="channel"):
            train(tmp_path / "n", [one])

    def test_nothing_to_learn_from_is_told(self, tmp_path):
        with pytest.raises(ObjectsFileError, match="no labelled region"):
            train(tmp_path / "m", [])
        assert not any(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("parent", "said"),
        [
            pytest.param("classical", "family", id="family"),
            pytest.param("no-such-model", "no model", id="unknown"),
        ],
    )
    def test_parents_that_cannot_learn_are_told(self, tmp_path, parent, said):
        with pytest.raises(ModelError, match=said):
            train(tmp_path / "m", [example(0)], parent=parent)

    def test_patches_that_do_not_fit_the_network_are_told(self, tmp_path):
        with pytest.raises(ModelError, match="multiple of 8"):
            train(tmp_path / "m", [example(0)], replace(TINY, patch_px=60))

    def test_a_folder_that_cannot_be_written_is_told_at_once(self, tmp_path):
        with pytest.raises(WriteError):
            next(train_stardist(NET, [example(0)], [], tmp_path / "no" / "m", TINY))

    @pytest.mark.parametrize("beside", ["config.json", SHIPPED_WEIGHTS], ids=["other", "model"])
    def test_slides_beside_are_never_replaced(self, tmp_path, beside):
        for name in (beside, "S21-104.svs"):
            (tmp_path / name).write_text("a year of work")
        with pytest.raises(WriteError, match=r"stands there: S21-104\.svs"):
            next(train_stardist(NET, [example(0)], [], tmp_path, TINY))
        assert (tmp_path / "S21-104.svs").read_text() == "a year of work"

    def test_a_folder_of_somebodys_training_images_is_left_alone(self, tmp_path):
        images = tmp_path / "m.training"
        images.mkdir()
        (images / "S21-104.svs").write_text("a year of work")
        with pytest.raises(WriteError, match=r"m\.training holds other files, S21-104\.svs"):
            train(tmp_path / "m", [example(0)])
        assert (images / "S21-104.svs").read_text() == "a year of work"

    def test_a_model_is_replaced(self, tmp_path, learned):
        folder = tmp_path / "m"
        shutil.copytree(learned[1].folder, folder)
        before = bytes_of(folder)
        train(folder, [example(0)], replace(TINY, steps=1))
        assert bytes_of(folder) != before


@pytest.mark.parametrize(
    ("groups", "judging", "split"),
    [
        pytest.param("a", {0}, False, id="one-region"),
        pytest.param("aaaaa", {1}, True, id="one-group-by-region"),
        pytest.param("aabbcc", {2}, False, id="whole-groups"),
        pytest.param("abbbbbbbbb", {1}, False, id="only-the-small-group-fits"),
        pytest.param("aaabbb", {2}, True, id="no-group-is-small-enough"),
        pytest.param("abcdefghij", {2}, False, id="two-of-ten"),
    ],
)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_what_judges_is_held_out_by_group(groups, judging, split, seed):
    one = example(0)
    some = [one._replace(group=g) for g in groups]
    teach, judge = hold_out(some, 0.2, seed)
    assert len(teach) + len(judge) == len(some)
    assert len(judge) in judging
    assert bool({e.group for e in teach} & {e.group for e in judge}) == split


def test_nothing_is_held_out_where_nothing_is_asked_for():
    some = [example(0)._replace(group=g) for g in "abc"]
    assert hold_out(some, 0.0, 0) == (some, [])


@pytest.mark.parametrize("seed", range(6))
def test_something_new_always_teaches(seed):
    old = [example(i)._replace(group=g) for i, g in enumerate("abcd")]
    run = Run.of(NET, [example(9)], old, [], replace(TINY, seed=seed, held_out=0.3))
    assert [e.labels.image for e in run.teach] == ["i9"]
    assert len(run.judge) == 1
    assert len(run.replay) == 3


def test_with_less_memory_it_goes_on_in_parts(tmp_path, monkeypatch):
    """Half as many patches at once, and it says so."""
    whole = Learner._loss
    sizes = []

    def tight(self, batch, *rest):
        sizes.append(len(batch))
        if len(batch) > 1:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return whole(self, batch, *rest)

    monkeypatch.setattr(Learner, "_loss", tight)
    steps, done = train(tmp_path / "m", [example(0)], replace(TINY, steps=2, batch=4))
    assert any("Memory ran out" in s.message for s in steps)
    assert sizes[:3] == [4, 2, 1]
    assert done.model is not None


def test_preflight_says_time_and_memory(preflight_clock):
    preflight_clock()
    said = preflight(NET, [example(0)], (), TINY, validation=[example(1)])
    assert said.seconds == pytest.approx(6 / 3 + 6)  # three steps took a second, as each look
    assert 1e6 < said.memory_bytes < 1e9
    assert said.n_regions == 1
    assert "objects in 1 region" in str(said)
    larger = preflight(NET, [example(0)], (), replace(TINY, batch=8, steps=600))
    assert larger.memory_bytes > said.memory_bytes
    assert larger.seconds == pytest.approx(600 / 3)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(
            {"seconds": 30.0, "n_regions": 1},
            "9 objects in 1 region: less than a minute on cpu, 2.0 GB of memory.",
            id="soon",
        ),
        pytest.param(
            {"seconds": 200.0},
            "9 objects in 3 regions: about 3 min on cpu, 2.0 GB of memory.",
            id="minutes",
        ),
        pytest.param(
            {"seconds": 9000.0, "free_bytes": 1_500_000_000},
            "9 objects in 3 regions: about 2.5 h on cpu, 2.0 GB of memory; only 1.5 GB are free: "
            "close other programs.",
            id="too little memory",
        ),
    ],
)
def test_preflight_in_words(words, said):
    known = {"memory_bytes": 2_000_000_000, "device": "cpu", "n_regions": 3, "n_objects": 9}
    assert str(Preflight(**{**known, **words})) == said


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"replay_share": 1.0},
        {"rate": 0.0},
        {"patch_px": 8},
        {"workers": -1},
        {"pixel_um": 0.0},
    ],
    ids=lambda w: next(iter(w)),
)
def test_senseless_settings_are_told(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        StarDistTraining(**wrong)
