"""Count, areas and classes of a table."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histo.core import ClassScheme, Contours, ObjectTable, PixelSize
from napari_histo.session import Statistics


def squares(*sides, **columns):
    return ObjectTable.build(
        Contours.from_rings([[(0, 0), (s, 0), (s, s), (0, s)] for s in sides]), **columns
    )


@pytest.mark.parametrize(
    ("size", "median", "unit"),
    [
        pytest.param(None, 16.0, "px²", id="unknown"),
        pytest.param(PixelSize.square(0.5), 4.0, "µm²", id="square"),
        pytest.param(PixelSize(0.5, 1.0), 8.0, "µm²", id="not-square"),
    ],
)
def test_median_area_and_unit(size, median, unit):
    found = Statistics.of(squares(2, 4, 6), size)
    assert (found.count, found.median_area, found.unit) == (3, median, unit)


def test_histogram_counts_every_object_even_giants():
    found = Statistics.of(squares(*[4] * 999, 1000), None)
    assert found.counts.sum() == 1000
    assert found.edges[-1] < 1000


def test_empty_table():
    found = Statistics.of(ObjectTable.empty(), None)
    assert found.count == 0
    assert np.isnan(found.median_area)
    assert found.counts.sum() == 0


def test_classes_in_order_with_the_unclassified_last():
    table = squares(1, 2, 3, 4, class_id=[1, -1, 1, 0], classes=ClassScheme.of("Tumor", "Stroma"))
    found = Statistics.of(table, None)
    assert found.by_class == (("Tumor", 1), ("Stroma", 2), ("Unclassified", 1))
