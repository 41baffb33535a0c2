"""Which patch a gesture is shown in, and where the answer lies on the slide."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_histo.core import (
    BoxPrompt,
    CancelToken,
    Contours,
    PixelSize,
    PointPrompt,
    ScribblePrompt,
)
from napari_histo.errors import Cancelled, PixelSizeUnknownError
from napari_histo.pipeline.prompt import PromptEngine, PromptRequest, prompt_objects
from napari_histo.slides import ArrayReader
from napari_histo.store.prompt_files import PromptedObject
from support.lattice import finish
from support.prompts import BrightRegion


def disc(shape, x, y, radius, *, levels=1):
    """A pyramid with one bright disc, uint8 RGB."""
    yy, xx = np.mgrid[: shape[0], : shape[1]] + 0.5
    inside = (xx - x) ** 2 + (yy - y) ** 2 <= radius**2
    full = np.repeat((inside * 255).astype(np.uint8)[..., None], 3, axis=-1)
    pyramid = [full]
    for _ in range(levels - 1):
        h, w = (n // 2 * 2 for n in pyramid[-1].shape[:2])
        blocks = pyramid[-1][:h, :w].reshape(h // 2, 2, w // 2, 2, 3)
        pyramid.append(blocks.mean(axis=(1, 3)).astype(np.uint8))
    return pyramid


def engine_of(levels, *, um=0.25, model=None, **more):
    size = None if um is None else PixelSize.square(um)
    reader = ArrayReader(levels, name="disc", pixel_size=size, is_rgb=True)
    return PromptEngine(reader, model or BrightRegion(), **more)


def ask(engine, *prompts, others=None, other_prompts=()):
    request = PromptRequest(prompts, others or Contours.empty(), other_prompts)
    return engine.answer([request])[0]


def centre_and_radius(answer):
    return answer.contours.centroids[0], float(np.sqrt(answer.contours.areas_px[0] / np.pi))


@pytest.mark.parametrize(
    ("um", "radius", "levels"),
    [(0.25, 15, 1), (0.5, 12, 1), (0.125, 40, 2), (0.25, 200, 4), (1.0, 90, 3), (None, 15, 1)],
    ids=["nucleus", "upsampled", "downsampled", "gland on a pyramid", "large at 10x", "unknown µm"],
)
def test_the_outline_lies_where_the_object_lies(um, radius, levels):
    at = (431.3, 520.8)
    engine = engine_of(disc((1100, 1000), *at, radius, levels=levels), um=um)
    centre, found = centre_and_radius(ask(engine, PointPrompt(at[0] + 3, at[1] - 2)))
    # Half a pixel, or half of one of the coarser pixels that a large object is looked at in.
    coarse = max(1.0, radius / 36)
    assert np.abs(centre - at).max() < 0.5 * coarse
    assert abs(found - radius) < 0.5 * coarse


@given(x=st.floats(5, 295), y=st.floats(5, 195))
def test_anywhere_in_an_image_that_is_not_square(x, y):
    engine = engine_of(disc((200, 300), x, y, 12))
    answer = ask(engine, PointPrompt(x, y))
    left, top, right, bottom = answer.contours.bounds[0]
    assert left >= 0
    assert top >= 0
    assert right <= 300
    assert bottom <= 200
    assert abs((left + right) / 2 - (max(x - 12, 0) + min(x + 12, 300)) / 2) < 1
    assert abs((top + bottom) / 2 - (max(y - 12, 0) + min(y + 12, 200)) / 2) < 1


def test_a_click_is_looked_at_in_the_models_pixels_and_a_large_answer_in_coarser_ones():
    model = BrightRegion()
    ask(engine_of(disc((600, 600), 300, 300, 15), model=model), PointPrompt(300, 300))
    assert len(model.seen) == 1
    model = BrightRegion()
    ask(engine_of(disc((600, 600), 300, 300, 150), model=model), PointPrompt(300, 300))
    assert len(model.seen) == 3  # 32, 64 and 128 µm wide: the last holds 75 µm


@pytest.mark.parametrize(
    "prompt",
    [
        BoxPrompt(100, 100, 500, 500),
        ScribblePrompt(np.array([(130, 300), (300, 310), (470, 290)], np.float32)),
    ],
    ids=["box", "squiggle"],
)
def test_a_large_gesture_starts_with_a_patch_that_holds_it(prompt):
    model = BrightRegion()
    engine = engine_of(disc((600, 600), 300, 300, 190), model=model)
    centre, radius = centre_and_radius(ask(engine, prompt))
    assert len(model.seen) == 1
    assert np.abs(centre - 300).max() < 4
    assert abs(radius - 190) < 4


def test_only_the_patch_is_read():
    class Counting(ArrayReader):
        read_px = 0

        def read(self, box, level=0):
            Counting.read_px += box.area
            return super().read(box, level)

    levels = disc((2000, 2000), 1000, 1000, 15)
    reader = Counting(levels, name="big", pixel_size=PixelSize.square(0.25), is_rgb=True)
    ask(PromptEngine(reader, BrightRegion()), PointPrompt(1000, 1000))
    assert Counting.read_px <= 130**2


def test_several_objects_at_once_answer_in_their_order():
    levels = disc((400, 800), 100, 100, 15)
    yy, xx = np.mgrid[:400, :800] + 0.5
    levels[0][(xx - 600) ** 2 + (yy - 250) ** 2 <= 20**2] = 255
    engine = engine_of(levels)
    requests = [
        PromptRequest((PointPrompt(600, 250),), Contours.empty()),
        PromptRequest((PointPrompt(300, 300),), Contours.empty()),
        PromptRequest((PointPrompt(100, 100),), Contours.empty()),
    ]
    found = engine.answer(requests)
    assert [a.is_empty for a in found] == [False, True, False]
    assert np.abs(found[0].contours.centroids[0] - (600, 250)).max() < 0.5
    assert np.abs(found[2].contours.centroids[0] - (100, 100)).max() < 0.5


def test_coordinates_are_rounded_as_qupath_writes_them():
    answer = ask(engine_of(disc((300, 300), 150.3, 150.7, 15), um=0.4), PointPrompt(150, 150))
    xy = answer.contours.xy.astype(np.float64)
    assert np.abs(xy - np.round(xy, 2)).max() < 1e-4


def ring(x, y, radius):
    angle = np.linspace(0, 2 * np.pi, 40)
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1)


def test_neighbours_are_excluded_but_not_what_is_touched_or_much_smaller():
    model = BrightRegion()
    engine = engine_of(disc((600, 600), 300, 300, 15), model=model)
    others = Contours.from_rings([ring(340, 300, 12), ring(300, 300, 14), ring(330, 330, 3)])
    ask(engine, PointPrompt(300, 300), others=others)
    kept = model.seen[0].others
    assert len(kept) == 1
    assert np.abs(kept.centroids[0] - (104, 64)).max() < 0.1


def test_gestures_for_other_objects_count_against_this_one():
    model = BrightRegion()
    engine = engine_of(disc((600, 600), 300, 300, 15), model=model)
    ask(
        engine,
        PointPrompt(300, 300),
        other_prompts=(PointPrompt(320, 300), PointPrompt(310, 300, positive=False)),
    )
    prompts = model.seen[0].prompts
    assert [p.positive for p in prompts] == [True, False]
    assert prompts[1].x - prompts[0].x == pytest.approx(20)


def test_a_click_outside_the_image_finds_nothing():
    assert ask(engine_of(disc((300, 300), 150, 150, 15)), PointPrompt(-500, 900)).is_empty


def test_a_model_of_one_pixel_size_asks_for_the_images():
    with pytest.raises(PixelSizeUnknownError, match="pixel size"):
        engine_of(disc((300, 300), 1, 1, 5), um=None, model=BrightRegion(nominal=False))


def test_reach_holds_the_patch():
    box = engine_of(disc((600, 600), 300, 300, 15), um=0.5).reach_px([PointPrompt(300, 300)])
    assert (box.width, box.height) == (64, 64)
    assert abs(box.x + box.width / 2 - 300) <= 1


def test_a_file_of_gestures_becomes_a_table_with_classes():
    levels = disc((300, 300), 150, 150, 15)
    objects = [
        PromptedObject((PointPrompt(150, 150),), "Tumor"),
        PromptedObject((PointPrompt(20, 20),), "Stroma"),
    ]
    table = finish(prompt_objects(engine_of(levels), objects))[0]
    assert len(table) == 1
    assert table.class_names.tolist() == ["Tumor"]
    assert table.classes.names == ("Tumor", "Stroma")
    assert table.sources == ("bright",)


def test_cancelling_stops_between_batches():
    cancel = CancelToken()
    cancel.cancel()
    work = prompt_objects(engine_of(disc((300, 300), 150, 150, 15)), [], cancel)
    assert len(finish(work)[0]) == 0
    work = prompt_objects(
        engine_of(disc((300, 300), 150, 150, 15)), [PromptedObject((PointPrompt(1, 1),))], cancel
    )
    with pytest.raises(Cancelled):
        finish(work)
