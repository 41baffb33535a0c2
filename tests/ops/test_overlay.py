"""Outlines in a picture lie on the edges of what they surround."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histo.core import Box, ClassScheme, Contours, ObjectTable
from napari_histo.ops.overlay import draw_outlines

SQUARE = np.array([[10, 10], [20, 10], [20, 20], [10, 20]], np.float32)
BAND = {9, 10, 19, 20}


def table_of(*rings, names=("Tumor",)):
    contours = Contours.from_rings(list(rings))
    ids = np.arange(len(rings), dtype=np.int16) % len(names)
    return ObjectTable.build(contours, class_id=ids, classes=ClassScheme.of(*names))


@pytest.mark.parametrize("ring", [SQUARE, SQUARE[::-1]], ids=["one-way", "other-way"])
def test_the_line_straddles_the_edge(ring):
    drawn = draw_outlines(np.zeros((40, 40, 3), np.uint8), Box(0, 0, 40, 40), table_of(ring))
    on = drawn.any(axis=2)
    assert set(np.flatnonzero(on[15]).tolist()) == BAND
    assert set(np.flatnonzero(on[:, 15]).tolist()) == BAND


def test_the_box_moves_the_lines_and_the_picture_stays():
    picture = np.full((30, 40, 3), 7, np.uint8)
    drawn = draw_outlines(picture, Box(5, 3, 40, 30), table_of(SQUARE))
    on = (drawn != 7).any(axis=2)
    assert set(np.flatnonzero(on[15 - 3]).tolist()) == {x - 5 for x in BAND}
    assert set(np.flatnonzero(on[:, 15 - 5]).tolist()) == {y - 3 for y in BAND}
    assert (picture == 7).all()


def test_classes_have_their_colours():
    table = table_of(SQUARE, SQUARE + 20, names=("Tumor", "Stroma"))
    drawn = draw_outlines(np.zeros((50, 50, 3), np.uint8), Box(0, 0, 50, 50), table)
    assert tuple(drawn[15, 10]) == table.classes[0].rgb
    assert tuple(drawn[35, 30]) == table.classes[1].rgb
