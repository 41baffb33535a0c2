"""A learning project to begin with."""

from __future__ import annotations

import pytest

from support.learning import (
    make_project,
    run_round,
)


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path)


@pytest.fixture
def done(project):
    """A project with one round that is decided."""
    run_round(project)
    return project
