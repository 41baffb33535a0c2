"""A learning project to begin with."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from types import SimpleNamespace

import pytest

from support.learning import (
    make_project,
    run_round,
)


@pytest.fixture
def preflight_clock(monkeypatch):
    """Gives preflights a clock; what they measure is then the same on every machine.

    Without a function, a second passes from one look at it to the next.
    """

    def set_clock(now: Callable[[], float] | None = None) -> None:
        clock = SimpleNamespace(monotonic=now or count().__next__)
        monkeypatch.setattr("napari_histo.learning.course.preflight.time", clock)

    return set_clock


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path)


@pytest.fixture
def done(project):
    """A project with one round that is decided."""
    run_round(project)
    return project
