"""Files to layers and back: ids, classes and geometry stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from napari.layers import Image, Layer, Shapes

from napari_histo.core import (
    ClassScheme,
    Contours,
    ObjectState,
    ObjectTable,
    ObjectType,
)
from napari_histo.errors import WriteError
from napari_histo.plugin.layers import table_of
from napari_histo.plugin.readers import objects_as_layers, objects_reader, slide_reader
from napari_histo.plugin.samples import (
    drawn_fluorescence_nuclei,
    drawn_he_tissue,
    fluorescence_nuclei,
    he_tissue,
    ihc_tissue,
)
from napari_histo.plugin.writers import write_objects
from napari_histo.store import load_objects, save_objects

SAMPLE = Path(__file__).parents[2] / "sample_data" / "he_tile.ome.tif"
IMAGE = Image(np.zeros((60, 100)), scale=(0.5, 0.25), translate=(3, 4), units=("um", "um"))


def layers_of(table, image=None):
    return [Layer.create(*data) for data in objects_as_layers(table, "nuclei", image)]


def saved(tmp_path, layers, name="out.geojson"):
    path = tmp_path / name
    assert write_objects(str(path), [layer.as_layer_data_tuple() for layer in layers]) == [
        str(path)
    ]
    return load_objects(path)


@pytest.fixture
def mixed():
    """A detection, an annotation, one with a hole, a line and two points."""
    import shapely

    ring = shapely.box(0, 0, 30, 20)
    return ObjectTable.build(
        Contours.from_shapely(
            [
                shapely.box(10, 10, 18, 18),
                shapely.box(20, 20, 50, 40),
                ring.difference(shapely.box(5, 5, 10, 10)),
                shapely.LineString([(0, 0), (10, 10), (20, 0)]),
                shapely.MultiPoint([(3, 4), (50, 6)]),
            ]
        ),
        object_type=[ObjectType.DETECTION] + [ObjectType.ANNOTATION] * 4,
        class_id=[0, 1, -1, -1, 0],
        classes=ClassScheme.of("Tumor", "Stroma"),
    )


@pytest.mark.parametrize("name", ["out.geojson", "out.geojson.gz", "out.parquet"])
def test_detections_come_back_as_they_were(tmp_path, table, name):
    save_objects(tmp_path / f"in-{name}", table)
    (data,) = objects_reader(str(tmp_path / f"in-{name}"))(str(tmp_path / f"in-{name}"))
    layer = Layer.create(*data)
    assert layer.features["object_id"].tolist() == [str(i) for i in table.uuids()]
    again = saved(tmp_path, [layer], name)
    assert again.uuids() == table.uuids()
    assert (again.contours.xy == table.contours.xy).all()
    assert again.class_names.tolist() == table.class_names.tolist()


def test_each_kind_of_object_gets_the_layer_that_can_hold_it(mixed):
    labels, shapes, points = layers_of(mixed)
    assert len(table_of(labels)) == 2
    assert shapes.shape_type == ["polygon", "path"]
    assert len(points.data) == 2
    ids = [i for layer in (labels, shapes, points) for i in table_of(layer).uuids()]
    assert sorted(ids) == sorted(mixed.uuids())


def test_layers_lie_over_their_image(mixed):
    for layer in layers_of(mixed, IMAGE):
        assert np.allclose(layer.data_to_world((7, 9)), IMAGE.data_to_world((7, 9)))
        assert layer.units == IMAGE.units


def test_labels_reach_as_far_as_image_and_objects(table):
    (alone,) = layers_of(table)
    assert alone.data[0].shape == (58, 96)
    (over,) = layers_of(table, IMAGE)
    assert over.data[0].shape == (60, 100)


def test_untouched_shapes_are_saved_as_they_were(tmp_path, mixed):
    layers = layers_of(mixed, IMAGE)[:2]
    again = saved(tmp_path, layers)
    rows = mixed.rows_of(again.uuids())
    assert len(again) == 4
    for mine, theirs in zip(again.to_shapely(), mixed.to_shapely(rows), strict=True):
        assert mine.normalize().equals_exact(theirs.normalize(), 0.01)
    assert (again.state == mixed.state[rows]).all()


def test_edited_and_new_shapes_keep_and_get_ids(tmp_path, mixed):
    shapes = layers_of(mixed)[1]
    moved = [shapes.data[0] + 5, shapes.data[1]]
    shapes.data = moved
    shapes.add_rectangles(np.array([[0, 0], [8, 8]]))
    again = saved(tmp_path, [shapes])
    before = table_of(shapes)
    assert again.uuids()[:2] == before.uuids()
    assert again.uuids()[2] not in mixed.uuids()
    states = [ObjectState.EDITED, before.state[1], ObjectState.DRAWN]
    assert again.state.tolist() == states
    assert np.allclose(again.contours.bounds[0], before.contours.bounds[0] + 5, atol=0.01)
    assert again.class_names.tolist() == ["Stroma", None, None]


def test_copied_shape_gets_an_id_of_its_own(tmp_path, mixed):
    shapes = layers_of(mixed)[1]
    row = shapes.features.iloc[[0]]
    shapes.add(shapes.data[0] + 20, shape_type="polygon")
    shapes.features = {k: [*shapes.features[k][:2], v] for k, v in row.iloc[0].items()}
    again = saved(tmp_path, [shapes])
    assert len(set(again.uuids())) == 3


def test_plain_shapes_become_annotations(tmp_path):
    again = saved(tmp_path, [Shapes([np.array([[1, 2], [1, 12], [9, 12], [9, 2]])])])
    assert again.contours.bounds.tolist() == [[2.5, 1.5, 12.5, 9.5]]
    assert again.object_type.tolist() == [ObjectType.ANNOTATION]


def test_plain_labels_are_traced(tmp_path):
    pixels = np.zeros((20, 30), np.uint16)
    pixels[2:6, 10:20] = 7
    labels = Layer.create(pixels, {"name": "cells"}, "labels")
    again = saved(tmp_path, [labels])
    assert again.contours.bounds.tolist() == [[10, 2, 20, 6]]


def test_stack_of_labels_says_what_to_do(tmp_path):
    labels = Layer.create(np.ones((2, 3, 4), np.uint8), {"name": "cells"}, "labels")
    with pytest.raises(WriteError, match="cells has 3 axes"):
        saved(tmp_path, [labels])
    assert list(tmp_path.iterdir()) == []


def test_a_cell_is_one_label_with_two_outlines(tmp_path, table):
    at = table.centroids[:, None, :]
    ring = np.array([[-3, -3], [3, -3], [3, 3], [-3, 3]], np.float32)
    cells = table.with_columns(
        nuclei=Contours.from_star(at + ring), object_type=np.full(3, ObjectType.CELL, np.uint8)
    )
    (layer,) = layers_of(cells)
    x, y = at[0, 0].astype(int).tolist()
    line = np.asarray(layer.data[0])[y, x - 4 : x + 4]
    value = line[0]
    assert line.tolist() == [value, 0, value, value, value, value, 0, value]
    again = saved(tmp_path, [layer])
    assert again.uuids() == cells.uuids()
    assert np.allclose(again.nuclei.bounds, cells.nuclei.bounds)


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        pytest.param('{"type": "FeatureCollection", "features": []}', True, id="geojson"),
        pytest.param('{"name": "settings"}', False, id="other-json"),
    ],
)
def test_json_is_taken_when_it_is_geojson(tmp_path, text, taken):
    path = tmp_path / "x.json"
    path.write_text(text)
    assert (objects_reader(str(path)) is not None) is taken


# -- slides ------------------------------------------------------------------------------------


def test_pyramid_opens_lazily_with_its_scale():
    path = str(SAMPLE)
    ((levels, options, kind),) = slide_reader(path)(path)
    layer = Layer.create(levels, options, kind)
    assert kind == "image"
    assert layer.multiscale
    assert layer.rgb
    assert [tuple(s) for s in layer.level_shapes[:, :2]] == [(1024, 1024), (512, 512), (256, 256)]
    assert layer.name == "he_tile"
    assert layer.scale.tolist() == [0.25, 0.25]
    assert [str(u) for u in layer.units] == ["micrometer"] * 2
    assert layer.metadata == options["metadata"]
    assert (np.asarray(levels[0][:64, :64]) == tifffile.imread(SAMPLE)[:64, :64]).mean() > 0.9


def test_channels_become_layers_and_planes_an_axis(data_dir):
    path = str(data_dir / "slides" / "multi-channel-z-series.ome.tif")
    ((level, options, _),) = slide_reader(path)(path)
    assert level.shape[0] == 5
    assert level.shape[options["channel_axis"]] == len(options["name"]) == 3
    whole = tifffile.imread(path)
    ours = np.moveaxis(np.asarray(level), -1, 1 if whole.shape[1] == 3 else 0)
    assert (ours == whole).all()


def test_gray_image_has_two_axes(tmp_path):
    path = str(tmp_path / "x.tif")
    tifffile.imwrite(path, np.zeros((30, 40), np.uint16))
    ((data, options, _),) = slide_reader(path)(path)
    assert data.shape == (30, 40)
    assert not options["multiscale"]
    assert "scale" not in options


def test_a_file_of_several_images_says_so(tmp_path, monkeypatch):
    path, shown = tmp_path / "two.ome.tif", []
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(np.zeros((30, 40), np.uint8), metadata={"axes": "YX", "Name": "one"})
        writer.write(np.zeros((20, 40), np.uint8), metadata={"axes": "YX", "Name": "two"})
    monkeypatch.setattr("napari.utils.notifications.show_info", shown.append)
    ((data, _, _),) = slide_reader(str(path))(str(path))
    assert data.shape == (30, 40)
    (note,) = shown
    assert "1 two (40 x 20 px)" in note
    assert "This is number 0" in note


def test_what_is_no_image_is_left_to_others(tmp_path):
    path = tmp_path / "notes.tif"
    path.write_text("nothing to see")
    assert slide_reader(str(path)) is None
    assert slide_reader([str(path)]) is None


@pytest.mark.parametrize("sample", [he_tissue, ihc_tissue, fluorescence_nuclei])
def test_samples_open_without_a_network(sample):
    ((pixels, options, kind),) = sample()
    layer = Layer.create(pixels, options, kind)
    assert layer.rgb == (sample is not fluorescence_nuclei)
    assert pixels.std() > 5


@pytest.mark.parametrize(
    ("sample", "um", "shape"),
    [
        pytest.param(drawn_he_tissue, 0.25, (1024, 1024, 3), id="he"),
        pytest.param(drawn_fluorescence_nuclei, 0.5, (512, 512), id="fluorescence"),
    ],
)
def test_drawn_samples_know_their_pixel_size(sample, um, shape):
    ((pixels, options, kind),) = sample()
    layer = Layer.create(pixels, options, kind)
    finest = layer.data[0] if layer.multiscale else layer.data
    assert finest.shape == shape
    assert np.asarray(finest).std() > 5
    assert tuple(layer.scale) == (um, um)
    assert [str(unit) for unit in layer.units] == ["micrometer", "micrometer"]
