"""The click network as a segmenter: its maps, its outlines, its files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import napari_histo
from napari_histo.core import BoxPrompt, Contours, PointPrompt, PromptPatch, ScribblePrompt
from napari_histo.errors import ModelError
from napari_histo.models import (
    get_info,
    list_models,
    list_prompt_models,
    load_model,
    load_prompt_model,
)
from napari_histo.models.nuclick.maps import BOX, EXCLUDE, INCLUDE, draw_areas, draw_maps, encode
from napari_histo.models.nuclick.segmenter import _outline
from napari_histo.testing.synthetic import make_he_field


@pytest.fixture(scope="module")
def model():
    return load_prompt_model(precision="float32", device="cpu")


# -- maps ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "channel"),
    [
        (PointPrompt(40.5, 20.5), INCLUDE),
        (PointPrompt(40.5, 20.5, positive=False), EXCLUDE),
        (BoxPrompt(30, 15, 51, 26), BOX),
        (BoxPrompt(30, 15, 51, 26, positive=False), EXCLUDE),
        (ScribblePrompt(np.array([(35, 20.5), (46, 20.5)], np.float32)), INCLUDE),
        (ScribblePrompt(np.array([(40.5, 20.5)], np.float32), positive=False), EXCLUDE),
    ],
    ids=["click", "not here", "box", "not in box", "squiggle", "a dot of a squiggle"],
)
def test_a_gesture_is_drawn_where_it_is_in_one_map(prompt, channel):
    maps = draw_maps([prompt], 64)
    assert [bool(m.any()) for m in maps] == [c == channel for c in range(3)]
    ys, xs = np.nonzero(maps[channel])
    assert abs(xs.mean() + 0.5 - 40.5) < 0.6
    assert abs(ys.mean() + 0.5 - 20.5) < 0.6


def test_gestures_beyond_the_patch_are_borne():
    maps = draw_maps([PointPrompt(-50, 300), BoxPrompt(-10, -10, 200, 200)], 64)
    assert not maps[INCLUDE].any()
    assert maps[BOX].all()


def test_nearness_is_one_on_the_gesture_and_falls_with_distance():
    near = encode(draw_maps([PointPrompt(10.5, 10.5)], 64))
    assert near[INCLUDE, 10, 10] == 1
    assert near[INCLUDE, 10, 29] == pytest.approx(np.exp(-17 / 16), abs=0.05)
    assert not near[EXCLUDE].any()


def test_areas_fill_their_holes():
    ring = np.array([(10, 10), (30, 10), (30, 30), (10, 30)])
    drawn = draw_areas(Contours.from_rings([ring]), 64)
    assert drawn.sum() == pytest.approx(400, abs=41)
    assert drawn[20, 20]
    assert not drawn[5, 5]


# -- outlines --------------------------------------------------------------------------------------


def blob(centre, radius, side=128):
    yy, xx = np.mgrid[:side, :side]
    return radius - np.hypot(xx - centre[0], yy - centre[1])


def test_the_component_under_the_click_is_taken_and_its_hole_filled():
    hole = -np.abs(blob((40, 60), 4)) * (blob((40, 60), 4) > 0)
    logits = np.maximum(blob((40, 60), 15), blob((90, 60), 20)).astype(np.float32)
    logits[hole < 0] = -1
    answer = _outline(logits, draw_maps([PointPrompt(48.5, 60.5)], 128))
    assert len(answer.contours) == 1
    assert np.abs(answer.contours.centroids[0] - (40.5, 60.5)).max() < 0.3
    assert answer.contours.areas_px[0] == pytest.approx(np.pi * 15**2, rel=0.03)
    assert 0 < answer.score <= 1


def test_the_outline_is_exact_to_a_part_of_a_pixel():
    answer = _outline(
        blob((64, 64), 20.3).astype(np.float32), draw_maps([PointPrompt(64, 64)], 128)
    )
    left, top, right, bottom = answer.contours.bounds[0]
    assert [left, right] == pytest.approx([64.5 - 20.3, 64.5 + 20.3], abs=0.1)
    assert [top, bottom] == pytest.approx([64.5 - 20.3, 64.5 + 20.3], abs=0.1)


def test_a_box_takes_what_fills_it_most():
    logits = np.maximum(blob((40, 60), 15), blob((90, 60), 10)).astype(np.float32)
    answer = _outline(logits, draw_maps([BoxPrompt(20, 30, 100, 90)], 128))
    assert np.abs(answer.contours.centroids[0] - (40.5, 60.5)).max() < 0.3


def test_nothing_under_the_click_is_an_empty_answer():
    answer = _outline(np.full((128, 128), -3, np.float32), draw_maps([PointPrompt(64, 64)], 128))
    assert answer.is_empty
    assert answer.score == 0


def test_an_object_that_fills_the_patch_ends_at_its_edge():
    answer = _outline(np.full((128, 128), 5, np.float32), draw_maps([PointPrompt(64, 64)], 128))
    assert answer.contours.bounds[0].tolist() == pytest.approx([0, 0, 128, 128], abs=0.6)


# -- the network -----------------------------------------------------------------------------------


def patch_at(field, row):
    x, y = field.table.centroids[row]
    left, top = int(x) - 64, int(y) - 64
    pixels = field.image[top : top + 128, left : left + 128]
    return PromptPatch(pixels, [PointPrompt(x - left, y - top)], Contours.empty())


@pytest.fixture(scope="module")
def field():
    return make_he_field(np.random.default_rng(3), size_px=512)


@pytest.fixture(scope="module")
def inner(field):
    centres = field.table.centroids
    return np.flatnonzero(((centres > 70) & (centres < 440)).all(axis=1))[:24]


def test_clicks_find_most_drawn_nuclei(model, field, inner):
    answers = model.answer([patch_at(field, row) for row in inner])
    areas = np.array([a.contours.areas_px[0] if not a.is_empty else 0 for a in answers])
    ratio = areas / field.table.areas_px[inner]
    assert ((ratio > 0.5) & (ratio < 2)).mean() > 0.75


def test_a_batch_answers_as_its_parts_do(model, field, inner):
    patches = [patch_at(field, row) for row in inner[:18]]
    together = model.answer(patches)
    alone = [model.answer([patch])[0] for patch in patches]
    for a, b in zip(together, alone, strict=True):
        assert a.score == pytest.approx(b.score, abs=1e-4)
        assert a.contours.areas_px[0] == pytest.approx(b.contours.areas_px[0], abs=0.5)


def test_gray_images_of_16_bits_are_answered(model):
    pixels = (np.clip(blob((64, 64), 14), 0, 1) * 3000 + 200).astype(np.uint16)[..., None]
    answer = model.answer([PromptPatch(pixels, [PointPrompt(64, 64)], Contours.empty())])[0]
    assert answer.contours.areas_px[0] == pytest.approx(np.pi * 14**2, rel=0.35)


def test_a_second_click_that_excludes_takes_a_neighbour_away(model):
    two = np.maximum(blob((52, 64), 12), blob((75, 64), 12))
    pixels = (np.clip(two, 0, 1) * 200 + 20).astype(np.uint8)[..., None]
    clicks = [PointPrompt(52, 64), PointPrompt(75, 64, positive=False)]
    answer = model.answer([PromptPatch(pixels, clicks, Contours.empty())])[0]
    assert answer.contours.bounds[0, 2] < 72


# -- files and names -------------------------------------------------------------------------------


def test_prompt_models_and_segmenters_are_kept_apart():
    assert [info.name for info in list_prompt_models()] == ["click"]
    assert "click" not in [info.name for info in list_models()]
    assert get_info("click").family == "nuclick"
    with pytest.raises(ModelError, match="answers clicks"):
        load_model("click")
    with pytest.raises(ModelError, match="does not answer clicks"):
        load_prompt_model("he-nuclei")


def test_damaged_weights_are_named(tmp_path):
    (tmp_path / "config.json").write_text('{"architecture": "nuclick"}')
    (tmp_path / "card.json").write_text('{"family": "nuclick", "channels": "any"}')
    (tmp_path / "weights.safetensors").write_bytes(b"not a file of weights")
    with pytest.raises(ModelError, match=r"weights\.safetensors does not hold a click network"):
        load_prompt_model(str(tmp_path))


@pytest.mark.gpu
def test_a_gpu_gives_the_same_outlines(model, field, inner):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    there = load_prompt_model(device="cuda")
    patches = [patch_at(field, row) for row in inner]
    for a, b in zip(model.answer(patches), there.answer(patches), strict=True):
        assert a.contours.areas_px[0] == pytest.approx(b.contours.areas_px[0], rel=0.05)


def test_shipped_card_belongs_to_its_weights():
    folder = Path(napari_histo.__file__).parent / "models/weights/click"
    card = json.loads((folder / "card.json").read_text("utf-8"))
    weights = (folder / "weights.safetensors").read_bytes()
    assert card["sha256"] == hashlib.sha256(weights).hexdigest()
    assert len(weights) < 10e6
    assert card["sha256"][:16] in (folder / "CARD.md").read_text("utf-8")
