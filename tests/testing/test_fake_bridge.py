"""The bridge in memory obeys the law that all bridges obey; the law itself can be broken."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histo.core import ObjectTable
from napari_histo.testing.fake_bridge import FakeBridge
from napari_histo.testing.project_bridge import CASES, ProjectBridgeConformance


def empty_project():
    return FakeBridge({"one": ObjectTable.empty(), "two": ObjectTable.empty()})


class TestFakeBridge(ProjectBridgeConformance):
    @pytest.fixture
    def bridge(self):
        return empty_project()


def shifted(table):
    return table.transform(1.0, (0.05, 0.0))


def without_details(table):
    return table.with_columns(details={})


def unnamed(table):
    return table.with_columns(class_id=np.full(len(table), -1, np.int32))


@pytest.mark.parametrize(
    ("fault", "case"),
    [(shifted, "polygon"), (without_details, "nested"), (unnamed, "derived class and own colour")],
    ids=["coordinates move", "parents are lost", "classes are lost"],
)
def test_a_faulty_bridge_fails(monkeypatch, fault, case):
    """A suite that cannot fail holds nothing."""
    bridge, suite = empty_project(), ProjectBridgeConformance()
    suite.test_reads_back_what_was_written(bridge, bridge.images()[0], case)
    bridge = empty_project()
    plain = FakeBridge.read_objects
    monkeypatch.setattr(FakeBridge, "read_objects", lambda self, e: fault(plain(self, e)))
    with pytest.raises(AssertionError):
        suite.test_reads_back_what_was_written(bridge, bridge.images()[0], case)


def test_every_case_is_of_its_own_objects():
    ids = [key for make in CASES.values() for key in make().uuids()]
    assert len(set(ids)) == len(ids)
