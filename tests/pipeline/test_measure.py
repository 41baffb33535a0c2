"""`measure` as a whole: the tiles do not matter, and each kind of object gets its columns."""

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
    GeometryKind,
    ObjectState,
    ObjectTable,
    ObjectType,
    PixelSize,
)
from napari_histo.errors import Cancelled, ImageError, PixelSizeUnknownError
from napari_histo.ops.stain_vectors import H_DAB, HE
from napari_histo.pipeline.colours import NormalizedReader, normalizer_of, stains_of
from napari_histo.pipeline.measure import MeasureRequest, measure
from napari_histo.slides import ArrayReader
from support.lattice import finish

SIZE = PixelSize(0.5, 0.4)


def noise(channels=3, is_rgb=True, size=SIZE, seed=0):
    rng = np.random.default_rng(seed)
    dtype = np.uint8 if is_rgb else np.uint16
    pixels = rng.integers(0, 255, (220, 300, channels)).astype(dtype)
    return ArrayReader(pixels, name="noise", pixel_size=size, is_rgb=is_rgb)


def nuclei(n=60, seed=0, **columns):
    rng = np.random.default_rng(seed)
    places = rng.uniform((-3, -3), (303, 223), (n, 2))
    shapes = [
        shapely.Point(p).buffer(r, quad_segs=4)
        for p, r in zip(places, rng.uniform(3, 9, n), strict=True)
    ]
    return ObjectTable.build(Contours.from_shapely(shapes), **columns)


def run(reader, table, **request):
    return finish(measure(reader, table, MeasureRequest(**request)))[0]


def assert_same(one, other):
    assert list(one.measurements) == list(other.measurements)
    for name, values in one.measurements.items():
        np.testing.assert_array_equal(values, other.measurements[name], err_msg=name)
    for field in ("xy", "ring_offsets", "part_offsets", "object_offsets"):
        np.testing.assert_array_equal(
            getattr(one.contours, field), getattr(other.contours, field), err_msg=field
        )


@settings(max_examples=12)
@given(st.integers(9, 320), st.integers(0, 1000), st.sampled_from([None, 1.3, 4.0]))
def test_tiles_do_not_matter(tile_px, seed, expand_um):
    reader, table = noise(seed=seed), nuclei(seed=seed)
    whole, cut = (
        run(reader, table, expand_um=expand_um, tile_px=px).table for px in (1000, tile_px)
    )
    assert_same(whole, cut)


def test_cells_have_all_of_qupaths_columns():
    table = run(noise(), nuclei(), expand_um=3).table
    assert (table.object_type == ObjectType.CELL).all()
    names = list(table.measurements)
    assert names[:2] == ["Nucleus: Area µm^2", "Nucleus: Length µm"]
    for name in ("Cell: Area µm^2", "Nucleus/Cell area ratio", "Nearest neighbour distance µm"):
        assert name in names
    for stain in ("Hematoxylin", "Eosin"):
        for part in ("Nucleus", "Cytoplasm", "Membrane", "Cell"):
            assert f"{stain}: {part}: Median" in names
    cell, nucleus = (table.measurements[f"{p}: Area µm^2"] for p in ("Cell", "Nucleus"))
    assert np.median(cell / nucleus) > 1.5


def test_cells_keep_ids_classes_and_nuclei():
    before = nuclei(classes=ClassScheme.of("Tumor"), measurements={"mine": np.arange(60.0)})
    details = {
        before.uuid(3): Details(name="odd", geometry_extra={"isEllipse": True, "plane": {"z": 2}})
    }
    before = before.with_columns(details=details)
    after = run(noise(), before, expand_um=3, intensity=False).table
    np.testing.assert_array_equal(after.object_id, before.object_id)
    np.testing.assert_array_equal(after.nuclei.xy, before.contours.xy)
    np.testing.assert_array_equal(after.measurements["mine"], np.arange(60))
    assert after.details_of(3) == Details(name="odd", geometry_extra={"plane": {"z": 2}})
    again = run(noise(), after, expand_um=3, intensity=False).table
    np.testing.assert_array_equal(again.contours.xy, after.contours.xy)


def test_a_nucleus_by_hand():
    """A square of ones in a picture of zeros, grown into a cell that sees both."""
    pixels = np.zeros((60, 60, 2), np.uint16)
    pixels[20:30, 20:30, 1] = 7
    reader = ArrayReader(
        pixels, name="two", pixel_size=PixelSize.square(0.5), is_rgb=False,
        channel_names=("DAPI", "CD3"),
    )  # fmt: skip
    table = ObjectTable.build(Contours.from_shapely([shapely.box(20, 20, 30, 30)]))
    found = run(reader, table, expand_um=2).table.measurements
    assert found["Nucleus: Area µm^2"].tolist() == [25]
    assert found["CD3: Nucleus: Mean"].tolist() == [7]
    assert found["CD3: Cytoplasm: Max"].tolist() == [0]
    assert found["CD3: Membrane: Max"].tolist() == [0]
    assert found["DAPI: Cell: Max"].tolist() == [0]
    n_cell = 700 / found["CD3: Cell: Mean"][0]
    area = found["Cell: Area µm^2"][0] / 0.25
    assert n_cell == pytest.approx(area, rel=0.02)


@pytest.mark.parametrize(
    ("compartment", "area", "mean"),
    [
        ("Nucleus", "Nucleus: Area µm^2", "Hematoxylin: Nucleus: Mean"),
        ("Cell", "Cell: Area µm^2", "Hematoxylin: Cell: Mean"),
        ("", "Area µm^2", "Hematoxylin: Mean"),
    ],
)
def test_outlines_without_a_nucleus(compartment, area, mean):
    found = run(noise(), nuclei(), compartment=compartment).table.measurements
    assert next(iter(found)) == area
    assert mean in found
    assert not any("Membrane" in name for name in found)


def test_annotations_have_shapes_alone():
    types = np.where(np.arange(60) < 5, ObjectType.ANNOTATION, ObjectType.DETECTION)
    table = run(noise(), nuclei(object_type=types), expand_um=2).table
    found = table.measurements
    assert np.isfinite(found["Area µm^2"]).tolist() == [True] * 5 + [False] * 55
    assert np.isnan(found["Hematoxylin: Cell: Mean"][:5]).all()
    assert np.isnan(found["Nearest neighbour distance µm"][:5]).all()
    assert (table.object_type == np.where(types, types, ObjectType.CELL)).all()


def test_regions_give_parents_counts_and_distances():
    shapes = [shapely.box(0, 0, 150, 220), shapely.box(50, 50, 100, 100)]
    regions = ObjectTable.build(
        Contours.from_shapely(shapes),
        classes=ClassScheme.of("Tumor", "Necrosis"),
        class_id=[0, 1],
        object_type=ObjectType.ANNOTATION,
    )
    regions = regions.with_columns(details={regions.uuid(0): Details(name="left half")})
    table = nuclei()
    result = run(noise(), table, regions=regions, intensity=False)
    x, y = table.centroids.T
    inner = (x > 50) & (x < 100) & (y > 50) & (y < 100)
    left = (x > 0) & (x < 150) & (y > 0) & (y < 220)
    expected = np.where(inner, "Necrosis 2", np.where(left, "left half", "Image"))
    assert result.parents == expected.tolist()
    counts = {r["Region"]: r["Count"] for r in result.summary if r["Class"] == "All"}
    assert counts == {"Image": 60, "left half": left.sum(), "Necrosis 2": inner.sum()}
    signed = result.table.measurements["Signed distance to annotation Tumor µm"]
    assert (signed < 0).tolist() == left.tolist()


def test_without_a_pixel_size():
    reader = noise(size=None)
    found = run(reader, nuclei()).table.measurements
    assert "Nucleus: Area px^2" in found
    assert "Nearest neighbour distance px" in found
    with pytest.raises(PixelSizeUnknownError, match="--pixel-size"):
        run(reader, nuclei(), expand_um=5)
    assert (
        "Cell: Area µm^2" in run(reader, nuclei(), expand_um=5, pixel_size=SIZE).table.measurements
    )


def test_what_was_rejected_counts_nowhere():
    state = np.where(np.arange(60) % 3, ObjectState.ACCEPTED, ObjectState.REJECTED)
    table = nuclei(state=state, measurements={"mine": np.arange(60.0)})
    kept = state != ObjectState.REJECTED
    result, without = (run(noise(), t, expand_um=4) for t in (table, table.select(kept)))
    assert_same(result.table.select(kept), without.table)
    np.testing.assert_array_equal(result.table.object_id, table.object_id)
    np.testing.assert_array_equal(result.table.measurements["mine"], np.arange(60))
    assert np.isnan(result.table.measurements["Nucleus: Area µm^2"][~kept]).all()
    assert result.summary == without.summary
    assert [p == "" for p in result.parents] == (~kept).tolist()


def test_points_do_not_grow():
    shapes = [shapely.Point(50, 50), shapely.Point(80, 80).buffer(5)]
    table = run(noise(), ObjectTable.build(Contours.from_shapely(shapes)), expand_um=4).table
    assert table.object_type.tolist() == [ObjectType.DETECTION, ObjectType.CELL]
    assert table.contours.kind.tolist() == [GeometryKind.POINT, GeometryKind.POLYGON]


@pytest.mark.parametrize("expand_um", [None, 3.0])
def test_nothing_to_measure(expand_um):
    result = run(noise(), ObjectTable.empty(), expand_um=expand_um)
    assert len(result.table) == 0
    lost = ObjectTable.build(Contours.empty(2))
    assert len(run(noise(), lost, expand_um=expand_um).table) == 2


def test_cancel_stops_it():
    cancel = CancelToken()
    work = measure(noise(), nuclei(), MeasureRequest(expand_um=2, tile_px=32), cancel)
    next(work)
    cancel.cancel()
    with pytest.raises(Cancelled):
        finish(work)


def test_grey_images_and_channels_have_no_stains():
    plane = np.random.default_rng(0).integers(0, 255, (220, 300, 1)).astype(np.uint8)
    grey = ArrayReader(plane.repeat(3, axis=2), name="grey", pixel_size=SIZE, is_rgb=True)
    for reader, request in ((grey, {}), (noise(), {"channels": True})):
        names = run(reader, nuclei(), **request).table.measurements
        assert "Green: Nucleus: Mean" in names
        assert not any("Eosin" in name for name in names)
    assert "Eosin: Nucleus: Mean" in run(grey, nuclei(), stains=HE).table.measurements


def test_other_colours():
    rng = np.random.default_rng(0)
    pure = np.array([[1, 0], [0, 1], [0.5, 0.5]])[rng.integers(0, 3, (300, 300))]
    od = pure * rng.uniform(0.3, 0.9, (300, 300, 1)) @ H_DAB.matrix[:2]
    reader = ArrayReader(np.rint(255 * 10**-od).astype(np.uint8), name="brown", is_rgb=True)
    found = stains_of(reader, H_DAB)
    assert found.names == ("Hematoxylin", "DAB")
    np.testing.assert_allclose(found.matrix, H_DAB.matrix, atol=0.05)
    changed = NormalizedReader(reader, normalizer_of(reader, "macenko"))
    assert changed.info is reader.info
    whole = changed.read(reader.info.box)
    assert (whole != reader.read(reader.info.box)).any()
    with pytest.raises(ImageError, match="--reference"):
        normalizer_of(reader, "reinhard")
    with pytest.raises(ImageError, match="RGB"):
        stains_of(noise(2, is_rgb=False))
