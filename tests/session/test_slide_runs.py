"""Whole-slide runs of the Segment panel, without a window."""

from __future__ import annotations

import os
import shutil
import threading
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from napari_histo.core import Box, Contours, ObjectType, Progress, Thresholds
from napari_histo.errors import ImageError, WriteError
from napari_histo.ops.tissue import TissueMask
from napari_histo.session import CellsBy, CellsChoice, ImageChoice, Phase, Region, Scope
from napari_histo.session.segment import controller as segmentation
from napari_histo.session.segment import slide_order, state
from napari_histo.session.segment.pace import Clock
from napari_histo.session.segment.run_place import Found, find_place
from napari_histo.slides import ArrayReader
from support.inbox import PATIENCE_S

SIZE = 400
WHOLE = Region.of_box(Box(0, 0, SIZE, SIZE))
FACTS = {"image": {"name": "a"}, "model": {"name": "m"}, "parameters": {"tile_px": 64}}


@pytest.fixture(autouse=True)
def _small_is_large(monkeypatch):
    monkeypatch.setattr(state, "_LARGE_PX", SIZE * SIZE - 1)
    monkeypatch.setattr(segmentation, "_TILE_PX", 96)


@pytest.fixture
def slide(tmp_path):
    """Image of 400 x 400 px with a bright dot every 20 px, in a file."""
    pixels = np.zeros((SIZE, SIZE), np.uint8)
    pixels[10::20, 10::20] = 200
    path = tmp_path / "slides" / "slide.tif"
    path.parent.mkdir()
    path.write_bytes(b"")
    return ImageChoice("a", ArrayReader(pixels, name="layer"), path=path)


@pytest.fixture
def bench(bench, tmp_path):
    return partial(bench, data_folder=tmp_path / "data")


def start(b, slide, region=WHOLE, tissue_only=False):
    b.controller.choose_image(slide)
    b.controller.choose_tissue_only(tissue_only)
    b.controller.run(region)
    assert b.state.phase is Phase.RUNNING, b.state.error


def end(b):
    b.wait(lambda: b.state.phase is Phase.IDLE)
    return b.state.result


def run(b, slide, *args, **options):
    start(b, slide, *args, **options)
    return end(b)


def stop_after(b, slide, n_parts):
    """A run that is cancelled when so many tiles are settled; it waits for that before the end."""
    cancelled = threading.Event()
    b.model.hold = lambda: b.model.calls < 20 or cancelled.wait(PATIENCE_S)
    start(b, slide)
    b.wait(lambda: b.state.growing is not None and b.state.growing.n_parts >= n_parts)
    b.controller.cancel()
    cancelled.set()
    return end(b)


def ids(table):
    return set(table.uuids())


def test_objects_come_tile_by_tile_and_are_the_files_in_the_end(bench, slide):
    b = bench()
    seen, progress = [], []
    b.state.events.progress.connect(progress.append)
    start(b, slide)
    b.wait(lambda: b.state.growing is not None)
    growing = b.state.growing
    growing.changed.connect(lambda box: seen.append((box, growing.n_objects)))
    result = end(b)
    assert b.state.error == ""
    assert len(result.table) == 400
    assert result.folder == slide.path.with_name("slide.tif.napari-histo-run")
    assert (result.folder / "objects.parquet").exists()
    assert b.state.notice == f"Kept beside the image, in {result.folder.name}."
    assert len(seen) > 15
    assert [n for _, n in seen] == sorted(n for _, n in seen)
    assert {p.total for p in progress if p is not None} >= {25}
    whole, rows = next(growing.near(Box(0, 0, SIZE, SIZE)))
    assert whole.part.table is result.table
    assert len(rows) == 400
    assert result.statistics.count == 400
    assert not b.state.is_live


def test_nuclei_of_a_slide_become_cells_in_the_end(bench, slide):
    """The run keeps nuclei: another distance finds it finished."""
    b = bench()
    b.controller.choose_image(slide)
    b.controller.type_pixel_size(0.5)
    tables = []
    for um in (1.0, 2.0):
        b.controller.choose_cells(CellsChoice(CellsBy.GROW, um))
        tables.append(run(b, slide).table)
    assert b.state.error == ""
    assert [set(t.object_type.tolist()) for t in tables] == [{ObjectType.CELL}] * 2
    assert ids(tables[0]) == ids(tables[1])
    assert (tables[1].areas_px > tables[0].areas_px).all()
    assert tables[0].nuclei.areas_px == pytest.approx(tables[1].nuclei.areas_px)
    (whole, rows) = next(b.state.growing.near(Box(0, 0, SIZE, SIZE)))
    assert whole.part.table is tables[1]
    assert len(rows) == 400


def test_cancel_keeps_what_is_done_and_run_goes_on_in_the_same_picture(bench, slide):
    b = bench()
    result = stop_after(b, slide, 3)
    growing = b.state.growing
    assert b.state.notice.startswith("Stopped. What is done is kept in slide.tif")
    assert b.state.notice.endswith("press Run to go on.")
    assert 0 < len(result.table) < 400
    assert len(result.table) == growing.n_objects
    calls = b.model.calls

    notices = []
    b.state.events.notice.connect(notices.append)
    whole = run(b, slide)
    assert any(n.startswith("Going on with the run that was stopped.") for n in notices)
    assert b.state.growing is growing
    assert whole.run == result.run
    assert ids(result.table) <= ids(whole.table)
    assert len(whole.table) == 400
    assert b.model.calls < 25 + calls


def test_another_session_goes_on_and_shows_what_was_there(bench, slide):
    result = stop_after(bench(), slide, 5)
    b = bench()
    shown = []
    start(b, replace(slide, reader=ArrayReader(slide.reader._levels[0], name="slide [1]")))
    b.wait(lambda: b.state.growing is not None)
    b.state.growing.changed.connect(lambda _: shown.append(b.state.growing.n_objects))
    whole = end(b)
    assert whole.folder == result.folder
    assert b.state.growing.n_objects == len(whole.table) == 400
    assert ids(result.table) <= ids(whole.table)


def test_a_run_that_is_done_is_not_done_again(bench, slide):
    b = bench()
    first = run(b, slide)
    calls = b.model.calls
    again = run(b, slide)
    assert b.model.calls == calls
    assert ids(again.table) == ids(first.table)
    assert again.run == first.run
    assert b.state.notice.startswith("This was run before with the same settings.")
    other = run(bench(), slide)
    assert ids(other.table) == ids(first.table)


def test_other_thresholds_are_another_run_and_the_first_stays(bench, slide):
    b = bench()
    first = run(b, slide)
    b.controller.set_thresholds(Thresholds(0.9))
    second = run(b, slide)
    assert len(second.table) == 0
    assert second.folder.name == "slide.tif (2).napari-histo-run"
    assert second.run != first.run
    assert (first.folder / "objects.parquet").exists()


def test_a_folder_that_was_removed_is_begun_anew(bench, slide):
    b = bench()
    first = run(b, slide)
    growing = b.state.growing
    shutil.rmtree(first.folder)
    again = run(b, slide)
    assert len(again.table) == 400
    assert b.state.growing is not growing


def test_a_run_that_did_nothing_leaves_nothing(bench, slide):
    b = bench()
    before = run(b, slide, Region.of_box(Box(0, 0, 50, 50)))

    def fail():
        raise ImageError("The file is damaged.")

    b.model.hold = fail
    start(b, slide)
    assert end(b) is before
    assert b.state.error == "The file is damaged."
    assert b.state.growing is None
    assert [p.name for p in slide.path.parent.iterdir()] == ["slide.tif"]


def test_an_accident_keeps_what_is_done(bench, slide):
    b = bench()

    def fail():
        if b.model.calls > 20:
            raise RuntimeError("the disk went")

    b.model.hold = fail
    start(b, slide)
    result = end(b)
    assert "the disk went" in b.state.error
    assert "is kept in" in b.state.notice
    assert 0 < len(result.table) < 400
    b.model.hold = lambda: None
    assert len(run(b, slide).table) == 400
    assert b.state.error == ""


def test_cancel_before_anything_is_found(bench, slide):
    b = bench()
    asked, gate = threading.Event(), threading.Event()
    b.model.hold = lambda: (asked.set(), gate.wait(PATIENCE_S))
    start(b, slide)
    assert asked.wait(PATIENCE_S)
    b.controller.cancel()
    gate.set()
    assert end(b) is None
    assert b.state.growing is None
    assert b.state.error == ""
    assert b.state.notice


def test_shapes_on_a_slide_say_where_to_look(bench, slide):
    b = bench()
    b.controller.choose_scope(Scope.SHAPES)
    rings = [[(0, 0), (400, 0), (400, 100), (0, 100)], [(0, 300), (400, 300), (400, 400), (0, 400)]]
    region = Region.of_outlines(Contours.from_rings([*rings]), Box(0, 0, SIZE, SIZE))
    assert len(run(b, slide, region).table) == 200  # two pieces of 80,000 px: in memory
    assert b.state.result.folder is None
    rings[0][2:] = [(400, 200), (0, 200)]
    rings[1][:2] = [(0, 150), (400, 150)]
    region = Region.of_outlines(Contours.from_rings(rings), Box(0, 0, SIZE, SIZE))
    result = run(b, slide, region)
    assert result.folder is not None
    assert len(result.table) == 400


@pytest.mark.parametrize(
    ("columns", "expected", "notice"),
    [
        pytest.param([1, 0], 200, "Kept beside", id="half"),
        pytest.param([0, 0], 0, "No tissue was found", id="none"),
    ],
)
def test_tissue_alone_is_looked_at(bench, slide, monkeypatch, columns, expected, notice):
    def steps(reader, **_):
        yield Progress(0, 1, "Looking for tissue")
        return TissueMask.over(np.array([columns], bool), reader.info)

    monkeypatch.setattr(slide_order, "find_tissue_steps", steps)
    b = bench()
    assert len(run(b, slide, tissue_only=True).table) == expected
    assert notice in b.state.notice


@pytest.mark.parametrize(
    ("existing", "name", "found"),
    [
        pytest.param({}, "a.svs.napari-histo-run", Found.NOTHING, id="new"),
        pytest.param({"": FACTS}, "a.svs.napari-histo-run", Found.UNFINISHED, id="same"),
        pytest.param(
            {"": {**FACTS, "model": {"name": "other"}}},
            "a.svs (2).napari-histo-run",
            Found.NOTHING,
            id="another model",
        ),
        pytest.param({"": None}, "a.svs (2).napari-histo-run", Found.NOTHING, id="other things"),
        pytest.param(
            {"": {**FACTS, "format_version": 99}, " (2)": FACTS},
            "a.svs (2).napari-histo-run",
            Found.UNFINISHED,
            id="newer version",
        ),
    ],
)
def test_place_of_a_run(tmp_path, existing, name, found):
    import json

    for number, facts in existing.items():
        folder = tmp_path / f"a.svs{number}.napari-histo-run"
        folder.mkdir()
        text = "notes" if facts is None else json.dumps(facts)
        (folder / ("notes.txt" if facts is None else "run.json")).write_text(text)
    place = find_place(tmp_path / "a.svs", "a.svs", FACTS, tmp_path / "data")
    assert (place.folder.name, place.found, place.is_away) == (name, found, False)
    if found is Found.UNFINISHED:
        (place.folder / "summary.json").write_text("{}")
        again = find_place(tmp_path / "a.svs", "a.svs", FACTS, tmp_path / "data")
        assert again.found is Found.FINISHED


def test_a_run_goes_elsewhere_where_the_images_folder_takes_no_files(
    tmp_path, monkeypatch, bench, slide
):
    closed = slide.path.parent
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda p, mode: p != closed and allowed(p, mode))
    b = bench()
    result = run(b, slide)
    assert result.folder.is_relative_to(tmp_path / "data" / "runs")
    assert f"Kept in {result.folder}, for there is no room" in b.state.notice
    assert ids(run(bench(), slide).table) == ids(result.table)
    monkeypatch.setattr(os, "access", lambda p, mode: False)
    with pytest.raises(WriteError, match="neither"):
        find_place(slide.path, "slide", FACTS, tmp_path / "data")


def test_pace_counts_this_sessions_tiles_alone():
    clock = Clock()
    assert clock.note(Progress(0, 0, "Loading the model"), 0.0) is None
    assert clock.note(Progress(60, 100), 10.0) is None
    assert clock.note(Progress(61, 100), 11.0) is None
    pace = clock.note(Progress(64, 100), 18.0)
    assert (pace.tile_s, pace.left_s) == (2.0, 72.0)
    assert clock.note(Progress(3, 8, "Opening"), 19.0) is None
