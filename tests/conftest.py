"""Fixtures that tests of all rooms share."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no bug. Where a change is judged, it is judged by the same examples each time;
# by hand there are new ones in each run.
settings.register_profile(
    "ours",
    deadline=None,
    max_examples=30,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ours")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first; what a file's tests share, a Java process or a network, is made once.

    With ``--dist loadgroup`` a file's fast tests go to one worker, and so do its slow ones.
    """
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)
    for item in items:
        slow = "slow " if item.get_closest_marker("slow") else ""
        item.add_marker(pytest.mark.xdist_group(f"{slow}{item.nodeid.partition('::')[0]}"))


def pytest_collection_finish() -> None:
    """What is loaded by now stays: the collector, which napari calls often, need not look at it."""
    gc.collect()
    gc.freeze()


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


@pytest.fixture(scope="session", autouse=True)
def java_that_starts_soon() -> Iterator[None]:
    """Java's second compiler pays after a minute; the processes of tests live for seconds."""
    with pytest.MonkeyPatch.context() as patch:
        if "JAVA_TOOL_OPTIONS" not in os.environ:
            patch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")
        yield
