"""Whole-slide runs: the same objects as in one piece, whatever happens on the way."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_histo.core import Box, CancelToken, ObjectTable, PixelSize, Thresholds
from napari_histo.errors import Cancelled, ModelError, RunFolderError
from napari_histo.ops.tissue import TissueMask
from napari_histo.pipeline import RunRequest, SegmentRequest, segment, segment_slide
from napari_histo.slides import ArrayReader
from napari_histo.store import load_objects
from support.lattice import LatticeSegmenter, finish

CHILD = Path(__file__).with_name("run_child.py")


def slide(height=118, width=166, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 4000, (height, width, 1)).astype(np.uint16)
    return ArrayReader(pixels, name="noise", pixel_size=PixelSize.square(0.5), is_rgb=False)


def asked(tile_px=24, **options):
    return RunRequest(SegmentRequest(tile_px=tile_px, seed=7), **options)


def objects(reader, folder, request=None, model=None):
    done, steps = finish(
        segment_slide(reader, model or LatticeSegmenter(), folder, request or asked())
    )
    return by_id(load_objects(done.objects)), done, steps


def by_id(table: ObjectTable):
    shapes = {i: table.contours.ring(row).tolist() for row, i in enumerate(table.uuids())}
    return shapes, dict(zip(table.uuids(), table.det_prob.tolist(), strict=True))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 1000),
    tile_px=st.integers(24, 200),
    radius_px=st.floats(1.0, 5.0),
    nms=st.sampled_from([0.0, 0.3, 0.6]),
)
def test_the_objects_are_those_of_the_image_in_one_piece(
    tmp_path_factory, seed, tile_px, radius_px, nms
):
    reader, model = slide(70, 90, seed), LatticeSegmenter(radius_px=radius_px)
    request = SegmentRequest(thresholds=Thresholds(0.5, nms), tile_px=10_000, seed=7)
    whole = by_id(finish(segment(reader, model, request))[0].table)
    tiled = RunRequest(SegmentRequest(thresholds=Thresholds(0.5, nms), tile_px=tile_px, seed=7))
    found, done, _ = objects(reader, tmp_path_factory.mktemp("run") / "run", tiled, model)
    assert found == whole
    assert done.n_objects == len(whole[0]) > 0


def test_a_folder_tells_what_was_done(tmp_path):
    _, done, steps = objects(slide(), tmp_path / "run")
    facts = json.loads((done.folder / "run.json").read_text())
    assert facts["model"]["name"] == "lattice"
    assert facts["parameters"]["tile_px"] == facts["tile_px"] == 24
    assert facts["versions"]["numpy"] == np.__version__
    assert done.n_tiles == steps[-1].total == 35
    assert [s.done for s in steps] == sorted(s.done for s in steps)
    assert {p.name for p in done.folder.iterdir()} == {
        *("run.json", "log.txt", "objects.parquet", "summary.json")
    }


class Cut(LatticeSegmenter):
    """Stops the run after some batches: by the user's wish or by an accident."""

    def __init__(self, batches, token=None):
        super().__init__()
        self.left, self.token, self.tiles = batches, token, 0

    def propose(self, images, min_prob):
        if images.shape[1] <= self.align_px:  # the rehearsal
            return super().propose(images, min_prob)
        self.left -= 1
        if self.left < 0:
            if self.token is None:
                raise RuntimeError("the power went")
            self.token.cancel()
        self.tiles += len(images)
        return super().propose(images, min_prob)


@pytest.mark.parametrize("by", ["accident", "cancel"])
def test_a_broken_run_goes_on_and_no_tile_is_done_twice(tmp_path, by):
    whole, _, _ = objects(slide(), tmp_path / "whole")
    reader, folder, tiles = slide(), tmp_path / "run", []
    for batches in (0, 1, 3, 2, 100):
        token = CancelToken()
        model = Cut(batches, token if by == "cancel" else None)
        work = segment_slide(reader, model, folder, asked(resume=folder.exists()), token)
        try:
            done, _ = finish(work)
        except (RuntimeError, Cancelled):
            continue
        finally:
            tiles.append(model.tiles)
    assert by_id(load_objects(done.objects)) == whole
    assert sum(tiles) == done.n_tiles == 35
    assert min(tiles[2:]) > 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"request": asked(tile_px=64, resume=True)}, "side of a tile in px: 24 before, 64 now"),
        ({"reader": slide(seed=1)}, "pixels of the image: not as before"),
        (
            {"request": RunRequest(SegmentRequest(Box(0, 0, 99, 99), tile_px=24), resume=True)},
            "region: not given before, x 0, y 0, width 99",
        ),
        ({"request": asked()}, "Go on with it"),
    ],
    ids=["tile", "another slide", "region", "not asked to go on"],
)
def test_another_run_in_the_folder_is_noticed(tmp_path, change, told):
    folder, token = tmp_path / "run", CancelToken()
    with pytest.raises(Cancelled):
        finish(segment_slide(slide(), Cut(2, token), folder, asked(), token))
    reader = change.get("reader", slide())
    model, request = LatticeSegmenter(), change.get("request", asked(resume=True))
    with pytest.raises(RunFolderError, match=told) as error:
        finish(segment_slide(reader, model, folder, request))
    assert "--" not in str(error.value), "a window has no options"
    finish(segment_slide(slide(), LatticeSegmenter(), folder, asked(resume=True)))


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.docx").write_text("years of work")
    with pytest.raises(RunFolderError, match="not empty"):
        objects(slide(), tmp_path)
    assert [p.name for p in tmp_path.iterdir() if p.name != ".lock"] == ["thesis.docx"]


def test_two_processes_on_one_run(tmp_path):
    first = segment_slide(slide(), LatticeSegmenter(), tmp_path / "run", asked())
    next(first)
    with pytest.raises(RunFolderError, match="Another process"):
        objects(slide(), tmp_path / "run", asked(resume=True))
    finish(first)


@pytest.mark.parametrize("kind", ["proposals", "parts"])
def test_a_damaged_file_is_made_again(tmp_path, kind):
    whole, _, _ = objects(slide(), tmp_path / "whole")
    folder, token = tmp_path / "run", CancelToken()
    with pytest.raises(Cancelled):
        finish(segment_slide(slide(), Cut(12, token), folder, asked(), token))
    victim = sorted((folder / kind).iterdir())[0]
    victim.write_bytes(victim.read_bytes()[:40])
    with pytest.raises(RunFolderError, match="damaged"):
        objects(slide(), folder, asked(resume=True))
    found, _, _ = objects(slide(), folder, asked(resume=True))
    assert found == whole


# -- memory --------------------------------------------------------------------------------------


class Small(LatticeSegmenter):
    """Has room for so many pixels at once; on the processor for all."""

    def __init__(self, room_px, *, device="cpu", full="out of memory"):
        super().__init__()
        self.room_px, self.device, self.full = room_px, device, full

    def on_cpu(self):
        return self if self.device == "cpu" else Small(10**9)

    def propose(self, images, min_prob):
        if images.shape[0] * images.shape[1] * images.shape[2] > self.room_px:
            raise RuntimeError(f"CUDA {self.full}")
        return super().propose(images, min_prob)


@pytest.mark.parametrize(
    ("model", "tile_px", "told"),
    [
        (Small(2 * 72**2), 64, ["1 tile"]),
        (Small(140 * 150), 256, ["1 tile", "pieces of 128 px"]),
        (Small(10, device="cuda"), 256, ["1 tile", "pieces of 128 px", "on the processor"]),
    ],
    ids=["fewer at once", "pieces", "the processor"],
)
def test_where_memory_runs_out_it_goes_on_with_less_and_says_so(tmp_path, model, tile_px, told):
    whole, _, _ = objects(slide(230, 310), tmp_path / "whole", asked(tile_px))
    found, done, _ = objects(slide(230, 310), tmp_path / "run", asked(tile_px), model)
    assert found == whole
    assert len(done.notes) == len(told)
    assert all(words in note for words, note in zip(told, done.notes, strict=True))
    assert all(note in (done.folder / "log.txt").read_text() for note in done.notes)


@pytest.mark.parametrize(
    ("room_px", "tile_px"), [(1100, 1024), (600, 512), (300, 256), (10, 256)], ids=str
)
def test_tiles_fit_into_memory_and_stay_when_the_run_goes_on(tmp_path, room_px, tile_px):
    class Roomy(Cut):
        def room(self, side_px):
            return int(side_px <= room_px)

    token = CancelToken()
    request = RunRequest(SegmentRequest(seed=7))
    with pytest.raises(Cancelled):
        finish(segment_slide(slide(260, 300), Roomy(0, token), tmp_path / "run", request, token))
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["tile_px"] == tile_px
    again = RunRequest(SegmentRequest(seed=7), resume=True)
    done, _ = finish(
        segment_slide(slide(260, 300), LatticeSegmenter(radius_px=1.0), tmp_path / "run", again)
    )
    assert done.n_tiles == -(-260 // tile_px) * -(-300 // tile_px)


def test_no_memory_at_all_is_one_message(tmp_path):
    with pytest.raises(ModelError, match="Close other programs"):
        objects(slide(), tmp_path / "run", asked(256), Small(10))


def test_other_faults_are_not_taken_for_a_lack_of_memory(tmp_path):
    with pytest.raises(RuntimeError, match="misaligned"):
        objects(slide(), tmp_path / "run", asked(256), Small(10, full="misaligned address"))


# -- tissue --------------------------------------------------------------------------------------


@pytest.mark.parametrize("tile_px", [40, 64, 1000], ids=str)
def test_only_tissue_is_read_and_the_grid_does_not_matter(tmp_path, tile_px):
    reader = slide(230, 310)
    cells = np.zeros((23, 31), bool)
    cells[4:10, 5:12] = True
    tissue = TissueMask.over(cells, reader.info)
    found, done, _ = objects(reader, tmp_path / "run", asked(tile_px, tissue=tissue))
    everything, _, _ = objects(slide(230, 310), tmp_path / "all", asked(tile_px))
    assert 0 < len(found[0]) < len(everything[0]) / 5
    assert (done.folder / "tissue.geojson").exists()
    centres = load_objects(done.objects).centroids
    assert (centres.min(axis=0) > (40, 30)).all()
    if tile_px == 40:
        assert done.n_tiles == 4
        other, _, _ = objects(reader, tmp_path / "other", asked(97, tissue=tissue))
        assert other == found


def test_a_slide_without_tissue(tmp_path):
    reader = slide()
    tissue = TissueMask.over(np.zeros((4, 4), bool), reader.info)
    found, done, _ = objects(reader, tmp_path / "run", asked(tissue=tissue))
    assert found == ({}, {})
    assert done.n_tiles == done.n_objects == 0


# -- kill -9 -------------------------------------------------------------------------------------


def start(folder, *most_calls):
    command = [sys.executable, str(CHILD), str(folder), *map(str, most_calls)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def killed_at_random(folder, rng):
    """Kill a run some steps and milliseconds after it began; False where it was done by then."""
    steps = rng.integers(1, 10)
    child = start(folder, steps + 3)  # one to rehearse, and two that are under way
    for _ in range(steps):
        if child.stdout.readline().strip() == "done":
            child.wait()
            return False
    time.sleep(rng.uniform(0, 0.05))
    child.kill()
    child.communicate()
    return True


@pytest.mark.slow
def test_killed_ten_times_it_ends_with_the_same_objects(tmp_path):
    out, err = start(tmp_path / "whole").communicate()
    assert out.endswith("done\n"), err
    rng, kills = np.random.default_rng(0), 0
    while kills < 10 and killed_at_random(tmp_path / "run", rng):
        kills += 1
    assert kills == 10
    done_before = len(list((tmp_path / "run" / "proposals").glob("[0-9]*.npz")))
    out, err = start(tmp_path / "run").communicate()
    assert out.endswith("done\n"), err
    assert int(out.splitlines()[0]) == done_before > 20
    facts = [json.loads((tmp_path / n / "run.json").read_text()) for n in ("whole", "run")]
    assert facts[0]["seed"] == facts[1]["seed"]
    whole, broken = (load_objects(tmp_path / n / "objects.parquet") for n in ("whole", "run"))
    assert len(whole) > 1000
    assert (whole.object_id == broken.object_id).all()
    assert (whole.contours.xy == broken.contours.xy).all()
    assert not list((tmp_path / "run").rglob(".*.part*"))


def test_parts_are_told_as_they_settle_and_again_when_the_run_goes_on(tmp_path):
    """What was told, the last word of each tile, is always what the file holds in the end."""
    token, told = CancelToken(), {}
    stopped = Cut(16, token)
    with pytest.raises(Cancelled):
        finish(
            segment_slide(
                slide(), stopped, tmp_path / "run", asked(), token, on_part=told.__setitem__
            )
        )
    before = set(told)
    assert 0 < len(before) < 35
    told = {}
    request = asked(resume=True)
    steps = segment_slide(
        slide(), LatticeSegmenter(), tmp_path / "run", request, on_part=told.__setitem__
    )
    done, seen = finish(steps)
    assert before < set(told)
    assert len(told) == done.n_tiles
    assert by_id(ObjectTable.concat(list(told.values()))) == by_id(load_objects(done.objects))
    assert seen[-1].n_objects >= done.n_objects
