"""What the Segment panel does, without a window."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_histo.core import Box, Contours, ModelInfo, Thresholds
from napari_histo.errors import ImageError, WriteError
from napari_histo.session import Phase, Region
from support.inbox import PATIENCE_S

WHOLE = Region.of_box(Box(0, 0, 100, 60))
STRICT = ModelInfo("strict", "fake", pixel_size_um=0.5, channels="gray")


def run(bench, choice, region=WHOLE):
    """A finished run."""
    bench.controller.choose_image(choice)
    bench.controller.run(region)
    bench.wait(lambda: bench.state.phase is Phase.IDLE)
    return bench.state.result


def reselect(bench, prob, nms=0.4):
    before = bench.state.result
    bench.controller.set_thresholds(Thresholds(prob, nms))
    bench.wait(lambda: bench.state.result is not before)
    return bench.state.result


def centres(result):
    return sorted(tuple(np.floor(c).astype(int).tolist()) for c in result.table.centroids)


def ids_by_centre(result):
    return dict(zip(map(tuple, result.table.centroids), result.table.uuids(), strict=True))


def test_run_gives_objects_in_full_resolution_px(bench, choice):
    b = bench()
    result = run(b, choice(um=0.5))
    assert centres(result) == [(10, 10), (40, 30)]
    assert result.statistics.unit == "µm²"
    assert result.info.pixel_size.x_um == 0.5
    assert b.state.error == b.state.notice == ""


def test_region_alone_is_looked_at(bench, choice):
    result = run(bench(), choice(), Region.of_box(Box(30, 20, 30, 30)))
    assert centres(result) == [(40, 30)]


def test_drawn_regions_run_one_by_one_and_keep_what_lies_inside(bench, choice):
    b = bench()
    rings = [[(5, 5), (20, 5), (20, 20), (5, 20)], [(35, 36), (45, 36), (45, 26)]]
    region = Region.of_outlines(Contours.from_rings(rings), Box(0, 0, 100, 60))
    result = run(b, choice(), region)
    assert b.model.calls == 2
    assert centres(result) == [(10, 10)]


@pytest.mark.parametrize(
    ("prob", "nms", "expected"),
    [
        pytest.param(0.8, 0.4, [(10, 10)], id="stricter"),
        pytest.param(0.35, 0.4, [(10, 10), (40, 30), (80, 50)], id="looser"),
        pytest.param(0.5, 0.9, [(10, 10), (15, 10), (40, 30)], id="more-overlap"),
    ],
)
def test_thresholds_choose_anew_without_the_network(bench, choice, prob, nms, expected):
    b = bench()
    first = run(b, choice())
    result = reselect(b, prob, nms)
    assert centres(result) == expected
    assert b.model.calls == b.loads == 1
    was = ids_by_centre(first)
    for centre, uuid in ids_by_centre(result).items():
        assert was.get(centre, uuid) == uuid


def test_there_and_back_gives_the_same_ids(bench, choice):
    b = bench()
    first = run(b, choice())
    reselect(b, 0.9, 0.1)
    again = reselect(b, first.thresholds.prob, first.thresholds.nms)
    assert set(again.table.uuids()) == set(first.table.uuids())
    assert again.run == first.run


def test_other_model_takes_its_own_thresholds_and_the_first_comes_back(bench, choice):
    b = bench()
    run(b, choice())
    reselect(b, 0.8)
    b.controller.choose_model(replace(STRICT, thresholds=Thresholds(0.3, 0.2)))
    assert not b.state.is_live
    assert b.state.thresholds == Thresholds(0.3, 0.2)
    b.controller.choose_model(b.model.info)
    assert b.state.is_live
    assert b.state.thresholds.prob == 0.8


def test_sliders_before_a_run_are_for_the_run(bench, choice):
    b = bench()
    b.controller.set_thresholds(Thresholds(0.25))
    b.controller.choose_image(choice())
    b.controller.set_thresholds(Thresholds(0.25))
    assert centres(run_again(b)) == [(10, 10), (40, 30), (80, 50)]


def run_again(b):
    before = b.state.result
    b.controller.run(WHOLE)
    b.wait(lambda: b.state.result is not before)
    return b.state.result


def test_sliders_during_a_run_count_when_it_ends(bench, choice):
    b = bench()
    gate = threading.Event()
    b.model.hold = lambda: gate.wait(PATIENCE_S)
    b.controller.choose_image(choice())
    b.controller.run(WHOLE)
    b.controller.set_thresholds(Thresholds(0.8))
    gate.set()
    b.wait(lambda: b.state.result is not None and b.state.result.thresholds.prob == 0.8)
    assert centres(b.state.result) == [(10, 10)]


def test_cancel_leaves_what_was_there(bench, choice):
    b = bench()
    first = run(b, choice())
    gate = threading.Event()
    b.model.hold = lambda: gate.wait(PATIENCE_S)
    b.controller.run(WHOLE)
    assert b.state.phase is Phase.RUNNING
    b.controller.cancel()
    assert b.state.phase is Phase.CANCELLING
    gate.set()
    b.wait(lambda: b.state.phase is Phase.IDLE)
    assert b.state.result is first
    assert b.state.notice.startswith("Cancelled")
    assert b.state.error == ""


def test_progress_moves_forward_to_the_end(bench, choice):
    b = bench()
    seen = []
    b.state.events.progress.connect(seen.append)
    region = Region((Box(0, 0, 50, 60), Box(50, 0, 50, 60)))
    run(b, choice(), region)
    shares = [p.fraction for p in seen if p is not None]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert seen[-1] is None


@pytest.mark.parametrize(
    ("um", "typed", "model", "blocker"),
    [
        pytest.param(None, None, STRICT, "Type the pixel size first.", id="unknown"),
        pytest.param(None, 0.25, STRICT, "", id="typed"),
        pytest.param(0.5, None, STRICT, "", id="known"),
        pytest.param(None, None, replace(STRICT, pixel_size_nominal=True), "", id="nominal"),
        pytest.param(None, None, replace(STRICT, pixel_size_um=None), "", id="any-size"),
    ],
)
def test_pixel_size_is_asked_for_not_guessed(bench, choice, um, typed, model, blocker):
    b = bench()
    b.controller.choose_model(model)
    b.controller.choose_image(choice(um=um))
    b.controller.type_pixel_size(typed)
    assert b.state.blocker == blocker


def test_typed_pixel_size_wins_and_belongs_to_its_image(bench, choice):
    b = bench()
    b.controller.choose_image(choice("a", um=0.5))
    b.controller.type_pixel_size(0.25)
    assert b.state.pixel_size.x_um == 0.25
    b.controller.choose_image(choice("b", um=0.5))
    assert b.state.pixel_size.x_um == 0.5
    b.controller.choose_image(choice("a", um=0.5))
    assert b.state.pixel_size.x_um == 0.25
    b.controller.type_pixel_size(None)
    assert b.state.pixel_size.x_um == 0.5


def test_run_without_an_image_says_so(bench):
    b = bench()
    b.controller.run(WHOLE)
    assert b.state.error == "Open an image first."
    assert b.state.phase is Phase.IDLE


@pytest.mark.parametrize(
    ("error", "words"),
    [
        pytest.param(ImageError("The file is damaged."), "The file is damaged.", id="for-people"),
        pytest.param(MemoryError(), "Memory ran out", id="memory"),
        pytest.param(RuntimeError("CUDA out of memory."), "Memory ran out", id="gpu-memory"),
        pytest.param(KeyError("x"), "unexpected happened (KeyError: 'x')", id="our-mistake"),
    ],
)
def test_failed_run_leaves_one_message_and_the_old_result(bench, choice, error, words):
    b = bench()
    first = run(b, choice())

    def fail():
        raise error

    b.model.hold = fail
    b.controller.run(WHOLE)
    b.wait(lambda: b.state.phase is Phase.IDLE)
    assert words in b.state.error
    assert b.state.result is first
    b.model.hold = lambda: None
    run_again(b)
    assert b.state.error == ""


def test_nothing_found_is_told(bench, choice):
    b = bench()
    run(b, choice(pixels=np.zeros((60, 100), np.uint8)))
    assert "No objects were found" in b.state.notice
    assert b.state.result.statistics.count == 0


def test_save_says_when_until_the_result_changes(bench, choice):
    b = bench()
    result = run(b, choice())
    b.controller.save(Path("nuclei.geojson"))
    b.wait(lambda: b.state.saved is not None)
    assert b.saved == [(result, Path("nuclei.geojson"))]
    reselect(b, 0.8)
    assert b.state.saved is None


def test_file_of_an_older_choice_is_not_called_saved(bench, choice):
    gate = threading.Event()
    done = []
    b = bench(save=lambda result, path: gate.wait(PATIENCE_S) and done.append(path))
    run(b, choice())
    b.controller.save(Path("nuclei.geojson"))
    reselect(b, 0.8)
    gate.set()
    b.wait(lambda: not b.controller._saves.is_busy)
    assert done
    assert b.state.saved is None


def test_save_that_fails_is_told(bench, choice):
    def fail(result, path):
        raise WriteError("Cannot write there: the disk is full.")

    b = bench(save=fail)
    run(b, choice())
    b.controller.save(Path("nuclei.geojson"))
    b.wait(lambda: b.state.error != "")
    assert "disk is full" in b.state.error
    assert b.state.saved is None


def test_devices_are_found_in_the_background(bench):
    b = bench()
    assert b.state.devices == ("auto",)
    b.controller.find_devices()
    b.wait(lambda: len(b.state.devices) > 1)
    assert b.state.devices == ("auto", "cpu")


def test_model_is_loaded_again_only_for_another_device(bench, choice):
    b = bench()
    run(b, choice())
    run_again(b)
    assert b.loads == 1
    b.controller.choose_device("cpu")
    run_again(b)
    assert b.loads == 2


def test_nothing_is_heard_after_close(bench, choice):
    b = bench()
    gate = threading.Event()
    b.model.hold = lambda: gate.wait(PATIENCE_S)
    b.controller.choose_image(choice())
    b.controller.run(WHOLE)
    b.controller.close()
    gate.set()
    b.wait(lambda: not b.controller._runs.is_busy)
    assert b.state.result is None
