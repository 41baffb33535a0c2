"""The click model learns from outlined regions, goes on after a stop, and is judged by clicks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_histo.core import Box, CancelToken, Contours
from napari_histo.errors import Cancelled, ModelError, ObjectsFileError
from napari_histo.learning.click.evaluation import evaluate_clicks, mean_iou
from napari_histo.learning.click.learner import loss_terms
from napari_histo.learning.click.params import ClickTraining
from napari_histo.learning.click.preflight import preflight
from napari_histo.learning.click.samples import ClickBatches, ClickSlides, ObjectSource
from napari_histo.learning.click.training import train_click
from napari_histo.learning.training import Trainer
from napari_histo.models import load_prompt_model
from support.labelled import drive, ellipses, example, region, square

TINY = ClickTraining(
    steps=4, batch=2, judge_every=2, device="cpu", precision="float32", held_out=0.0
)
WEIGHTS = "weights.safetensors"


@pytest.fixture(scope="module")
def click():
    return load_prompt_model("click", device="cpu", precision="float32")


def train(folder, regions, params=TINY, replay=(), **words):
    trainer: Trainer = train_click
    return drive(trainer("click", regions, replay, folder, params, **words))


def sources(click, *examples, **rest):
    return ObjectSource(examples, ClickSlides(click), **rest)


# -- what teaches --------------------------------------------------------------------------------


def test_pixels_that_nobody_labelled_carry_no_loss():
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 1, 16, 16, generator=rng)
    truth, known = torch.zeros(2, 1, 16, 16), torch.zeros(2, 1, 16, 16)
    truth[..., 4:8, 4:8], known[..., :8] = 1, 1
    other = torch.where(known > 0, logits, -logits)
    here, there = loss_terms(logits, truth, known), loss_terms(other, truth, known)
    assert all(torch.equal(here[name], there[name]) for name in here)
    wrong = loss_terms(-logits, truth, known)
    assert not torch.equal(here["bce"], wrong["bce"])


def test_background_beyond_the_region_is_unknown_and_whole_objects_are_known(click):
    # At 0.25 µm the image of 0.5 µm is twice as large: the region is the left half of 256 px.
    rings = [square(20, 50, 12), square(58, 50, 12)]
    one = example(rings=rings, box=Box(0, 0, 64, 128))
    drawn = sources(click, one)
    assert drawn.n_objects == 2, "the object on the region's edge may be asked for too"
    rng, unknown = np.random.default_rng(0), 0.0
    for _ in range(10):
        sample = drawn.draw(96, rng)
        assert sample.known[sample.truth].all()
        unknown += float((~sample.known).mean())
    assert unknown > 0.5, "half of the image was not labelled"


def test_an_object_that_was_cut_by_the_region_teaches_nothing_beyond_it(click):
    cut = [np.array([(40, 40), (64, 40), (64, 80), (40, 80)], float)]
    drawn = sources(click, example(rings=cut, box=Box(0, 0, 64, 128)))
    rng = np.random.default_rng(1)
    for _ in range(10):
        sample = drawn.draw(128, rng)
        # Known is one straight half: what lies beyond the cut is not.
        assert 0.1 < sample.known.mean() < 0.95


def test_batches_follow_from_seed_and_step_and_hold_the_share_of_replay(click):
    new, old = sources(click, example(0)), sources(click, example(1), is_replayed=True)
    batches = [ClickBatches(new, old, size=4, share=0.5, seed=s) for s in (3, 3, 4)]
    first, again, other = (b.draw(7) for b in batches)
    assert torch.equal(first.image, again.image)
    assert torch.equal(first.maps, again.maps)
    assert first.image.shape != other.image.shape or not torch.equal(first.image, other.image)
    assert first.replayed.sum() == 2
    assert first.maps.any(dim=(2, 3))[:, [0, 2]].any(dim=1).all(), "something is drawn for each"


def test_regions_without_objects_teach_nothing_and_say_so(tmp_path):
    empty = example(rings=[square(200, 200)])
    with pytest.raises(ObjectsFileError, match="hold no object"):
        train(tmp_path / "m", [empty])
    with pytest.raises(ObjectsFileError, match="no labelled region"):
        train(tmp_path / "m", [])
    assert not list(tmp_path.iterdir())


def test_another_family_is_refused(tmp_path):
    with pytest.raises(ModelError, match="answers clicks"):
        drive(train_click("he-nuclei-fast", [example()], [], tmp_path / "m", TINY))


@pytest.mark.parametrize(
    "wrong",
    [{"steps": 0}, {"rate": 0.0}, {"replay_share": 1.0}, {"distillation": -1}],
    ids=lambda w: next(iter(w)),
)
def test_settings_that_cannot_be_are_told(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ClickTraining(**wrong)


# -- training ------------------------------------------------------------------------------------


def test_preflight_says_time_and_memory(preflight_clock):
    preflight_clock()
    said = preflight("click", [example(0)], (), TINY, validation=[example(1)])
    assert said.seconds == pytest.approx(4 / 3 + 3)  # three steps took a second, as each look
    assert 1e7 < said.memory_bytes < 1e9
    assert (said.n_regions, said.device) == (1, "cpu")
    larger = preflight("click", [example(0)], (), replace(TINY, batch=4, steps=600))
    assert larger.memory_bytes > said.memory_bytes
    assert larger.seconds == pytest.approx(600 / 3)


#: Objects to judge by; fewer than 20 would end no training.
FEW = 21


def cores(seed, n=None):
    """An image whose annotator outlines only the inner part of what the parent would outline."""
    one, rings = example(seed), ellipses(seed)
    inner = [ring.mean(axis=0) + 0.6 * (ring - ring.mean(axis=0)) for ring in rings[:n]]
    return one._replace(labels=region(one.labels.image, one.labels.region, inner))


def test_it_learns_where_an_annotator_draws_the_line(click, tmp_path):
    judge = [cores(9, FEW)]
    before = mean_iou(evaluate_clicks(click, judge))
    how = replace(TINY, steps=12, batch=4, judge_every=12, rate=1e-3)
    _, done = train(tmp_path / "m", [cores(0), cores(1)], how, validation=judge)
    found = load_prompt_model(str(tmp_path / "m"), device="cpu", precision="float32")
    after = mean_iou(evaluate_clicks(found, judge))
    assert after > before + 0.1
    assert done.curve[0].click_iou == pytest.approx(before)
    assert done.card["metrics"][0]["iou"] == pytest.approx(after, abs=1e-4)
    assert found.info.family == "nuclick"
    assert done.best_step == 12


def test_a_stopped_training_goes_on_to_the_same_bytes(tmp_path):
    regions, replay = [example(0)], [example(1)]
    train(tmp_path / "whole", regions, replay=replay)
    cancel = CancelToken()
    work = train_click("click", regions, replay, tmp_path / "part", TINY, cancel)
    with pytest.raises(Cancelled):
        for step in work:
            if step.done == 2:
                cancel.cancel()
    assert not (tmp_path / "part").exists()
    with pytest.raises(ModelError, match="asked for otherwise"):
        train(tmp_path / "part", [example(2)], replay=replay, resume=True)
    steps, _ = train(tmp_path / "part", regions, replay=replay, resume=True)
    assert [s.done for s in steps if s.message == "Learning"] == [3, 4]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["part", "whole"]
    for name in (WEIGHTS, "card.json", "config.json"):
        assert (tmp_path / "part" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_what_learned_nothing_better_stays_the_parent(click, tmp_path):
    """Far too high a rate spoils the network; the best look was the one before the first step."""
    judge = [example(5, rings=ellipses(5)[:FEW])]
    how = replace(TINY, steps=6, judge_every=1, patience=2, rate=0.05)
    _, done = train(tmp_path / "m", [example(0)], how, validation=judge)
    assert done.best_step == 0
    assert done.curve[-1].step == 5, "it ends after two looks of the second half"
    parent = click._net.state_dict()
    kept = done.model._net.state_dict()
    assert all(torch.equal(parent[name], kept[name]) for name in parent)


def test_few_objects_do_not_end_a_training(tmp_path):
    """One object to judge by is right or wrong by luck."""
    judge = [example(rings=[square(40, 40, 12)])]
    how = replace(TINY, judge_every=1, patience=1, rate=0.3)
    _, done = train(tmp_path / "m", [example(0)], how, validation=judge)
    assert done.best_step == how.steps
    assert len(done.curve) == how.steps + 1


# -- judging -------------------------------------------------------------------------------------


def test_objects_count_that_the_region_owns_whole(click):
    rings = [square(20, 20, 12), square(58, 20, 12), square(20, 60, 12), square(100, 60, 12)]
    ignored = Contours.from_rings([square(15, 55, 30)])
    one = example(rings=rings, box=Box(0, 0, 66, 128), ignored=ignored)
    (score,) = evaluate_clicks(click, [one])
    # The third is ignored, the fourth lies outside; the second reaches out, and is whole.
    assert (score.tp, score.fp, score.fn) == (2, 0, 0)
    assert score.iou_sum == pytest.approx(2 * mean_iou([score]))
    cut = example(rings=[square(54, 20, 12)], box=Box(0, 0, 66, 128))
    assert [s.tp for s in evaluate_clicks(click, [cut])] == [0]


def test_a_region_is_judged_as_the_same_part_of_its_image(click):
    """Where the region lies does not matter: clicks and truth move along."""
    whole = example(3)
    (all_of_it,) = evaluate_clicks(click, [whole])
    half = replace(whole.labels, region=Box(64, 0, 64, 128))
    (part,) = evaluate_clicks(click, [whole._replace(labels=half)])
    assert 0 < part.tp < all_of_it.tp
    assert mean_iou([part]) > 0.5
    assert mean_iou([all_of_it]) > 0.5
