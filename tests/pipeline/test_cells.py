"""Nuclei of one table and cells of another become cells with nuclei."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_histo.core import (
    CancelToken,
    ClassScheme,
    Contours,
    Details,
    ObjectState,
    ObjectTable,
    ObjectType,
    PixelSize,
    new_ids,
    result_of,
)
from napari_histo.core.cell_join import Alone, JoinRequest
from napari_histo.errors import Cancelled, PixelSizeUnknownError
from napari_histo.pipeline.cells import join_cells

SIZE = PixelSize.square(0.5)


def disc(x, y, radius=8.0):
    return shapely.Point(x, y).buffer(radius, quad_segs=8)


def table(*shapes, seed=1, name="Nucleus", source="he-nuclei", **columns):
    columns.setdefault("object_id", new_ids(len(shapes), np.random.default_rng(seed)))
    return ObjectTable.build(
        Contours.from_shapely(shapes), classes=ClassScheme.of(name), source=source, **columns
    )


NUCLEI = table(disc(50, 50), disc(150, 50), disc(400, 50), seed=1)
CELLS = table(
    disc(250, 50, 20), disc(152, 50, 20), disc(50, 50, 20), seed=2, name="Cell", source="cyto3"
)


def join(nuclei=NUCLEI, cells=CELLS, size=None, **request):
    return result_of(join_cells(nuclei, cells, JoinRequest(**request), pixel_size=size))


def test_pairs_keep_the_ids_of_their_nuclei():
    found = join()
    assert (found.n_pairs, found.n_nuclei_alone, found.n_cells_alone) == (2, 1, 1)
    assert found.table.uuids() == [*NUCLEI.uuids(), CELLS.uuid(0)]
    kinds = [ObjectType(k).name for k in found.table.object_type]
    assert kinds == ["CELL", "CELL", "DETECTION", "CELL"]
    assert found.table.class_names.tolist() == ["Cell", "Cell", "Nucleus", "Cell"]
    has_nucleus = np.diff(found.table.nuclei.object_offsets) > 0
    assert has_nucleus.tolist() == [True, True, False, False]
    assert found.table.sources[found.table.source_id[0]] == "he-nuclei + cyto3"
    inner, outer = found.table.nuclei.to_shapely(), found.table.to_shapely()
    assert outer[0].equals(CELLS.to_shapely()[2])
    assert inner[0].equals(NUCLEI.to_shapely()[0])


def test_what_is_alone_may_go():
    found = join(nuclei_alone=Alone.DROP, cells_alone=Alone.DROP)
    assert found.table.uuids() == NUCLEI.uuids()[:2]


def test_what_is_alone_may_grow_but_not_into_others():
    nuclei = table(disc(50, 50), disc(78, 50))
    cells = table(disc(50, 50, 18), seed=2, name="Cell")
    grown = join(nuclei, cells, SIZE, nuclei_alone=Alone.EXPAND, expand_um=5).table
    first, second = grown.to_shapely()
    assert grown.object_type.tolist() == [ObjectType.CELL] * 2
    assert first.intersection(second).area < 0.5
    assert second.covers(disc(78, 50).buffer(-0.05))
    assert second.bounds[2] == pytest.approx(96, abs=1)  # 8 px and 5 µm to the right of 78
    assert grown.nuclei.to_shapely()[1].equals(nuclei.to_shapely()[1])


def test_to_grow_takes_a_pixel_size():
    with pytest.raises(PixelSizeUnknownError, match="5 µm"):
        join(nuclei_alone=Alone.EXPAND)


def test_a_class_that_says_something_stays_and_so_does_a_persons_word():
    nuclei = table(disc(50, 50), disc(150, 50), name="Tumor", state=[ObjectState.EDITED, 0])
    cells = CELLS.with_columns(state=np.full(3, ObjectState.ACCEPTED, np.uint8))
    found = join(nuclei, cells).table
    assert found.class_names.tolist() == ["Tumor", "Tumor", "Cell"]
    assert found.state.tolist() == [ObjectState.EDITED, ObjectState.ACCEPTED, ObjectState.ACCEPTED]


def test_measurements_of_both_stand_beside_each_other():
    nuclei = NUCLEI.with_columns(measurements={"Nucleus: Area µm^2": np.array([1.0, 2, 3])})
    cells = CELLS.with_columns(measurements={"Cell: Area µm^2": np.array([10.0, 20, 30])})
    found = join(nuclei, cells).table.measurements
    np.testing.assert_array_equal(found["Nucleus: Area µm^2"], [1, 2, 3, np.nan])
    np.testing.assert_array_equal(found["Cell: Area µm^2"], [30, 20, np.nan, 10])


def test_annotations_pass_through_once_and_ids_stay_unique():
    kinds = [ObjectType.DETECTION, ObjectType.ANNOTATION]
    ids = new_ids(2, np.random.default_rng(5))
    nuclei = table(disc(50, 50), disc(60, 60, 200), object_type=kinds, object_id=ids)
    cells = table(disc(300, 50), disc(60, 60, 200), object_type=kinds, object_id=ids)
    found = join(nuclei, cells).table
    assert len(found) == 3
    assert len(set(found.uuids())) == 3
    assert found.uuids() == join(nuclei, cells).table.uuids()


def test_details_are_the_nuclei_s_but_for_the_outline():
    key, other = NUCLEI.uuid(0), CELLS.uuid(2)
    own = Details(name="mitosis", geometry_extra={"isEllipse": True, "plane": {"z": 1}})
    outline = Details(name="no", geometry_extra={"isEllipse": True})
    nuclei = NUCLEI.with_columns(details={key: own})
    cells = CELLS.with_columns(details={other: outline})
    assert join(nuclei, cells).table.details == {
        key: Details(name="mitosis", geometry_extra={"plane": {"z": 1}, "isEllipse": True})
    }


places = st.tuples(st.integers(0, 120), st.integers(0, 120), st.integers(3, 12))


@settings(max_examples=30, deadline=None)
@given(
    nuclei=st.lists(places, min_size=1, max_size=12),
    cells=st.lists(places, min_size=1, max_size=12),
    tile=st.sampled_from([20, 45, 500]),
)
def test_laws(nuclei, cells, tile):
    """Each nucleus once, within its cell; nothing depends on the tiles."""
    inner = table(*(disc(x, y, r) for x, y, r in nuclei), seed=3)
    outer = table(*(disc(x, y, 2 * r) for x, y, r in cells), seed=4, name="Cell")
    found = join(inner, outer, tile_px=tile).table
    whole = join(inner, outer, tile_px=1000).table
    assert found.uuids() == whole.uuids()
    assert np.array_equal(found.contours.xy, whole.contours.xy)
    assert set(inner.uuids()) <= set(found.uuids())
    assert len(set(found.uuids())) == len(found) <= len(inner) + len(outer)
    within = found.nuclei.to_shapely()
    for cell, nucleus in zip(found.to_shapely(), within, strict=True):
        assert nucleus.is_empty or nucleus.within(cell.buffer(0.03))


def test_it_can_be_cancelled():
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        result_of(join_cells(NUCLEI, CELLS, cancel=cancel))


@pytest.mark.parametrize("values", [{"least_share": 0.0}, {"cells_alone": Alone.EXPAND}])
def test_requests_that_mean_nothing(values):
    with pytest.raises(ValueError, match=r"least_share|Cells without"):
        JoinRequest(**values)
