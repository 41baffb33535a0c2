"""Fixtures that tests of all rooms share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no bug.
settings.register_profile("no deadline", deadline=None, max_examples=30)
settings.load_profile("no deadline")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the real data: ``NAPARI_HISTO_DATA``, else ``../shared/data`` beside the repo."""
    beside = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    folder = Path(os.environ.get("NAPARI_HISTO_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set NAPARI_HISTO_DATA to their folder")
    return folder


@pytest.fixture(scope="session", autouse=True)
def no_models_of_this_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Models that somebody added here are no part of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_HISTO_MODELS", str(tmp_path_factory.mktemp("models")))
        patch.delenv("NAPARI_HISTO_SHARED_MODELS", raising=False)
        yield
