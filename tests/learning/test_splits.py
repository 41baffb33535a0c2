"""A patient teaches or judges, never both."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_histo.errors import LearningError
from napari_histo.learning.project.splits import check_split, split_groups

groups_of = st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=30)


@given(groups_of, st.floats(0, 0.99), st.integers(0, 99))
def test_no_group_is_torn_and_someone_teaches(groups, share, seed):
    splits = split_groups(groups, share, seed)
    check_split([(str(i), g, s) for i, (g, s) in enumerate(zip(groups, splits, strict=True))])
    assert "train" in splits
    if share > 0 and len(set(groups)) > 1:
        assert "validation" in splits


@given(groups_of, st.integers(0, 99), st.randoms())
def test_neither_order_nor_time_matters(groups, seed, random):
    mixed = list(range(len(groups)))
    random.shuffle(mixed)
    first = split_groups(groups, 0.3, seed)
    again = split_groups([groups[i] for i in mixed], 0.3, seed)
    assert again == [first[i] for i in mixed]


def test_each_stratum_gives_its_share():
    groups = [f"patient {i}" for i in range(40)]
    strata = ["HE"] * 32 + ["IHC"] * 8
    splits = split_groups(groups, 0.25, 0, strata=strata)
    assert splits[:32].count("validation") == 8
    assert splits[32:].count("validation") == 2


def test_strata_of_one_patient_each_still_leave_one_to_judge():
    splits = split_groups(["a", "b", "c"], 0.3, 0, strata=["HE", "IHC", "IF"])
    assert splits.count("validation") == 1


def test_other_seeds_draw_others():
    groups = [str(i) for i in range(20)]
    assert len({tuple(split_groups(groups, 0.25, seed)) for seed in range(10)}) > 5


def test_what_is_settled_stays():
    known = {"a": "validation", "b": "train"}
    splits = split_groups(["a", "b", "c", "d"], 0.25, 0, known=known)
    assert splits == ["validation", "train", "train", "train"]


@pytest.mark.parametrize("share", [-0.1, 1, 2])
def test_shares_that_leave_nothing_are_refused(share):
    with pytest.raises(LearningError, match="0 to below 1"):
        split_groups(["a"], share, 0)


def test_a_torn_group_is_named():
    with pytest.raises(LearningError, match="'patient 7' is in both"):
        check_split([("one", "patient 7", "train"), ("two", "patient 7", "validation")])
