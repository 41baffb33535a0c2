"""save_objects and load_objects, and the label files."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import zarr

from napari_histo.core import Box, ClassScheme, Contours, ObjectTable, PixelSize, SlideInfo
from napari_histo.errors import ObjectsFileError, WriteError
from napari_histo.store import FORMATS, format_of, load_objects, rasterise, save_objects
from napari_histo.store.dispatch import read_labels
from napari_histo.store.label_files import write_labels_tiff, write_ome_zarr
from support.objects import assert_same_tables

SHAPE = (301, 533)
WHOLE = ("geojson", "parquet")


def nuclei(n: int = 60) -> ObjectTable:
    rng = np.random.default_rng(0)
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    star = 7 * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    centres = rng.random((n, 1, 2)) * SHAPE[::-1]
    # In hundredths, as GeoJSON keeps them.
    return ObjectTable.build(
        Contours.from_star(np.round(centres + star, 2)),
        det_prob=rng.random(n),
        classes=ClassScheme.of("Tumor"),
        source="m",
    )


def slide(pixel_size: PixelSize | None = None) -> SlideInfo:
    pixel_size = pixel_size or PixelSize(0.25, 0.5)
    return SlideInfo(
        "s.svs",
        "s.svs",
        (SHAPE,),
        (1.0,),
        np.dtype("u1"),
        ("Red", "Green", "Blue"),
        True,
        pixel_size,
    )


@pytest.mark.parametrize("kind", FORMATS)
def test_every_suffix_names_its_format(kind, tmp_path):
    for suffix in FORMATS[kind]:
        assert format_of(f"A{suffix.upper()}") == kind
        save_objects(tmp_path / f"a{suffix}", nuclei(5), info=slide())
        assert len(load_objects(tmp_path / f"a{suffix}")) == 5


@pytest.mark.parametrize("kind", WHOLE)
def test_formats_that_keep_everything(kind, tmp_path):
    path, table = tmp_path / f"a{FORMATS[kind][0]}", nuclei()
    save_objects(path, table, info=slide())
    assert_same_tables(load_objects(path), table)


@pytest.mark.parametrize("suffix", [".tif", ".ome.zarr"])
def test_labels_come_back_as_the_same_pixels(suffix, tmp_path):
    table, box = nuclei(), Box(0, 0, SHAPE[1], SHAPE[0])
    save_objects(tmp_path / f"a{suffix}", table, info=slide())
    back = load_objects(tmp_path / f"a{suffix}")
    drawn = rasterise(table, box)
    values = np.unique(drawn[drawn > 0])
    np.testing.assert_array_equal(rasterise(back, box, values=values), drawn)


def test_format_wins_over_the_suffix(tmp_path):
    save_objects(tmp_path / "a.txt", nuclei(2), format="geojson")
    assert (tmp_path / "a.txt").read_text().startswith('{"type": "FeatureCollection"')


def test_unknown_formats_list_what_is_allowed(tmp_path):
    with pytest.raises(WriteError, match=r"'a\.csv' is not known.*\.parquet"):
        save_objects(tmp_path / "a.csv", nuclei(1))
    with pytest.raises(WriteError, match=r"format 'shapefile' is not known.*geojson"):
        save_objects(tmp_path / "a.geojson", nuclei(1), format="shapefile")
    with pytest.raises(ObjectsFileError, match=r"'a\.csv' is not known.*\.geojson"):
        load_objects(_touched(tmp_path / "a.csv"))
    with pytest.raises(ObjectsFileError, match=r"slide\.svs.*wanted here, not an image.*\.geojson"):
        load_objects(_touched(tmp_path / "slide.svs"))
    with pytest.raises(ObjectsFileError, match=r"it is a folder\. Give a file.*\.geojson"):
        load_objects(tmp_path)


def _touched(path):
    path.touch()
    return path


@pytest.mark.parametrize("name", ["a.geojson", "a.parquet", "a.tif", "a.ome.zarr", "a.png"])
def test_missing_files_are_named(tmp_path, name):
    with pytest.raises(ObjectsFileError, match="there is no such file"):
        load_objects(tmp_path / name)


@pytest.mark.parametrize(
    "shape", [(1, 9), (9, 1), (1, 1), (1, 8, 9), (1, 1, 8, 9), (8, 9, 1)], ids=str
)
def test_planes_keep_their_two_axes(shape, tmp_path):
    labels = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    tifffile.imwrite(tmp_path / "a.tif", labels, photometric="minisblack")
    wanted = shape if len(shape) == 2 else (8, 9)
    assert np.array_equal(read_labels(tmp_path / "a.tif"), labels.reshape(wanted))


def test_images_that_are_no_labels_are_named(tmp_path):
    tifffile.imwrite(tmp_path / "rgb.tif", np.zeros((4, 4, 3), np.uint8))
    tifffile.imwrite(tmp_path / "float.tif", np.zeros((4, 4), np.float32))
    (tmp_path / "text.tif").write_text("hello")
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "empty.ome.zarr").mkdir()
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(ObjectsFileError, match="as labels"):
            load_objects(path)


def test_label_masks_of_others_are_read(data_dir):
    (path, *_) = sorted((data_dir / "nuclei" / "tnbc" / "labels").iterdir())
    table = load_objects(path)
    assert len(table) > 5
    assert table.areas_px.min() >= 1


def test_tiff_says_its_size_and_pixel_size(tmp_path):
    write_labels_tiff(tmp_path / "a.tif", nuclei(), slide(), tile_px=128)
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        page = tiff.pages[0]
        assert (page.shape, page.dtype, page.tile) == (SHAPE, np.uint16, (128, 128))
        assert page.compression == tifffile.COMPRESSION.ADOBE_DEFLATE
        assert page.get_resolution("MICROMETER") == pytest.approx((4, 2))
        assert 'PhysicalSizeX="0.25"' in tiff.ome_metadata
        assert 'PhysicalSizeY="0.5"' in tiff.ome_metadata
        drawn = tiff.asarray()
    np.testing.assert_array_equal(drawn, rasterise(nuclei(), slide().box))


def test_tiff_at_a_lower_resolution(tmp_path):
    write_labels_tiff(tmp_path / "a.tif", nuclei(), slide(), tile_px=64, downsample=4)
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert tiff.pages[0].get_resolution("MICROMETER") == pytest.approx((1, 0.5))
        drawn = tiff.asarray()
    np.testing.assert_array_equal(drawn, rasterise(nuclei(), slide().box, downsample=4))


def test_more_objects_than_sixteen_bits(tmp_path):
    corners = np.arange(70_000)[:, None, None] % 300 + [[0, 0], [1, 0], [1, 1], [0, 1]]
    write_labels_tiff(tmp_path / "a.tif", ObjectTable.build(Contours.from_star(corners)), slide())
    drawn = tifffile.imread(tmp_path / "a.tif")
    assert drawn.dtype == np.uint32
    assert drawn.max() == 70_000


def test_ome_zarr_follows_ngff(tmp_path):
    write_ome_zarr(tmp_path / "a.ome.zarr", nuclei(), slide(), tile_px=100)
    group = zarr.open_group(tmp_path / "a.ome.zarr", mode="r")
    ome = group.attrs["ome"]
    assert ome["version"] == "0.5"
    assert "image-label" in ome
    (scales,) = ome["multiscales"]
    assert scales["axes"] == [
        {"name": "y", "type": "space", "unit": "micrometer"},
        {"name": "x", "type": "space", "unit": "micrometer"},
    ]
    drawn = rasterise(nuclei(), slide().box)
    for level, dataset in enumerate(scales["datasets"]):
        (transform,) = dataset["coordinateTransformations"]
        assert transform["scale"] == [0.5 * 2**level, 0.25 * 2**level]
        step = 2**level
        array = group[dataset["path"]]
        np.testing.assert_array_equal(array[:], drawn[::step, ::step])
        assert array.metadata.dimension_names == ("y", "x")
    assert max(array.shape) <= 100


def test_ome_zarr_is_valid_to_its_own_models(tmp_path):
    from ome_zarr_models.v05 import Image

    write_ome_zarr(tmp_path / "a.ome.zarr", nuclei(), slide())
    Image.from_zarr(zarr.open_group(tmp_path / "a.ome.zarr", mode="r"))


def test_labels_without_an_image_end_where_the_objects_do(tmp_path):
    table = ObjectTable.build(Contours.from_rings([[(3, 2), (9.5, 2), (9.5, 6.5)]]))
    write_labels_tiff(tmp_path / "a.tif", table)
    assert tifffile.imread(tmp_path / "a.tif").shape == (7, 10)
    with pytest.raises(WriteError, match="its size is unknown"):
        write_labels_tiff(tmp_path / "b.tif", ObjectTable.empty())


def test_objects_beyond_the_image_are_cut_off(tmp_path):
    table = ObjectTable.build(Contours.from_rings([[(-9, -9), (900, -9), (900, 900), (-9, 900)]]))
    write_labels_tiff(tmp_path / "a.tif", table, slide(), tile_px=128)
    assert tifffile.imread(tmp_path / "a.tif").shape == SHAPE
    assert (tifffile.imread(tmp_path / "a.tif") == 1).all()


def test_no_objects_make_an_empty_image(tmp_path):
    for name in ("a.tif", "a.ome.zarr"):
        save_objects(tmp_path / name, ObjectTable.empty(), info=slide())
        assert len(load_objects(tmp_path / name)) == 0
