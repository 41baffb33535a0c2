"""What models of each family are taught and judged by."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histo.core import Box, Contours, ObjectTable, ObjectType
from napari_histo.core.learning import LabelledRegion
from napari_histo.learning.rounds import families
from napari_histo.learning.training import Example
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
