"""Features of objects: from tables, from neighbours, from a network, by a recipe."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_histo.core import Contours, ObjectState, ObjectTable, ObjectType, PixelSize, result_of
from napari_histo.errors import LearningError, PixelSizeUnknownError
from napari_histo.learning.cells import network
from napari_histo.learning.cells.context import smoothed
from napari_histo.learning.cells.features import ObjectFeatures, is_object
from napari_histo.learning.cells.network import network_features
from napari_histo.learning.cells.recipe import FeatureRecipe, check_pixel_size, make_features
from napari_histo.slides import ArrayReader
from support.lattice import LatticeSegmenter


def squares(n=4, **columns):
    """`n` squares of 6 px in a row, 20 px apart."""
    corners = np.array([(-3, -3), (3, -3), (3, 3), (-3, 3)])
    middles = np.stack([np.arange(n) * 20 + 15, np.full(n, 15)], axis=1)
    xy = (middles[:, None] + corners).astype(np.float32)
    return ObjectTable.build(Contours.from_star(xy), **columns)


def features(values, names="abc"):
    array = np.asarray(values, np.float32)
    return ObjectFeatures(tuple(names[: array.shape[1]]), array)


def test_measurements_become_features_and_places_do_not():
    measured = {
        "Nucleus: Area µm^2": np.array([1.0, np.inf]),
        "Distance to detection Tumor µm": np.zeros(2),
        "Signed distance to annotation Tumor µm": np.zeros(2),
        "Centroid X µm": np.zeros(2),
        "Smoothed: 25 µm: Nucleus: Area": np.zeros(2),
    }
    found = ObjectFeatures.of_table(squares(2, measurements=measured))
    assert found.names == ("Nucleus: Area µm^2",)
    assert found.values.dtype == np.float32
    np.testing.assert_equal(found.values, np.float32([[1], [np.nan]]))


def test_missing_measurements_are_named():
    with pytest.raises(LearningError, match=r"2 of the measurements.*'x', 'y'.*Give the image"):
        features([[1, 2]]).only(["a", "x", "y"])


def test_images_share_the_columns_that_all_have():
    joined = ObjectFeatures.concat([features([[1, 2]], "ab"), features([[3, 4], [5, 6]], "ba")])
    assert joined.names == ("a", "b")
    np.testing.assert_equal(joined.values, [[1, 2], [4, 3], [6, 5]])
    with pytest.raises(LearningError, match="share no measurement"):
        ObjectFeatures.concat([features([[1]], "a"), features([[1]], "b")])


def test_rejected_objects_annotations_and_points_have_no_class_to_be_found():
    table = squares(4).with_columns(
        state=np.uint8([0, 0, ObjectState.REJECTED, 0]),
        object_type=np.uint8([0, ObjectType.CELL, 0, ObjectType.ANNOTATION]),
    )
    assert is_object(table).tolist() == [True, True, False, False]


@given(
    st.integers(1, 30),
    st.integers(0, 5),
    st.lists(st.sampled_from([5.0, 20.0, 60.0]), min_size=1, max_size=2, unique=True),
)
def test_neighbours_are_averaged_as_by_hand(n, seed, radii):
    rng = np.random.default_rng(seed)
    points, values = rng.uniform(0, 80, (n, 2)), rng.normal(size=(n, 2)).astype(np.float32)
    values[rng.random((n, 2)) < 0.2] = np.nan
    points[rng.random(n) < 0.1] = np.nan
    found = smoothed(features(values), points, radii).values
    far = np.linalg.norm(points[:, None] - points, axis=2)
    expected = []
    for radius in radii:
        weight = np.where(far <= radius, np.exp(-0.5 * (far * 2.3548 / radius) ** 2), 0)
        known = weight @ np.isfinite(values)
        with np.errstate(invalid="ignore"):
            mean = weight @ np.nan_to_num(values) / known
        mean[np.isnan(points).any(axis=1)] = np.nan
        expected.append(mean)
    np.testing.assert_allclose(found, np.concatenate(expected, axis=1), rtol=1e-4, atol=1e-5)


def test_names_of_neighbours_means_are_those_of_qupath():
    found = smoothed(features([[1]], ["Nucleus: Area µm^2"]), np.zeros((1, 2)), [25, 50.0])
    assert found.names == (
        "Smoothed: 25 µm: Nucleus: Area µm^2",
        "Smoothed: 50 µm: Nucleus: Area µm^2",
    )


class Blurring(LatticeSegmenter):
    """Describes a pixel by the mean of its surroundings, on a grid of 2."""

    margin_px = 2

    def describe(self, images):
        from scipy import ndimage

        blurred = ndimage.uniform_filter(images, (1, 5, 5, 1), mode="nearest")
        return np.ascontiguousarray(blurred[:, ::2, ::2])


@pytest.fixture
def reader():
    pixels = np.random.default_rng(0).integers(0, 255, (200, 300, 3), np.uint8)
    return ArrayReader(pixels, name="noise", is_rgb=True, pixel_size=PixelSize.square(0.5))


def test_features_of_a_network_do_not_depend_on_the_tiles(reader, monkeypatch):
    points = np.random.default_rng(1).uniform(0, 200, (40, 2)) * (1.5, 1)
    points[3] = np.nan
    model = Blurring()
    whole = result_of(network_features(reader, points, model))
    monkeypatch.setattr(network, "_TILE_PX", 40)
    np.testing.assert_array_equal(result_of(network_features(reader, points, model)), whole)
    assert np.isnan(whole[3]).all()
    assert np.isfinite(np.delete(whole, 3, axis=0)).all()
    assert np.nanstd(whole, axis=0).min() > 0.01


def test_a_recipe_measures_once_and_adds_neighbours_and_network(reader):
    table = squares(4)
    recipe = FeatureRecipe(around_um=(20.0,), network="blurring")
    made = result_of(make_features(table, recipe, reader=reader, model=Blurring()))
    names = made.features.names
    assert [n for n in names if n.startswith("Network")] == [
        f"Network blurring: {i}" for i in range(3)
    ]
    assert sum(n.startswith("Smoothed: 20 µm: ") for n in names) == 18
    assert len(made.table.measurements) == 18
    assert made.features.pixel_size_um == 0.5
    again = result_of(
        make_features(
            made.table, FeatureRecipe(), pixel_size=PixelSize.square(0.5), names=names[1:3]
        )
    )
    np.testing.assert_array_equal(again.features.values, made.features.values[:, 1:3])


def test_cells_around_nuclei_are_measured_without_changing_the_objects(reader):
    table = squares(4)
    made = result_of(make_features(table, FeatureRecipe((), expand_um=2.0), reader=reader))
    assert "Eosin: Cytoplasm: Mean" in made.features.names
    assert made.table is table


def test_recipes_go_through_json():
    recipe = FeatureRecipe((25.0,), "he-nuclei", "ab", 5.0, "auto", "Cell")
    assert FeatureRecipe.from_dict(recipe.as_dict() | {"of tomorrow": 1}) == recipe


def test_without_an_image_missing_measurements_are_an_error():
    with pytest.raises(LearningError, match=r"have no measurements.*--image"):
        result_of(make_features(squares()))
    with pytest.raises(LearningError, match="lack 'x' and 1 other"):
        result_of(make_features(squares(), names=["x", "Smoothed: 50 µm: y"]))


def test_neighbours_need_a_pixel_size():
    table = squares(2, measurements={"a": np.ones(2)})
    with pytest.raises(PixelSizeUnknownError, match=r"within 50 µm.*--pixel-size.*--around 0"):
        result_of(make_features(table))
    assert result_of(make_features(table, FeatureRecipe(()))).features.names == ("a",)


@pytest.mark.parametrize(
    ("known", "here", "fine"),
    [
        ((0.25,), 0.27, True),
        ((0.25,), 0.5, False),
        ((0.25, 0.5), 0.46, True),
        ((), 0.5, True),
        ((0.5,), None, True),
    ],
)
def test_other_pixel_sizes_are_refused(known, here, fine):
    if fine:
        check_pixel_size(known, here)
        return
    with pytest.raises(LearningError, match=r"0\.5 µm per pixel.*learned at 0\.25"):
        check_pixel_size(known, here)
