"""Statistics of pixels, against each object's mask by itself."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from napari_histo.core import Box, Contours
from napari_histo.ops.measure_pixels import (
    COMPARTMENTS,
    PixelSets,
    compartments_of,
    pixel_names,
    statistics,
)

BOX = Box(10, 20, 60, 40)


def mask_of(shape, box=BOX):
    """(h, w) pixels whose centres a shape holds, one by one."""
    y, x = np.mgrid[: box.height, : box.width]
    return shapely.contains_xy(shape, x + box.x + 0.5, y + box.y + 0.5)


def masks(sets, n):
    out = np.zeros((n, sets.box.area), bool)
    out[sets.owner, sets.pixel] = True
    return out.reshape(n, *sets.box.shape)


def by_numpy(values):
    if not len(values):
        return [np.nan] * 5
    deviation = values.std(ddof=1) if len(values) > 1 else 0
    return [values.mean(), np.median(values), values.min(), values.max(), deviation]


off_lattice = st.integers(0, 2400).map(lambda v: v / 40 + 0.013)
discs = st.builds(
    lambda x, y, r: shapely.Point(x + 10, y + 20).buffer(r, quad_segs=4),
    off_lattice,
    off_lattice,
    st.integers(1, 12),
)


@given(st.lists(discs, min_size=1, max_size=8), st.integers(0, 1000), st.booleans())
def test_as_each_object_alone(shapes, seed, integers):
    """Objects may overlap and reach beyond the box; each has all of its pixels."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 1000, (*BOX.shape, 2)).astype(np.uint16)
    if not integers:
        values = (rng.normal(0, 1, values.shape)).astype(np.float32)
    sets = PixelSets.of(Contours.from_shapely(shapes), BOX)
    found = statistics(values, sets, len(shapes))
    # As float32, as they are stored.
    contours = Contours.from_shapely(shapes).to_shapely()
    for i, shape in enumerate(contours):
        for channel in range(2):
            own = values[mask_of(shape), channel].astype(np.float64)
            np.testing.assert_allclose(found[channel, :, i], by_numpy(own), rtol=1e-9, atol=1e-9)


def test_holes_and_parts():
    ring = shapely.box(20, 30, 30, 40) - shapely.box(23, 33, 27, 37)
    two = shapely.MultiPolygon([shapely.box(40, 50, 44, 54), shapely.box(41, 30, 43, 32)])
    sets = PixelSets.of(Contours.from_shapely([ring, two]), BOX)
    assert np.bincount(sets.owner).tolist() == [100 - 16, 16 + 4]
    np.testing.assert_array_equal(masks(sets, 2), [mask_of(ring), mask_of(two)])


def test_parts_that_overlap_count_once():
    two = shapely.MultiPolygon([shapely.box(40, 40, 44, 44), shapely.box(42, 42, 46, 46)])
    sets = PixelSets.of(Contours.from_shapely([two]), BOX)
    assert len(sets.pixel) == 16 + 16 - 4


def test_compartments():
    shapes = [shapely.Point(30, 40).buffer(9), shapely.Point(11, 45).buffer(12)]
    nuclei, cells = (
        PixelSets.of(Contours.from_shapely([s.buffer(d) for s in shapes]), BOX) for d in (-4, 0)
    )
    found = {name: masks(s, 2) for name, s in compartments_of(nuclei, cells).items()}
    assert tuple(found) == COMPARTMENTS
    cell, nucleus = found["Cell"], found["Nucleus"]
    np.testing.assert_array_equal(found["Cytoplasm"], cell & ~nucleus)
    # Beyond the box is not outside: the second cell is cut off at the left.
    eroded = [ndimage.binary_erosion(c, border_value=1) for c in cell]
    np.testing.assert_array_equal(found["Membrane"], cell & ~np.stack(eroded))


def test_no_objects_and_no_pixels():
    values = np.ones((*BOX.shape, 3))
    assert statistics(values, PixelSets.of(Contours.empty(), BOX), 0).shape == (3, 5, 0)
    lost = PixelSets.of(Contours.from_shapely([shapely.box(0, 0, 5, 5)]), BOX)
    assert np.isnan(statistics(values, lost, 1)).all()


@pytest.mark.parametrize(
    ("compartment", "name"),
    [("Nucleus", "Hematoxylin: Nucleus: Mean"), ("", "Hematoxylin: Mean")],
)
def test_names_are_qupaths(compartment, name):
    names = pixel_names("Hematoxylin", compartment)
    assert names[0] == name
    assert names[-1].endswith("Std.Dev.")
