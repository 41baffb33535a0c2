"""What models of each family are taught and judged by."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from napari_histo.core import (
    Box,
    CancelToken,
    ClassScheme,
    Contours,
    ModelInfo,
    ObjectTable,
    ObjectType,
)
from napari_histo.core.learning import LabelledRegion
from napari_histo.learning.cellpose.preflight import preflight as cellpose_ahead
from napari_histo.learning.click.preflight import preflight as click_ahead
from napari_histo.learning.course.family import Family
from napari_histo.learning.rounds import families
from napari_histo.learning.rounds.tools import TrainJob
from napari_histo.learning.stardist.preflight import preflight as stardist_ahead
from napari_histo.learning.tissue.preflight import preflight as regions_ahead
from napari_histo.learning.training import Example
from napari_histo.models import registry
from napari_histo.models.cellpose.net import CellposeNet, CellposeShape, save_cellpose_net
from napari_histo.models.region.segmenter import (
    NetShape,
    TorchRegionSegmenter,
    save_region_model,
)
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
    (seen,) = families.family_of(family).outlined([example])
    assert seen.labels.objects.areas_px == pytest.approx(np.square(sides))
    assert example.labels.objects.areas_px == pytest.approx(np.square(CELLS))
    assert (seen.labels.objects.object_id == example.labels.objects.object_id).all()


def test_another_family_is_one_entry_of_the_table(example, monkeypatch):
    """Its name decides how it is loaded, judged, and whether patches can be composed for it."""
    seen = []

    def judge(model, examples, cancel):
        seen.extend(examples)
        return ["judged"]

    own = Family(("hovernet",), lambda *words: words, None, judge, composes=True, by_nuclei=False)
    monkeypatch.setitem(families.FAMILIES, "hovernet", own)
    info = ModelInfo("h", "hovernet", 0.5)
    monkeypatch.setattr(registry, "get_info", lambda name: info)
    assert families.load_any("h", "cpu") == ("h", "cpu")
    assert families.composes("h")
    model = SimpleNamespace(info=info)
    assert families.evaluate_regions(model, [example], CancelToken()) == ["judged"]
    assert seen == [example]


def test_models_of_other_families_are_taken_for_those_that_find_objects():
    assert families.family_of("classical") is families.family_of("stardist")
    assert families.family_of("instanseg") is families.family_of("stardist")


@pytest.fixture
def job(example, tmp_path):
    def make(parent, **settings):
        if parent == "cellpose":
            parent = str(tmp_path / "net")
            save_cellpose_net(tmp_path / "net", CellposeNet(CellposeShape((2, 8, 16))))
        if parent == "regions":
            parent, shape = str(tmp_path / "tissues"), NetShape(3, 2, width=8)
            info = ModelInfo("t", "regions", 4.0, classes=ClassScheme.of("Tumor"))
            save_region_model(parent, TorchRegionSegmenter(shape.build(), shape, info))
        return TrainJob(parent, [example], [], tmp_path / "model", "m", 0, settings, {})

    return make


@pytest.mark.parametrize(
    ("parent", "ahead"),
    [
        ("he-nuclei-fast", stardist_ahead),
        ("classical", stardist_ahead),
        ("click", click_ahead),
        ("cellpose", cellpose_ahead),
        ("regions", regions_ahead),
    ],
)
def test_each_family_says_what_its_own_training_takes(job, parent, ahead):
    plan = families._plan(job(parent), "cpu")
    assert plan.preflight is ahead
    assert plan.trainer.params is ahead.params
    assert plan.from_scratch == (parent == "classical")
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
