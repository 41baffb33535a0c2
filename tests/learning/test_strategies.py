from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_histo.core import Box
from napari_histo.core.learning import Candidate, Pool
from napari_histo.errors import LearningError
from napari_histo.learning.rounds.alike import ALIKE
from napari_histo.learning.strategies import STRATEGIES, Alike, strategy
from napari_histo.learning.strategies.words import IN_WORDS

SIDE = 100


def unit(features: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(features, axis=-1, keepdims=True)
    return (features / np.maximum(length, 1e-9)).astype(np.float32)


def pool_of(features: np.ndarray, rng: np.random.Generator, **columns: object) -> Pool:
    n = len(features)
    features = unit(features)
    made: dict[str, object] = {
        "signals": {
            name: rng.random(n).astype(np.float32) for name in ("margin", "disagreement", "dropout")
        },
        "class_counts": rng.integers(0, 9, (n, 3)).astype(np.float32),
        "views": unit(features[:, None] + 0.3 * rng.normal(size=(n, 4, features.shape[1]))),
    }
    candidates = tuple(
        Candidate(f"image {i % 3}", Box(SIDE * (i // 3), 0, SIDE, SIDE)) for i in range(n)
    )
    return Pool(candidates, features, **{**made, **columns})  # type: ignore[arg-type]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.fixture
def clumps(rng: np.random.Generator) -> Pool:
    """Four kinds of regions, 40, 30, 20 and 10 of them, in this order."""
    centres = 4 * np.eye(4, 8)
    kinds = np.repeat(np.arange(4), [40, 30, 20, 10])
    return pool_of(centres[kinds] + 0.3 * rng.normal(size=(100, 8)), rng)


def kind(pool: Pool, candidate: Candidate) -> int:
    return int(np.argmax(pool.features[pool.candidates.index(candidate), :4]))


every = pytest.mark.parametrize("name", STRATEGIES)


@every
@given(n=st.integers(1, 40), wanted=st.integers(0, 12), seed=st.integers(0, 2**31))
def test_a_choice_is_of_the_pool_once_each_and_the_same_for_a_seed(
    name: str, n: int, wanted: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    pool = pool_of(rng.normal(size=(n, 6)), rng)
    chosen, again = (
        strategy(name).select(pool, wanted, np.random.default_rng(seed)) for _ in range(2)
    )
    assert chosen == again
    assert len(chosen) == min(wanted, n)
    assert len(set(chosen.candidates)) == len(chosen)
    assert set(chosen.candidates) <= set(pool.candidates)
    assert len(chosen.scores) == len(chosen.reasons) == len(chosen)
    assert all(chosen.reasons)


@every
def test_empty_and_annotated_regions_are_left_out(name: str, rng: np.random.Generator) -> None:
    pool = pool_of(rng.normal(size=(20, 6)), rng)
    tissue = np.ones(20, np.float32)
    tissue[:8] = 0
    pool = replace(
        pool,
        signals={**pool.signals, "tissue": tissue},
        seen=pool.features[8:12],
        seen_candidates=pool.candidates[8:12],
    )
    chosen = strategy(name).select(pool, 20, rng)
    assert set(chosen.candidates) == set(pool.candidates[12:])


@pytest.mark.parametrize("name", [n for n in STRATEGIES if n != "grid"])  # which takes all evenly
def test_overlapping_regions_are_not_chosen_together(name: str, rng: np.random.Generator) -> None:
    pool = pool_of(rng.normal(size=(12, 6)), rng)
    near = tuple(
        Candidate("one", Box(SIDE * (i // 2) + 20 * (i % 2), 0, SIDE, SIDE)) for i in range(12)
    )
    chosen = strategy(name).select(replace(pool, candidates=near), 3, rng).candidates
    common = [a.region.intersect(b.region).area for a in chosen for b in chosen if a is not b]
    assert max(common) <= 0.25 * SIDE**2


@pytest.mark.parametrize("name", ["typical", "contrast", "diverse", "auto"])
def test_the_first_regions_are_of_every_kind(
    name: str, clumps: Pool, rng: np.random.Generator
) -> None:
    chosen = strategy(name).select(clumps, 4, rng)
    assert {kind(clumps, c) for c in chosen.candidates} == {0, 1, 2, 3}


def test_a_typical_region_lies_in_the_middle_of_its_kind(
    clumps: Pool, rng: np.random.Generator
) -> None:
    first = strategy("typical").select(clumps, 4, rng).candidates[0]
    assert kind(clumps, first) == 0  # the largest kind comes first
    own = clumps.features[:40]
    away = np.linalg.norm(own - own.mean(axis=0), axis=1)
    assert away[clumps.candidates.index(first)] <= np.median(away)


@pytest.mark.parametrize("name", ["typical", "contrast", "diverse"])
def test_kinds_that_are_annotated_already_come_last(
    name: str, clumps: Pool, rng: np.random.Generator
) -> None:
    seen = replace(
        clumps,
        seen=clumps.features[[0, 40]],
        seen_candidates=(clumps.candidates[0], clumps.candidates[40]),
    )
    chosen = strategy(name).select(seen, 2, rng)
    assert {kind(clumps, c) for c in chosen.candidates} == {2, 3}


@pytest.mark.parametrize("signal", ["margin", "disagreement", "dropout"])
def test_the_most_doubtful_regions_come_first(signal: str, rng: np.random.Generator) -> None:
    name = "uncertain" if signal == "margin" else signal
    pool = pool_of(rng.normal(size=(30, 6)), rng)
    chosen = strategy(name).select(pool, 5, rng)
    assert list(chosen.scores) == sorted(chosen.scores, reverse=True)
    best = np.argsort(-pool.signals[signal])[:5]
    assert chosen.candidates == tuple(pool.candidates[i] for i in best)


def test_uncertain_and_diverse_avoids_what_is_sure_and_what_is_alike(clumps: Pool) -> None:
    doubt = np.where(np.arange(100) < 70, 0.9, 0.02).astype(np.float32)
    pool = replace(clumps, signals={"disagreement": doubt})
    kinds = [
        {
            kind(pool, c)
            for c in strategy("badge").select(pool, 2, np.random.default_rng(s)).candidates
        }
        for s in range(20)
    ]
    assert sum(k == {0, 1} for k in kinds) >= 18


def test_balance_brings_the_rare_class(rng: np.random.Generator) -> None:
    counts = np.tile([9.0, 0.0], (20, 1)).astype(np.float32)
    counts[[4, 11]] = [5, 5]
    pool = pool_of(rng.normal(size=(20, 6)), rng, class_counts=counts)
    chosen = strategy("balance").select(pool, 2, rng)
    assert set(chosen.candidates) == {pool.candidates[4], pool.candidates[11]}
    assert "5 of class 2" in chosen.reasons[0]


def test_more_like_this_one(clumps: Pool, rng: np.random.Generator) -> None:
    chosen = Alike(clumps.features[95:96]).select(clumps, 5, rng)
    assert {kind(clumps, c) for c in chosen.candidates} == {3}


def test_regions_that_look_the_same_are_chosen_last(rng: np.random.Generator) -> None:
    features = np.concatenate([np.tile([[1.0, 0, 0, 0]], (5, 1)), np.eye(4)[1:]])
    margin = np.linspace(1, 0.1, 8).astype(np.float32)
    pool = pool_of(features, rng, signals={"margin": margin})
    chosen = strategy("uncertain").select(pool, 4, rng)
    assert chosen.candidates == tuple(pool.candidates[i] for i in (0, 5, 6, 7))


def test_an_unsure_model_is_not_asked_before_anything_is_annotated(
    clumps: Pool, rng: np.random.Generator
) -> None:
    first = strategy("auto").select(clumps, 4, np.random.default_rng(0))
    assert first == strategy("typical").select(clumps, 4, np.random.default_rng(0))
    later = replace(clumps, seen=clumps.features[:1], seen_candidates=clumps.candidates[:1])
    second = strategy("auto").select(later, 4, np.random.default_rng(0))
    assert second == strategy("badge").select(later, 4, np.random.default_rng(0))


@pytest.mark.parametrize("name", [n for n in STRATEGIES if n not in ("random", "grid", "auto")])
def test_what_a_strategy_lacks_is_named(name: str, rng: np.random.Generator) -> None:
    bare = Pool(
        tuple(Candidate("a", Box(SIDE * i, 0, SIDE, SIDE)) for i in range(4)),
        np.zeros((4, 0), np.float32),
    )
    needs = strategy(name).needs
    assert needs
    with pytest.raises(LearningError, match="score the regions"):
        strategy(name).select(bare, 2, rng)


def test_an_unknown_strategy_is_answered_with_the_known_ones() -> None:
    with pytest.raises(LearningError, match="typical, contrast"):
        strategy("best")


def test_columns_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="other lengths"):
        Pool((Candidate("a", Box(0, 0, 1, 1)),), np.zeros((2, 3), np.float32))


def test_every_strategy_is_told_in_plain_words_in_the_same_order():
    assert [name for name in IN_WORDS if name != ALIKE] == list(STRATEGIES)  # made by pointing
    titles = [title for title, _ in IN_WORDS.values()]
    assert len(set(titles)) == len(titles)
    assert all(text.endswith(".") and len(text) < 110 for _, text in IN_WORDS.values())
