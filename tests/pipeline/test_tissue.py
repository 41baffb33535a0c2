"""Tissue is found on slides of all kinds, and masks are files that people can edit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_histo.core import CancelToken, PixelSize
from napari_histo.errors import Cancelled, ObjectsFileError, WriteError
from napari_histo.ops.tissue import TissueMask
from napari_histo.pipeline.tissue import (
    TissueParams,
    find_tissue,
    find_tissue_steps,
    load_tissue,
    save_tissue,
)
from napari_histo.slides import ArrayReader, open_slide

# Pictures at 8 µm per pixel, so that one is a cell of the mask.
SIZE = PixelSize.square(8.0)
GLASS, PINK, PALE, DARK = (243, 243, 242), (225, 160, 195), (240, 231, 238), (90, 60, 130)
SHAPE = (300, 400)


def blob(y, x, radius):
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return np.hypot(rows - y, columns - x) < radius


def slide(*layers, glass=GLASS, noise=1.5):
    """RGB picture: glass with noise, and (where, colour) painted on it in turn."""
    rng = np.random.default_rng(4)
    texture = 12 * ndimage.gaussian_filter(rng.normal(0, 1, SHAPE), 1)
    image = np.empty((*SHAPE, 3))
    image[:] = glass
    for where, colour in layers:
        image[where] = colour
        image[where] += texture[where, None]
    return np.clip(image + rng.normal(0, noise, image.shape), 0, 255).astype(np.uint8)


def found(image, params=None, **options):
    return find_tissue(ArrayReader(image, pixel_size=SIZE, **options), params=params).cells


def recall(truth, cells):
    return float((truth & cells).sum() / truth.sum())


PIECE = blob(150, 150, 60)


@pytest.mark.parametrize(
    "colour",
    [
        pytest.param(PINK, id="eosin"),
        pytest.param(PALE, id="pale-stroma"),
        pytest.param(DARK, id="dense-nuclei"),
        pytest.param((190, 160, 130), id="dab"),
        pytest.param((225, 228, 236), id="haematoxylin-alone"),
        pytest.param((120, 120, 120), id="grey"),
    ],
)
def test_tissue_is_found_and_glass_is_left_out(colour):
    cells = found(slide((PIECE, colour)))
    assert recall(PIECE, cells) > 0.999
    assert cells.mean() < 1.35 * PIECE.mean()


def test_pale_tissue_beside_dark_tissue_is_kept():
    pale = blob(150, 310, 40)
    assert recall(pale, found(slide((PIECE, DARK), (pale, PALE)))) > 0.999


@pytest.mark.parametrize("glass", [(243, 243, 242), (255, 255, 255), (236, 230, 214)], ids=str)
@pytest.mark.parametrize("noise", [0, 1.5, 3])
def test_all_glass_holds_nothing(glass, noise):
    assert not found(slide(glass=glass, noise=noise)).any()


def shaded(image, fall):
    away = np.hypot(*np.meshgrid(np.linspace(-1, 1, SHAPE[1]), np.linspace(-1, 1, SHAPE[0])))
    return (image * (1 - fall * away)[..., None]).astype(np.uint8)


def test_light_that_falls_off_is_no_tissue():
    assert not found(shaded(slide(), 0.12)).any()
    assert not found(shaded(slide(noise=0.2), 0.12)).any()
    assert not found(shaded(slide()[..., :1].repeat(3, axis=2), 0.03)).any()


def test_all_tissue_is_all_found():
    everywhere = np.ones(SHAPE, bool)
    for colour in (PINK, PALE, DARK):
        assert found(slide((everywhere, colour))).all()


def test_a_small_biopsy_is_found_and_dust_is_not():
    biopsy, dust = blob(80, 300, 10), blob(200, 100, 2)
    cells = found(slide((biopsy, PINK), (dust, (150, 120, 120))))
    assert cells[80, 300]
    assert not cells[200, 100]


def test_tissue_that_hardly_differs_from_glass_is_found_at_a_broader_scale():
    assert recall(PIECE, found(slide((PIECE, (239, 234, 238))))) > 0.95


def test_fat_is_one_piece():
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    walls = PIECE & ((rows % 9 == 0) | (columns % 9 == 0))
    assert recall(PIECE, found(slide((walls, (238, 226, 235))))) > 0.98


@pytest.mark.parametrize(
    "ink",
    [
        pytest.param((30, 130, 70), id="green"),
        pytest.param((20, 70, 200), id="blue"),
        pytest.param((30, 40, 170), id="dark-blue"),
        pytest.param((25, 25, 28), id="black"),
    ],
)
def test_pen_marks_beside_the_tissue_are_left_out(ink):
    stroke = np.zeros(SHAPE, bool)
    stroke[40:260, 330:345] = True
    image = slide((PIECE, PINK), (stroke, ink))
    cells = found(image)
    assert recall(PIECE, cells) > 0.999
    assert not cells[60:240, 330:345].any()
    assert found(image, TissueParams(drop_ink=False))[60:240, 330:345].all()


@pytest.mark.parametrize("colour", [(30, 130, 70), (25, 25, 28), (30, 40, 170)], ids=str)
def test_what_tissue_surrounds_is_no_pen_mark(colour):
    inside = blob(150, 150, 25)
    assert recall(PIECE, found(slide((PIECE, PINK), (inside, colour)))) > 0.999


def test_where_a_pen_crosses_tissue_the_tissue_is_kept():
    stroke = np.zeros(SHAPE, bool)
    stroke[145:155] = True
    cells = found(slide((PIECE, PINK), (stroke, (20, 70, 200))))
    assert recall(PIECE, cells) > 0.99
    assert not cells[:, 260:].any()


def test_a_green_stain_is_no_pen_mark():
    assert recall(PIECE, found(slide((PIECE, (90, 170, 130))))) > 0.999


@pytest.mark.parametrize("tissue", [False, True], ids=["glass", "tissue"])
def test_a_black_frame_is_no_tissue(tissue):
    inner = np.zeros(SHAPE, bool)
    inner[60:250, 50:] = True
    image = slide((inner, PINK)) if tissue else slide()
    image[~inner] = 0
    cells = found(image)
    assert cells[inner].mean() == tissue
    assert not cells[:50].any()


def test_fluorescence_is_what_glows():
    rng = np.random.default_rng(0)
    planes = rng.normal((100, 300), (4, 10), (*SHAPE, 2))
    planes[PIECE, 0] += 20
    other = blob(150, 310, 40)
    planes[other, 1] += 4000 * rng.random(int(other.sum()))
    cells = found(np.clip(planes, 0, None).astype(np.uint16))
    assert recall(PIECE | other, cells) > 0.99
    assert cells.mean() < 1.4 * (PIECE | other).mean()


@pytest.mark.parametrize("offset", [0, 100])
def test_dark_fluorescence_holds_nothing(offset):
    noise = np.random.default_rng(0).normal(offset, 5, SHAPE)
    assert found(np.clip(noise, 0, None).astype(np.uint16)).mean() < 0.02


def test_fluorescence_that_is_all_tissue_is_all_kept():
    texture = ndimage.gaussian_filter(np.random.default_rng(0).normal(0, 1, SHAPE), 6)
    assert found((1000 + 200 * texture / texture.std()).astype(np.uint16)).all()


def test_fluorescence_as_colours():
    image = np.zeros((*SHAPE, 3), np.uint8)
    image[PIECE] = (10, 20, 180)
    cells = found(image)
    assert recall(PIECE, cells) == 1
    assert cells.mean() < 1.35 * PIECE.mean()


@pytest.mark.parametrize("channels", [1, 3], ids=["one-channel", "saved-as-colours"])
def test_grey_brightfield(channels):
    cells = found(slide((PIECE, (170, 170, 170)))[..., :1].repeat(channels, axis=2))
    assert recall(PIECE, cells) > 0.999
    assert cells.mean() < 1.35 * PIECE.mean()


def test_one_level_is_read_in_blocks_and_gives_what_a_pyramid_gives():
    fine = slide((PIECE, PINK)).repeat(16, 0).repeat(16, 1)
    size = PixelSize.square(0.5)
    alone = list(find_tissue_steps(ArrayReader(fine, pixel_size=size)))
    assert len(alone) == 3 * 4
    pyramid = ArrayReader([fine, fine[::16, ::16]], pixel_size=size)
    assert (
        find_tissue(ArrayReader(fine, pixel_size=size)).cells == find_tissue(pyramid).cells
    ).mean() > 0.995


def test_the_user_knows_the_pixel_size_better():
    reader = ArrayReader(slide((PIECE, PINK)), pixel_size=SIZE)
    assert find_tissue(reader, pixel_size=PixelSize.square(1.0)).cells.shape == (38, 50)


def test_cancel():
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        next(find_tissue_steps(ArrayReader(slide()), cancel=token))


@pytest.mark.parametrize("name", ["t.geojson", "t.geojson.gz", "t.parquet", "t.png", "t.tif"])
def test_files_keep_the_mask(tmp_path, name):
    reader = ArrayReader(slide((PIECE & ~blob(150, 150, 30), PINK)), pixel_size=SIZE)
    mask = find_tissue(reader)
    save_tissue(tmp_path / name, mask, reader.info)
    back = load_tissue(tmp_path / name, reader.info)
    assert (back.cells == mask.cells).mean() > 0.99
    assert back.share == pytest.approx(mask.share, rel=0.02)
    assert 0 < mask.share < 1


def test_an_empty_mask_is_a_file_too(tmp_path):
    info = ArrayReader(slide()).info
    save_tissue(tmp_path / "t.geojson", TissueMask.over(np.zeros((5, 5), bool), info), info)
    assert load_tissue(tmp_path / "t.geojson", info).share == 0


def test_ignored_areas_are_taken_off(tmp_path):
    def feature(name, ring):
        place = {"type": "Polygon", "coordinates": [ring]}
        kind = {"objectType": "annotation", "classification": {"name": name, "color": [1, 2, 3]}}
        return {"type": "Feature", "geometry": place, "properties": kind}

    import json

    whole, hole = ([[0, 0], [side, 0], [side, side], [0, side], [0, 0]] for side in (200, 100))
    path = tmp_path / "drawn.geojson"
    path.write_text(json.dumps([feature("Ignore*", hole), feature("Region*", whole)]))
    assert load_tissue(path, ArrayReader(slide()).info).area_px == 200**2 - 100**2


def test_files_that_say_nothing_are_refused(tmp_path):
    info = ArrayReader(slide()).info
    path = tmp_path / "points.geojson"
    path.write_text(
        '[{"type":"Feature","geometry":{"type":"Point","coordinates":[1,2]},"properties":{}}]'
    )
    with pytest.raises(ObjectsFileError, match="no area"):
        load_tissue(path, info)
    with pytest.raises(ObjectsFileError, match="no such file"):
        load_tissue(tmp_path / "none.geojson", info)
    with pytest.raises(WriteError, match="not known"):
        save_tissue(tmp_path / "t.bmp", TissueMask.everything(info), info)


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        pytest.param("CMU-1-Small-Region.svs", 0.40, 0.55, id="he"),
        pytest.param("luna_1065626.svs", 0.008, 0.03, id="ihc-nearly-empty"),
    ],
)
def test_real_slides(data_dir, name, least, most):
    with open_slide(data_dir / "slides" / name) as reader:
        assert least < find_tissue(reader).share < most


def test_params_are_checked():
    with pytest.raises(ValueError, match="larger than 0"):
        TissueParams(cell_um=0)
