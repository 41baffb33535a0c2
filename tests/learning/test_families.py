"""What models of each family are taught and judged by."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_histo.core import Box, CancelToken, Contours, ObjectTable, ObjectType
from napari_histo.core.learning import LabelledRegion
from napari_histo.learning.cellpose.preflight import preflight as cellpose_ahead
from napari_histo.learning.click.preflight import preflight as click_ahead
from napari_histo.learning.rounds import families
from napari_histo.learning.rounds.tools import TrainJob
from napari_histo.learning.stardist.preflight import preflight as stardist_ahead
from napari_histo.learning.training import Example
from napari_histo.models.cellpose.net import CellposeNet, CellposeShape, save_cellpose_net
from napari_histo.slides import ArrayReader

CELLS, NUCLEI = (20.0, 18.0, 16.0), (8.0, 0.0, 6.0)


def squares(sides):
    """Side by side; of side 0, none."""
    rings = [[(0, 0), (s, 0), (s, s), (0, s)] for s in sides]
    found = Contours.from_star(np.array(rings, np.float32) + np.arange(3)[:, None, None] * (25, 0))
    empty = Contours.empty(len(sides))
    rows = np.arange(len(sides))
    return Contours.concat([found, empty]).take(np.where(np.array(sides) > 0, rows, rows + 3))


@pytest.fixture
def example():
    table = ObjectTable.build(
        squares(CELLS), nuclei=squares(NUCLEI), object_type=np.full(3, ObjectType.CELL)
    )
    region = LabelledRegion("a", Box(0, 0, 80, 30), table, Contours.empty())
    return Example(ArrayReader(np.zeros((30, 80, 3), np.uint8)), region)


@pytest.mark.parametrize(
    ("family", "sides"),
    [
        pytest.param("stardist", (8, 18, 6), id="nuclei, and the cell without one"),
        pytest.param("nuclick", (8, 18, 6), id="clicks"),
        pytest.param("cellpose", CELLS, id="cells"),
    ],
)
def test_cells_teach_a_model_of_nuclei_their_nuclei(example, family, sides):
    (seen,) = families._outlined_for(family, [example])
    assert seen.labels.objects.areas_px == pytest.approx(np.square(sides))
    assert example.labels.objects.areas_px == pytest.approx(np.square(CELLS))
    assert (seen.labels.objects.object_id == example.labels.objects.object_id).all()


@pytest.fixture
def job(example, tmp_path):
    def make(parent, **settings):
        if parent == "cellpose":
            parent = str(tmp_path / "net")
            save_cellpose_net(tmp_path / "net", CellposeNet(CellposeShape((2, 8, 16))))
        return TrainJob(parent, [example], [], tmp_path / "model", "m", 0, settings, {})

    return make


@pytest.mark.parametrize(
    ("parent", "ahead"),
    [
        ("he-nuclei-fast", stardist_ahead),
        ("classical", stardist_ahead),
        ("click", click_ahead),
        ("cellpose", cellpose_ahead),
    ],
)
def test_each_family_says_what_its_own_training_takes(job, parent, ahead):
    plan = families._plan(job(parent), "cpu")
    assert plan.preflight is ahead
    assert isinstance(plan.params, ahead.params)


def test_a_training_of_few_steps_is_not_measured_before(job, monkeypatch):
    asked, plan_of = [], families._plan

    def measure(parent, regions, replay, params, cancel):
        asked.append((parent, [len(e.labels.objects) for e in regions], params.steps))

    def plan(*words):
        return replace(plan_of(*words), preflight=measure)

    monkeypatch.setattr(families, "_plan", plan)
    for steps in (39, 40):
        families.ahead_of_job(job("click", steps=steps), "cpu", CancelToken())
    assert asked == [("click", [3], 40)]
