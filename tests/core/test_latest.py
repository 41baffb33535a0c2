"""What was asked for last is at hand, within its bytes."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histo.core.latest import Latest


@pytest.fixture
def made():
    return []


@pytest.fixture
def ask(made):
    """Ask for an item of 100 bytes by its number."""

    def ask(latest: Latest, number: int) -> np.ndarray:
        def make() -> np.ndarray:
            made.append(number)
            return np.full(100, number, np.uint8)

        return latest.get(number, make)

    return ask


def test_those_asked_for_last_are_kept(ask, made):
    latest = Latest(250)
    for number in (1, 2, 1, 3, 1, 2):  # 3 drives out 2, which nobody asked for since
        assert ask(latest, number)[0] == number
    assert made == [1, 2, 3, 2]
    assert latest.nbytes == 200


def test_one_is_kept_however_large(ask, made):
    latest = Latest(50)
    assert ask(latest, 1) is ask(latest, 1)
    assert latest.nbytes == 100
    ask(latest, 2)
    assert latest.nbytes == 100
    assert made == [1, 2]


def test_a_new_limit_holds_from_the_next_item_on(ask):
    latest = Latest(1000)
    for number in range(5):
        ask(latest, number)
    assert latest.nbytes == 500
    latest.limit_bytes = 250
    ask(latest, 5)
    assert latest.nbytes == 200


def test_made_by_two_at_once_it_counts_once(ask):
    latest = Latest(1000)

    def make() -> np.ndarray:
        return ask(latest, 1)  # as if another thread were faster

    latest.get(1, make)
    assert latest.nbytes == 100


def test_what_is_forgotten_is_made_again(ask, made):
    latest = Latest(1000)
    ask(latest, 1)
    latest.clear()
    assert latest.nbytes == 0
    ask(latest, 1)
    assert made == [1, 1]
