"""A tissue mask answers for boxes and points, and becomes outlines and back."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_histo.core import Box, Contours, SlideInfo
from napari_histo.ops.tissue import MAX_CELLS, TissueMask, raster_shape


def info_of(width, height):
    return SlideInfo("s", "", ((height, width),), (1.0,), np.dtype(np.uint8), ("R", "G", "B"), True)


MASKS = arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))
L_SHAPE = TissueMask(np.array([[1, 0, 0], [1, 1, 0]], bool), (10.0, 20.0))


@pytest.mark.parametrize(
    ("box", "hit"),
    [
        pytest.param(Box(0, 0, 1, 1), True, id="inside"),
        pytest.param(Box(10, 0, 20, 20), False, id="beside"),
        pytest.param(Box(9, 0, 20, 20), True, id="one-pixel-over"),
        pytest.param(Box(10, 0, 20, 21), True, id="one-pixel-down"),
        pytest.param(Box(20, 0, 50, 90), False, id="reaches-beyond-the-image"),
        pytest.param(Box(-50, -50, 51, 51), True, id="from-beyond-the-image"),
        pytest.param(Box(-50, -50, 50, 50), False, id="before-the-image"),
        pytest.param(Box(300, 300, 9, 9), False, id="behind-the-image"),
        pytest.param(Box(5, 5, 0, 0), False, id="empty"),
    ],
)
def test_a_box_touches_tissue(box, hit):
    assert L_SHAPE.touches(box) is hit


def test_points_lie_in_tissue_half_open():
    points = [(0, 0), (9.99, 39.99), (10, 0), (10, 20), (20, 20), (-0.01, 5), (5, 40), (np.nan, 1)]
    assert L_SHAPE.contains(points).tolist() == [True, True, False, True, *[False] * 4]
    assert L_SHAPE.contains(np.zeros((0, 2))).shape == (0,)


def test_area_and_share():
    assert L_SHAPE.area_px == 600
    assert L_SHAPE.share == 0.5
    whole = TissueMask.everything(info_of(70, 30))
    assert (whole.area_px, whole.share) == (2100, 1.0)
    assert whole.touches(Box(69, 29, 1, 1))


@given(MASKS, st.integers(1, 9), st.integers(1, 9))
def test_outlines_and_back_give_the_same_cells(cells, across, down):
    mask = TissueMask(cells, (float(across), float(down)))
    rows, columns = cells.shape
    outlines = mask.to_contours()
    fine = TissueMask.from_contours(outlines, info_of(columns * across, rows * down), cell_px=1)
    assert (fine.cells == cells.repeat(down, 0).repeat(across, 1)).all()
    assert outlines.areas_px.sum() == pytest.approx(mask.area_px)


def test_one_row_a_piece_with_its_holes():
    cells = np.zeros((9, 20), bool)
    cells[1:8, 1:8] = True
    cells[3:6, 3:6] = False
    cells[2:4, 12:15] = True
    outlines = TissueMask(cells, (4.0, 4.0)).to_contours()
    assert sorted(len(outlines.parts(i)[0]) for i in range(len(outlines))) == [1, 2]


def test_simplified_outlines_are_valid_and_near():
    y, x = np.mgrid[:80, :80]
    mask = TissueMask((np.hypot(x - 40, y - 40) < 30) & (np.hypot(x - 35, y - 40) > 9), (8.0, 8.0))
    exact, simple = mask.to_contours(), mask.to_contours(tolerance_px=6.4)
    assert len(simple.xy) < len(exact.xy) / 2
    assert shapely.is_valid(simple.to_shapely()).all()
    assert simple.areas_px.sum() == pytest.approx(mask.area_px, rel=0.02)


def test_outlines_that_overlap_cross_or_are_lines():
    shapes = [
        shapely.box(0, 0, 60, 60),
        shapely.box(30, 30, 90, 90),
        shapely.LineString([(0, 95), (99, 95)]),
    ]
    mask = TissueMask.from_contours(Contours.from_shapely(shapes), info_of(100, 100), cell_px=10)
    assert np.count_nonzero(mask.cells) == 36 + 36 - 9
    bow = Contours.from_rings([[(0, 0), (100, 100), (100, 0), (0, 100)]])
    assert TissueMask.from_contours(bow, info_of(100, 100)).share == pytest.approx(0.5, abs=0.02)


def test_a_drawn_mask_of_a_large_slide_stays_small():
    info = info_of(200_000, 120_000)
    mask = TissueMask.from_contours(Contours.from_shapely([shapely.box(0, 0, 1e5, 6e4)]), info)
    assert max(mask.cells.shape) <= 4097
    assert mask.share == pytest.approx(0.25, abs=1e-3)
    rows, columns = raster_shape(info, 1.0)
    assert rows * columns <= 1.01 * MAX_CELLS


@pytest.mark.parametrize(
    ("cells", "cell_px"),
    [
        pytest.param(np.zeros((0, 3), bool), (1, 1), id="no-cells"),
        pytest.param(np.zeros((2, 3), np.uint8), (1, 1), id="numbers"),
        pytest.param(np.zeros((2, 3, 3), bool), (1, 1), id="colours"),
        pytest.param(np.zeros((2, 3), bool), (1, 0), id="flat-cells"),
        pytest.param(np.zeros((2, 3), bool), (np.nan, 1), id="nan"),
    ],
)
def test_nonsense_is_refused(cells, cell_px):
    with pytest.raises(ValueError, match=r"must be|wanted is"):
        TissueMask(cells, cell_px)
