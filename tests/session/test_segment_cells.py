"""The Segment panel's nuclei become cells: grown, or matched to a second model's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_histo.core import Box, ClassScheme, ModelInfo, ObjectType, Thresholds
from napari_histo.session import CellsBy, CellsChoice, Phase, Region

WHOLE = Region.of_box(Box(0, 0, 100, 60))
#: Half as bright dots will do: it finds one more than the first model.
BLOTS = ModelInfo(
    "blots", "fake", channels="gray", classes=ClassScheme.of("Cell"), thresholds=Thresholds(0.35)
)


def run(bench, choice):
    bench.controller.choose_image(choice)
    bench.controller.run(WHOLE)
    bench.wait(lambda: bench.state.phase is Phase.IDLE)
    return bench.state.result


@pytest.fixture
def two(bench):
    """A bench whose second model is the first one under another card."""
    names = []

    def load(name, device):
        names.append(name)
        first = made.model
        return replace(first, info=BLOTS) if name == "blots" else first

    made = bench(load_model=load)
    made.names = names
    return made


def test_nuclei_grow_and_follow_the_threshold(bench, choice):
    b = bench()
    b.controller.choose_cells(CellsChoice(CellsBy.GROW, 1.5))
    first = run(b, choice(um=0.5))
    assert first.table.object_type.tolist() == [ObjectType.CELL] * 2
    assert first.table.nuclei.areas_px == pytest.approx([16, 16])
    assert (first.table.areas_px > 60).all()
    b.controller.set_thresholds(Thresholds(0.35, 0.4))
    b.wait(lambda: b.state.result is not first)
    assert b.state.result.table.object_type.tolist() == [ObjectType.CELL] * 3
    assert set(first.table.uuids()) < set(b.state.result.table.uuids())
    assert b.model.calls == 1


def test_a_second_model_finds_the_cells(two, choice):
    two.controller.choose_cells(CellsChoice(CellsBy.MODEL, model=BLOTS))
    found = run(two, choice()).table
    assert two.names == ["dots", "blots"]
    assert found.object_type.tolist() == [ObjectType.CELL] * 3
    assert (np.diff(found.nuclei.object_offsets) > 0).tolist() == [True, True, False]
    again = run(two, choice())
    assert two.names == ["dots", "blots"]  # both stay loaded
    assert len(again.table) == 3


def test_the_second_model_sees_its_own_channel(two, choice):
    two.controller.choose_cells(CellsChoice(CellsBy.MODEL, model=BLOTS, channel=1))
    dark = np.zeros((60, 100), np.uint8)
    both = replace(choice(), cells_reader=choice(pixels=dark).reader)
    found = run(two, both).table
    assert found.object_type.tolist() == [ObjectType.DETECTION] * 2


BLOCKED = {
    "no pixel size": (CellsChoice(CellsBy.GROW), "pixel size"),
    "no model": (CellsChoice(CellsBy.MODEL), "Choose the model"),
}


@pytest.mark.parametrize(("cells", "says"), BLOCKED.values(), ids=BLOCKED)
def test_what_is_missing_is_told(bench, choice, cells, says):
    b = bench()
    b.controller.choose_image(choice())
    b.controller.choose_cells(cells)
    assert says in b.state.blocker


def test_whole_slides_take_a_second_model_at_the_command_line():
    cells = CellsChoice(CellsBy.MODEL, model=BLOTS)
    assert "command line" in cells.blocker(None, is_slide_run=True)
    assert cells.blocker(None, is_slide_run=False) == ""
