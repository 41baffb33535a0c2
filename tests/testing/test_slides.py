"""Generated slides with seams and regions: what is on disk is what the truth says."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy import ndimage as ndi

from napari_histo.core import Box, ObjectType, PixelSize
from napari_histo.slides import open_slide
from napari_histo.store.labels import draw
from napari_histo.testing.synthetic.slides import TILE_PX, repeat_tile, write_slide
from napari_histo.testing.synthetic.tissue_map import CELL_PX
from napari_histo.testing.synthetic.tissue_patches import GLASS, TISSUES, Library, draw_patch

SIZE = 512


@pytest.fixture(scope="module")
def library():
    return Library.draw(2, size_px=SIZE)


@pytest.fixture(scope="module")
def slide(library, tmp_path_factory):
    path = tmp_path_factory.mktemp("slides") / "s.svs"
    shares, options = (0.4, 0.4, 0.2), {"tissue": 0.7, "region_px": 900}
    return write_slide(path, 3000, 2500, seed=2, library=library, shares=shares, **options)


@pytest.fixture(scope="module")
def picture(slide):
    with open_slide(slide.path) as reader:
        return reader.read(reader.info.level_box(0), 0)


@pytest.mark.parametrize("name", ["s.svs", "s.ome.tif"])
def test_levels_and_pixel_size(library, tmp_path, name):
    slide = write_slide(tmp_path / name, 5000, 1100, seed=1, library=library)
    with open_slide(slide.path) as reader:
        assert reader.info.level_shapes == ((1100, 5000), (275, 1250), (68, 312))
        assert reader.info.pixel_size == PixelSize.square(0.25)
        assert reader.info.is_rgb


def test_openslide_reads_the_same(slide, picture):
    openslide = pytest.importorskip("openslide")
    with openslide.OpenSlide(slide.path) as other:
        assert other.properties["openslide.mpp-x"] == "0.25"
        assert other.level_downsamples == pytest.approx([1, 4], rel=0.01)
        part = np.asarray(other.read_region((900, 700), 0, (600, 500)))[..., :3]
    assert np.abs(part.astype(int) - picture[700:1200, 900:1500]).mean() < 2


def test_lower_levels_are_the_mean_of_the_first(slide, picture):
    with open_slide(slide.path) as reader:
        low = reader.read(reader.info.level_box(1), 1).astype(float)
    means = picture.reshape(625, 4, 750, 4, 3).mean(axis=(1, 3))
    assert np.abs(low - means).mean() < 3  # two JPEGs
    assert np.abs((low - means).mean(axis=(0, 1))).max() < 0.3
    assert np.corrcoef(low.ravel(), means.ravel())[0, 1] > 0.99


def test_dark_places_are_the_nuclei_and_all_of_them(slide, picture):
    """Nuclei are the only things so dark: each is there whole, once, and nothing else is."""
    height, width = picture.shape[:2]
    numbers = np.arange(1, len(slide.nuclei) + 1)
    labels = draw(slide.nuclei.contours, numbers, Box(0, 0, width, height), 1)
    dark = ndi.gaussian_filter(picture[..., 0].astype(float), 1) < 160  # nuclei to 153, else 177
    assert len(slide.nuclei) > 150
    assert ndi.label(dark)[1] == len(slide.nuclei)
    assert set(np.unique(labels[dark])) >= set(numbers)
    assert dark[labels > 0].mean() > 0.9
    assert dark[ndi.binary_dilation(labels > 0, iterations=4) == 0].sum() == 0


def test_no_nucleus_is_cut_by_the_slide_or_a_region(slide):
    bounds = slide.nuclei.contours.bounds
    assert bounds[:, :2].min() > 0
    assert (bounds[:, 2:].max(axis=0) < (3000, 2500)).all()
    kinds = slide.map.kinds
    for left, top, right, bottom in (bounds // CELL_PX).astype(int):
        under = kinds[top : bottom + 1, left : right + 1]
        assert under[0, 0] != GLASS
        assert (under == under[0, 0]).all()


def test_nuclei_lie_across_the_seams_of_patches_and_tiles(slide):
    bounds = slide.nuclei.contours.bounds
    for side in (SIZE, TILE_PX):
        across = (bounds[:, :2] // side != bounds[:, 2:] // side).any(axis=1)
        assert across.sum() > 10


def test_regions_are_the_cells_of_the_map(slide):
    assert (slide.regions.object_type == ObjectType.ANNOTATION).all()
    assert list(slide.regions.class_names) == list(TISSUES)
    height, width = slide.map.kinds.shape
    box = Box(0, 0, width * CELL_PX, height * CELL_PX)
    drawn = draw(slide.regions.contours, slide.regions.class_id + 1, box, CELL_PX)
    assert np.array_equal(drawn, slide.map.kinds)


def test_tissues_look_different_and_keep_their_shares(slide, picture):
    cells = slide.map.kinds.repeat(CELL_PX, 0).repeat(CELL_PX, 1)[:2500, :3000]
    colours = np.array([picture[cells == kind].mean(axis=0) for kind in range(4)])
    apart = np.abs(colours[:, None] - colours[None]).max(axis=2) + 99 * np.eye(4)
    assert apart.min() > 4
    assert slide.map.is_tissue.mean() == pytest.approx(0.7, abs=0.1)
    assert slide.map.share("Tumor") == pytest.approx(0.28, abs=0.06)


def test_patches_of_a_tissue_fit_on_every_side(library):
    for first, second in library.patches[1:]:
        assert not np.array_equal(first.image, second.image)
        for one, other in (
            (first.image[:, -1], second.image[:, 0]),
            (first.image[-1], second.image[0]),
        ):
            # As unlike as two columns side by side in one patch.
            seam = np.abs(one.astype(int) - other).mean()
            inside = np.abs(np.diff(first.image.astype(int), axis=0)).mean()
            assert seam < 1.3 * inside + 0.5


def test_the_same_seed_writes_the_same(library, tmp_path):
    def written(name, seed):
        slide = write_slide(tmp_path / name, 1500, 1200, seed=seed, library=library)
        with open_slide(slide.path) as reader:
            return slide, reader.read(reader.info.level_box(0), 0)

    (one, first), (again, second), (_, other) = (
        written(*a) for a in (("a.svs", 1), ("b.svs", 1), ("c.svs", 2))
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)
    assert one.nuclei.uuids() == again.nuclei.uuids()
    assert np.array_equal(one.nuclei.contours.xy, again.nuclei.contours.xy)
    drawn = draw_patch("Tumor", 1, size_px=SIZE)
    assert np.array_equal(drawn.image, library.patches[1][1].image)


def test_a_repeated_tile_has_each_nucleus_but_those_at_the_edge(library, tmp_path):
    patch = library.patches[1][0]
    counts = {}
    for n in (1, 2, 4):
        slide = repeat_tile(tmp_path / f"{n}.svs", patch, n, n)
        counts[n] = len(slide.nuclei)
        with open_slide(slide.path) as reader:
            assert reader.info.level_shapes[0] == (n * SIZE, n * SIZE)
            if n == 4:  # an inner repeat, away from the edges
                inner = reader.read(Box(SIZE, SIZE, SIZE, SIZE), 0)
                assert np.abs(inner.astype(int) - patch.image).mean() < 3
    # Whole patches in the middle; a strip of 32 to 48 px along each edge has none.
    assert 4 * len(patch) < counts[4] < 16 * len(patch)
    assert counts[1] < counts[2] / 4 < counts[4] / 16 < len(patch)


def test_a_picture_is_repeated_as_it_is(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (2, 2, 3), np.uint8).repeat(128, 0)
    image = image.repeat(128, 1)
    slide = repeat_tile(tmp_path / "s.ome.tif", image, 3, 2)
    assert len(slide.nuclei) == 0
    with open_slide(slide.path) as reader:
        shown = reader.read(reader.info.level_box(0), 0)
    assert np.abs(shown.astype(int) - np.tile(image, (2, 3, 1))).mean() < 3


def test_memory_holds_rows_of_tiles_and_not_the_slide(library, tmp_path):
    """Eight times the pixels, as wide: hardly more memory."""
    peaks = []
    for height in (1536, 12288):
        tracemalloc.start()
        repeat_tile(tmp_path / "s.ome.tif", library.patches[2][0], 8, height // SIZE)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 60e6 < 3 * 12288 * 4096
    assert peaks[1] - peaks[0] < 15e6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param({"width": 100}, "512 or more", id="small"),
        pytest.param({"tissue": 1.5}, "0 to 1", id="tissue"),
        pytest.param({"shares": ()}, "one to 3", id="shares"),
    ],
)
def test_what_cannot_be_written_is_said(library, tmp_path, call, message):
    with pytest.raises(ValueError, match=message):
        write_slide(
            tmp_path / "s.svs", **{"width": 999, "height": 999, "seed": 0, **call}, library=library
        )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(lambda: draw_patch("Brain"), "choose one of", id="tissue"),
        pytest.param(lambda: draw_patch("Tumor", size_px=300), "multiple of 256", id="size"),
        pytest.param(
            lambda: repeat_tile("s.svs", np.zeros((300, 300, 3), np.uint8), 1, 1),
            "multiple of 256",
            id="square",
        ),
        pytest.param(
            lambda: repeat_tile("s.svs", np.zeros((256, 512, 3), np.uint8), 1, 1),
            "is a square",
            id="oblong",
        ),
    ],
)
def test_what_cannot_be_drawn_is_said(call, message):
    with pytest.raises(ValueError, match=message):
        call()
