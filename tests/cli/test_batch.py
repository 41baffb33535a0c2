"""Many images into one folder: the summary, lists of images, and going on."""

from __future__ import annotations

import csv
import os
import re
import signal
from dataclasses import replace

import pytest
from PIL import Image

from napari_histo.models._classical import ClassicalSegmenter
from napari_histo.store import load_objects
from napari_histo.store.lock import FileLock

PROPOSE = ClassicalSegmenter.propose
MM2 = 260 * 200 * 0.25 / 1e6


@pytest.fixture
def plate(tmp_path, blobs):
    """A folder of three images, the middle one cut off."""
    folder = tmp_path / "plate"
    folder.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        Image.fromarray(blobs).save(folder / name)
    (folder / "b.png").write_bytes((folder / "b.png").read_bytes()[:300])
    return folder


@pytest.fixture
def segment(cli, plate, tmp_path):
    """``segment(…)``: the plate, or other images, into ``out``."""

    def run(*options, images=(plate,)):
        given = ("-o", tmp_path / "out", "--model", "classical", "--pixel-size", 0.5)
        return cli("segment", *images, *given, *options)

    return run


@pytest.fixture
def dies(monkeypatch):
    """``dies(after=n)``: the process ends after so many calls of the network."""

    def arm(after):
        calls = iter(range(1000))

        def propose(self, images, min_prob):
            # The rehearsal before an image's first tile is smaller than any tile.
            if min(images.shape[1:3]) > 32 and next(calls) >= after:
                raise SystemExit(9)
            return PROPOSE(self, images, min_prob)

        monkeypatch.setattr(ClassicalSegmenter, "propose", propose)

    return arm


def rows_of(folder):
    with (folder / "summary.csv").open(encoding="utf-8-sig", newline="") as stream:
        return {row["image"]: row for row in csv.DictReader(stream)}


def states_of(folder):
    return {name: row["state"] for name, row in rows_of(folder).items()}


def mend(plate):
    """The damaged image comes whole, from long ago."""
    (plate / "b.png").write_bytes((plate / "a.png").read_bytes())


class TestSummary:
    def test_a_line_an_image(self, segment, tmp_path):
        ran = segment()
        assert ran.code == 1
        assert "2 of 3 images done" in ran.out
        rows = rows_of(tmp_path / "out")
        assert list(rows) == ["a.png", "b.png", "c.png"]
        good, bad = rows["a.png"], rows["b.png"]
        assert (good["state"], good["objects"], good["area_of"]) == ("done", "12", "image")
        assert float(good["area_mm2"]) == pytest.approx(MM2)
        assert float(good["objects_per_mm2"]) == pytest.approx(12 / MM2, rel=1e-4)
        assert good["result"] == "a.geojson"
        assert float(good["seconds"]) > 0
        assert (bad["state"], bad["objects"], bad["result"]) == ("failed", "", "")
        assert "truncated" in bad["message"]
        assert "\n" not in bad["message"]

    @pytest.mark.parametrize(
        ("options", "area", "kind"),
        [
            pytest.param(("--region", "0,0,130,200"), MM2 / 2, "region", id="region"),
            pytest.param(("--region", "130,0,999,200"), MM2 / 2, "region", id="beyond-the-image"),
            pytest.param(("--tissue", "none"), MM2, "image", id="everywhere"),
            pytest.param(("--tissue", "FILE"), MM2 / 2, "tissue", id="tissue"),
            pytest.param(
                ("--tissue", "FILE", "--region", "0,0,65,200"), MM2 / 4, "tissue", id="both"
            ),
        ],
    )
    def test_where_it_looked(self, segment, plate, tmp_path, options, area, kind):
        ring = "[[[0,0],[130,0],[130,200],[0,200],[0,0]]]"
        half = tmp_path / "half.geojson"
        half.write_text(
            '{"type": "Feature", "properties": {}, "geometry": '
            f'{{"type": "Polygon", "coordinates": {ring}}}}}'
        )
        images = [plate / "a.png", plate / "c.png"]
        ran = segment(*(half if o == "FILE" else o for o in options), images=images)
        assert ran.code == 0, ran.err
        row = rows_of(tmp_path / "out")["a.png"]
        assert row["area_of"] == kind
        assert float(row["area_mm2"]) == pytest.approx(area, rel=0.02)

    def test_no_area_without_a_pixel_size(self, cli, plate, tmp_path, monkeypatch):
        from napari_histo.models._classical import ClassicalSegmenter as Model

        anywhere = replace(Model().info, pixel_size_um=None)
        monkeypatch.setattr(Model, "info", anywhere)
        ran = cli("segment", plate, "-o", tmp_path / "out", "--model", "classical")
        row = rows_of(tmp_path / "out")["a.png"]
        assert row["state"] == "done", ran.err
        assert (row["area_mm2"], row["objects_per_mm2"]) == ("", "")
        assert row["area_of"] == "image"

    def test_one_name_has_one_line(self, segment, plate, tmp_path):
        assert segment(images=[plate / "a.png", plate]).code == 1
        assert not (tmp_path / "out").exists()

    def test_one_image_of_a_folder_has_it_too(self, segment, plate, tmp_path):
        ran = segment("--format", "parquet", images=[plate / "a.png"])
        assert ran.code == 0, ran.err
        assert rows_of(tmp_path / "out")["a.png"]["result"] == "a.parquet"

    def test_a_table_that_cannot_be_written_stops_nothing(self, segment, plate, tmp_path):
        (tmp_path / "out" / "summary.csv").mkdir(parents=True)
        ran = segment()
        assert "2 of 3 images done" in ran.out
        assert ran.err.count("summary.csv") == 1


class TestGoingOn:
    def test_what_is_done_is_not_done_again(self, segment, plate, tmp_path, dies):
        segment()
        before = rows_of(tmp_path / "out")
        mend(plate)
        dies(after=1)  # one image is left
        ran = segment("--resume")
        assert ran.code == 0, ran.err
        assert "a.png: already done, 12 objects" in ran.out
        assert "3 of 3 images done, 2 of them before" in ran.out
        after = rows_of(tmp_path / "out")
        assert states_of(tmp_path / "out") == {
            "a.png": "skipped",
            "b.png": "done",
            "c.png": "skipped",
        }
        assert after["a.png"]["area_mm2"] == before["a.png"]["area_mm2"]
        assert segment("--resume").code == 0

    def test_killed_in_the_middle(self, segment, plate, tmp_path, dies):
        mend(plate)
        dies(after=2)
        assert segment().code == 9
        assert states_of(tmp_path / "out") == {"a.png": "done", "b.png": "done"}
        dies(after=1)
        assert segment("--resume").code == 0
        assert len(rows_of(tmp_path / "out")) == 3

    def test_cancelled_in_the_middle(self, segment, plate, tmp_path, monkeypatch):
        mend(plate)

        def propose(self, images, min_prob):
            os.kill(os.getpid(), signal.SIGINT)
            return PROPOSE(self, images, min_prob)

        monkeypatch.setattr(ClassicalSegmenter, "propose", propose)
        ran = segment()
        assert ran.code == 130
        assert "0 of 3 images done; stopped in a.png. --resume goes on" in ran.out
        assert not list((tmp_path / "out").glob("*.geojson"))

    @pytest.mark.parametrize("table", [None, "image;state\na.png;done\n"], ids=["gone", "excel"])
    def test_results_count_where_the_table_is_lost(self, segment, plate, tmp_path, dies, table):
        segment()
        path = tmp_path / "out" / "summary.csv"
        path.unlink()
        if table is not None:
            path.write_text(table)
        (tmp_path / "out" / "c.geojson").write_text('{"type": "Feat')  # damaged by others
        dies(after=1)
        segment("--resume")
        rows = rows_of(tmp_path / "out")
        assert (rows["a.png"]["state"], rows["a.png"]["objects"]) == ("skipped", "12")
        assert rows["c.png"]["state"] == "done"

    def test_a_newer_image_is_done_again(self, segment, plate, tmp_path):
        segment()
        at = (tmp_path / "out" / "a.geojson").stat().st_mtime + 5
        os.utime(plate / "a.png", (at, at))
        segment("--resume")
        states = states_of(tmp_path / "out")
        assert (states["a.png"], states["c.png"]) == ("done", "skipped")

    def test_other_settings_are_refused(self, segment, tmp_path):
        segment()
        ran = segment("--resume", "--prob-thresh", "0.9")
        assert ran.code == 1
        assert "made otherwise (least probability: " in ran.err
        assert states_of(tmp_path / "out")["a.png"] == "done"
        assert "already done" not in segment("--prob-thresh", "0.9").out

    def test_results_from_elsewhere_are_not_taken_for_done(self, segment, tmp_path):
        segment()
        (tmp_path / "out" / ".batch.json").unlink()
        segment("--resume")
        assert states_of(tmp_path / "out")["a.png"] == "done"

    def test_whole_slides_go_on_from_their_run(self, segment, plate, tmp_path, dies, monkeypatch):
        monkeypatch.setattr("napari_histo.cli._job._LARGE_PX", 1000)
        mend(plate)
        options = ("--tile", 100, "--format", "parquet")
        dies(after=8)  # six tiles an image
        segment(*options)
        assert (tmp_path / "out" / "b.parquet.run").is_dir()
        dies(after=10)
        ran = segment(*options, "--resume")
        assert ran.code == 0, ran.err
        assert len(load_objects(tmp_path / "out" / "b.parquet")) == 12
        assert not (tmp_path / "out" / "b.parquet.run").exists()
        assert rows_of(tmp_path / "out")["b.png"]["area_of"] == "tissue"

    def test_only_one_process_works_on_a_folder(self, segment, tmp_path):
        (tmp_path / "out").mkdir()
        lock = FileLock(tmp_path / "out" / ".lock", "it")
        ran = segment()
        lock.release()
        assert ran.code == 1
        assert "Another process writes results" in ran.err


class TestLists:
    def test_paths_are_relative_to_the_list(self, segment, plate, tmp_path, monkeypatch):
        monkeypatch.chdir("/")
        listed = tmp_path / "images.txt"
        lines = ["\ufeff# chosen", "plate/a.png", "", f'"{plate / "c.png"}"']
        listed.write_text("\r\n".join(lines), encoding="utf-8")
        ran = segment(images=[listed])
        assert ran.code == 0, ran.err
        assert list(rows_of(tmp_path / "out")) == ["a.png", "c.png"]

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            pytest.param(b"plate/a.png\nplate/x.png\n", "line 2: .*x.png", id="missing"),
            pytest.param(b"x\n" * 30, "and 20 more", id="many-missing"),
            pytest.param(b"# none\n\n", "names no image", id="empty"),
            pytest.param(b"images.txt\n", "names another list", id="itself"),
            pytest.param(b"\xff\xfea\x00", "UTF-8", id="utf-16"),
        ],
    )
    def test_what_is_wrong_with_a_list(self, segment, tmp_path, text, says):
        (tmp_path / "images.txt").write_bytes(text)
        ran = segment(images=[tmp_path / "images.txt"])
        assert ran.code == 1
        assert re.search(says, ran.err)
        assert not (tmp_path / "out").exists()


def test_a_folder_whose_images_lie_deeper_says_so(segment, plate, tmp_path):
    (tmp_path / "experiment").mkdir()
    plate.rename(tmp_path / "experiment" / "plate")
    ran = segment(images=[tmp_path / "experiment"])
    assert ran.code == 1
    assert "folders within it are not looked through" in ran.err
    assert not (tmp_path / "out").exists()
