"""``napari-histo segment`` from files to files, and what it says when something is wrong."""

from __future__ import annotations

import json
import re
import subprocess

import numpy as np
import pytest

from napari_histo.store import load_objects


def segment(cli, *arguments):
    return cli("segment", *arguments, "--model", "classical")


class TestCellpose:
    """Files of Cellpose 1 to 3 by their path."""

    @pytest.fixture
    def file(self, tmp_path):
        from napari_histo.models.cellpose.net import save_cellpose_net
        from support.cellpose_nets import random_net

        save_cellpose_net(tmp_path / "my_cells", random_net(diam_mean_px=17.0))
        return tmp_path / "my_cells"

    def test_a_file_segments_at_the_diameter_that_is_given(self, cli, gray_tiff, file, tmp_path):
        """At 0.5 µm a pixel, 17 px are 8.5 µm; objects of 17 µm make the image half as large."""
        out = tmp_path / "o.parquet"
        ran = cli(
            "segment",
            *(gray_tiff, "-o", out, "--model", file, "--device", "cpu"),
            *("--diameter", 17, "--prob-thresh", 0.01, "--nms-thresh", 1),
        )
        assert ran.code == 0, ran.err
        table = load_objects(out)
        assert len(table) > 0
        corners = table.contours.xy
        # Outlines of model pixels: whole ones, of 2 px of the image each.
        assert np.allclose(corners % 2, 0)

    @pytest.mark.parametrize("name", ["cyto3", "cyto33"])
    def test_a_name_that_is_not_here_is_an_error(self, cli, gray_tiff, name, tmp_path, monkeypatch):
        monkeypatch.setenv("CELLPOSE_LOCAL_MODELS_PATH", str(tmp_path))
        ran = cli("segment", gray_tiff, "-o", tmp_path / "o.geojson", "--model", name)
        assert ran.code == 1
        assert ("nothing is downloaded" in ran.err) == (name == "cyto3")
        assert not (tmp_path / "o.geojson").exists()

    def test_a_batch_goes_on_at_the_same_diameter_alone(self, cli, gray_tiff, file, tmp_path):
        images, out = tmp_path / "images", tmp_path / "out"
        images.mkdir()
        gray_tiff.rename(images / "a.tif")
        words = ("segment", images, "-o", out, "--model", file, "--device", "cpu", "--resume")
        assert cli(*words, "--diameter", 12).code == 0
        ran = cli(*words, "--diameter", 15)
        assert ran.code == 1
        assert "diameter" in ran.err
        assert "15.0 now" in ran.err

    def test_models_of_their_own_pixel_size_take_no_diameter(self, cli, gray_tiff, tmp_path):
        words = ("--model", "fluo-nuclei", "--diameter", 8)
        ran = cli("segment", gray_tiff, "-o", tmp_path / "o.geojson", *words)
        assert ran.code == 1
        assert "takes no diameter" in ran.err

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            pytest.param((), "cells in 1 = Actin, nuclei in 0 = DAPI", id="by-their-names"),
            pytest.param(("--channel", 0, "--nuclear-channel", 1), "CC-BY-NC", id="by-number"),
            pytest.param(("--channel", 1, "--nuclear-channel", 1), "cannot show both", id="both"),
        ],
    )
    def test_cells_and_nuclei(self, cli, file, blobs, tmp_path, monkeypatch, words, says):
        """With the licence of a published network told first."""
        import tifffile

        monkeypatch.setenv("CELLPOSE_LOCAL_MODELS_PATH", str(file.parent))
        file.rename(file.with_name("cyto3"))
        image, out = tmp_path / "two.ome.tif", tmp_path / "o.geojson"
        about = {"axes": "CYX", "Channel": {"Name": ["DAPI", "Actin"]}}
        tifffile.imwrite(image, 255 - blobs[..., :2].transpose(2, 0, 1), metadata=about)
        ran = cli("segment", image, "-o", out, "--model", "cyto3", "--device", "cpu", *words)
        told = re.sub(r"\s+", " ", ran.err)
        assert "Licence of cyto3: BSD-3-Clause, trained on images under CC-BY-NC" in told
        assert says in told
        assert out.exists() == (ran.code == 0) == ("cannot" not in says)

    @pytest.fixture
    def gray_tiff(self, tmp_path, blobs):
        import tifffile

        path = tmp_path / "gray.ome.tif"
        size = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
        tifffile.imwrite(path, 255 - blobs[..., 1], metadata={"axes": "YX", **size})
        return path


class TestResults:
    @pytest.mark.parametrize(
        "name", ["o.geojson", "o.geojson.gz", "o.parquet", "o.tif", "o.ome.zarr"]
    )
    def test_every_format(self, cli, blob_tiff, tmp_path, name):
        ran = segment(cli, blob_tiff, "-o", tmp_path / name)
        assert ran.code == 0, ran.err
        assert "12 objects" in ran.out
        table = load_objects(tmp_path / name)
        assert len(table) == 12
        assert np.allclose(np.sort(table.centroids[:, 0])[:3], 35.5, atol=1.5)

    def test_region_and_thresholds_and_classes(self, cli, blob_tiff, tmp_path):
        out = tmp_path / "o.geojson"
        ran = segment(
            cli, blob_tiff, "-o", out, "--region", "0,0,130,200", "--classes", "Tumor", "--tile", 64
        )
        assert ran.code == 0, ran.err
        table = load_objects(out)
        assert len(table) == 6
        assert set(table.class_names) == {"Tumor"}

    def test_several_images_go_to_a_folder_under_their_stems(self, cli, blob_tiff, blobs, tmp_path):
        from PIL import Image

        Image.fromarray(blobs).save(tmp_path / "second.png")
        ran = segment(
            cli,
            *(blob_tiff, tmp_path / "second.png", "-o", tmp_path / "many"),
            *("--format", "labels", "--pixel-size", 0.5),
        )
        assert ran.code == 0, ran.err
        assert sorted(p.name for p in (tmp_path / "many").glob("*.tif")) == [
            "blobs.tif",
            "second.tif",
        ]

    def test_a_bad_image_does_not_stop_the_others(self, cli, blob_tiff, tmp_path):
        (tmp_path / "bad.tif").write_text("no image")
        ran = segment(cli, tmp_path / "bad.tif", blob_tiff, "-o", tmp_path / "many")
        assert ran.code == 1
        assert "bad.tif" in ran.err
        assert "1 of 2 images done" in ran.out
        assert (tmp_path / "many" / "blobs.geojson").exists()


class TestFoldersAndPlanes:
    def test_a_folder_stands_for_its_images(self, cli, blob_tiff, tmp_path):
        (tmp_path / "._blobs.ome.tif").write_text("a companion file of macOS")
        (tmp_path / "notes.txt").write_text("no image")
        ran = segment(cli, tmp_path, "-o", tmp_path / "out")
        assert ran.code == 0, ran.err
        assert [p.name for p in (tmp_path / "out").glob("*.geojson")] == ["blobs.geojson"]

    def test_focal_planes_are_named_and_chosen(self, cli, blobs, tmp_path):
        import tifffile

        stack = np.stack([np.full_like(blobs, 230), blobs])
        path = tmp_path / "stack.ome.tif"
        tifffile.imwrite(path, stack, photometric="rgb", metadata={"axes": "ZYXS"})
        first = segment(cli, path, "-o", tmp_path / "0.geojson", "--pixel-size", 0.5)
        assert "0 objects" in first.out
        assert_says(first.err, "2 focal planes; taking the first")
        second = segment(cli, path, "-o", tmp_path / "1.geojson", "--pixel-size", 0.5, "--z", 1)
        assert "12 objects" in second.out

    def test_images_of_one_file_are_told_and_chosen(self, cli, blobs, tmp_path):
        import tifffile

        path = tmp_path / "two.ome.tif"
        with tifffile.TiffWriter(path, ome=True) as writer:
            for name, pixels in (("empty", np.full_like(blobs, 230)), ("full", blobs[:, :200])):
                writer.write(pixels, photometric="rgb", metadata={"axes": "YXS", "Name": name})
        given = (path, "-o", tmp_path / "a.geojson", "--pixel-size", 0.5)
        first = segment(cli, *given)
        assert "0 objects" in first.out
        assert "holds 2 images (0 empty (260 x 200 px); 1 full (200 x 200 px))" in first.err
        second = segment(cli, *given, "--series", 1)
        assert "9 objects" in second.out
        assert "holds 2 images" not in second.err

    def test_several_images_do_not_go_into_one_file(self, cli, blob_tiff, tmp_path):
        ran = segment(cli, blob_tiff, blob_tiff, "-o", tmp_path / "o.geojson")
        assert ran.code == 1
        assert_says(ran.err, "cannot go into the one file")

    def test_a_format_that_contradicts_the_ending(self, cli, blob_tiff, tmp_path):
        ran = segment(cli, blob_tiff, "-o", tmp_path / "o.geojson", "--format", "labels")
        assert ran.code == 1
        assert_says(ran.err, "does not go with the ending")

    def test_results_never_meet_in_one_name(self, cli, blob_tiff, tmp_path):
        (tmp_path / "sub").mkdir()
        twin = tmp_path / "sub" / "BLOBS.ome.tif"
        twin.write_bytes(blob_tiff.read_bytes())
        ran = segment(cli, blob_tiff, twin, "-o", tmp_path / "out")
        assert ran.code == 1
        assert_says(ran.err, "Several images would be written to blobs.geojson")

    @pytest.mark.parametrize(
        ("error", "says"),
        [
            pytest.param(MemoryError(), "Memory ran out even", id="memory"),
            pytest.param(RuntimeError("CUDA out of memory"), "ran out even", id="gpu-memory"),
            pytest.param(RuntimeError("what now"), "unforeseen.*what now.*--debug", id="unknown"),
        ],
    )
    def test_what_nobody_foresaw_stops_one_image_alone(
        self, cli, blob_tiff, tmp_path, monkeypatch, error, says
    ):
        from napari_histo.models._classical import ClassicalSegmenter

        def fail(self, images, min_prob):
            raise error

        monkeypatch.setattr(ClassicalSegmenter, "propose", fail)
        ran = segment(cli, blob_tiff, "-o", tmp_path / "out")
        assert ran.code == 1
        assert_says(ran.err, says)
        assert not (tmp_path / "out").exists()


class TestRefusals:
    """Exit code 1 or 2, one message that says what to do, and no file left behind."""

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            pytest.param(("-o", "o.xyz"), "Known endings", id="unknown-format"),
            pytest.param(("-o", "no/where/o.geojson"), "folder does not exist", id="no-folder"),
            pytest.param(("-o", "o.geojson", "--region", "9,9"), "x,y,width,height", id="region"),
            pytest.param(("-o", "o.geojson", "--region", "900,9,5,5"), "outside", id="off-image"),
            pytest.param(("-o", "o.geojson", "--pixel-size", "0"), "not a pixel size", id="size"),
            pytest.param(("-o", "o.geojson", "--classes", "A,B"), "1 class", id="classes"),
            pytest.param(("-o", "o.geojson", "--prob-thresh", "2"), "equal to 1", id="threshold"),
        ],
    )
    def test_arguments(self, cli, blob_tiff, tmp_path, monkeypatch, arguments, says):
        monkeypatch.chdir(tmp_path)
        before = sorted(p.name for p in tmp_path.iterdir())
        ran = segment(cli, blob_tiff, *arguments)
        assert ran.code in (1, 2)
        assert_says(ran.err, says)
        assert sorted(p.name for p in tmp_path.iterdir()) == before

    def test_unknown_model(self, cli, blob_tiff, tmp_path):
        ran = cli("segment", blob_tiff, "-o", tmp_path / "o.geojson", "--model", "he-nuclie")
        assert ran.code == 1
        assert_says(ran.err, "no model 'he-nuclie'.*classical")

    def test_licence_is_shown_before_a_download(self, cli, blob_tiff, tmp_path, monkeypatch):
        import pooch

        from napari_histo.models.shelf import published as _published

        def refuse(*_, **__):
            raise ConnectionError("no route to host")

        monkeypatch.setattr(_published, "_cache", lambda: tmp_path / "cache")
        monkeypatch.setattr(pooch, "retrieve", refuse)
        out = tmp_path / "o.geojson"
        ran = cli("segment", blob_tiff, "-o", out, "--model", "2D_versatile_he")
        assert ran.code == 1
        assert_says(ran.err, "Licence: .*CC BY-NC-SA.*could not be downloaded.*he-nuclei")

    def test_unknown_pixel_size(self, cli, blobs, tmp_path):
        from PIL import Image

        Image.fromarray(blobs).save(tmp_path / "plain.png")
        out = tmp_path / "o.geojson"
        ran = cli("segment", tmp_path / "plain.png", "-o", out, "--model", "he-nuclei")
        assert ran.code == 1
        assert_says(ran.err, "no pixel size.*--pixel-size.*0.25")
        assert not out.exists()

    def test_the_image_is_never_overwritten(self, cli, blob_tiff):
        before = blob_tiff.read_bytes()
        ran = segment(cli, blob_tiff, "-o", blob_tiff)
        assert ran.code == 1
        assert_says(ran.err, "overwrite the image")
        assert blob_tiff.read_bytes() == before

    @pytest.mark.parametrize("kind", ["text", "truncated", "empty", "missing"])
    def test_damaged_images(self, cli, blob_tiff, tmp_path, kind):
        path, out = tmp_path / f"{kind}.tif", tmp_path / "o.geojson"
        content = {
            "text": b"I am a text",
            "truncated": blob_tiff.read_bytes()[:2000],
            "empty": b"",
        }
        if kind in content:
            path.write_bytes(content[kind])
        ran = segment(cli, path, "-o", out)
        assert ran.code == 1
        assert f"{kind}.tif" in ran.err
        assert "Traceback" not in ran.err
        assert not out.exists()

    def test_truncated_svs(self, cli, data_dir, tmp_path):
        whole = (data_dir / "slides" / "CMU-1-Small-Region.svs").read_bytes()
        path = tmp_path / "cut.svs"
        path.write_bytes(whole[: len(whole) // 2])
        ran = segment(cli, path, "-o", tmp_path / "o.geojson")
        assert ran.code == 1
        assert_says(ran.err, "cut.svs.*(truncated|damaged)")
        assert [p.name for p in tmp_path.iterdir()] == ["cut.svs"]

    def test_an_earlier_result_survives_a_failure(self, cli, tmp_path):
        out = tmp_path / "o.geojson"
        out.write_text("earlier")
        (tmp_path / "bad.tif").write_text("no image")
        assert segment(cli, tmp_path / "bad.tif", "-o", out).code == 1
        assert out.read_text() == "earlier"


def test_models_list_as_json(cli, tmp_path, monkeypatch):
    from napari_histo.models.shelf import published as _published

    monkeypatch.setattr(_published, "_cache", lambda: tmp_path)
    ran = cli("models", "list", "--json")
    models = {m["name"]: m for m in json.loads(ran.out)}
    assert {"he-nuclei", "fluo-nuclei", "classical", "2D_versatile_he"} <= set(models)
    assert models["he-nuclei"]["family"] == "stardist"
    assert models["he-nuclei"]["available"] is True
    assert models["he-nuclei"]["pixel_size_um"] == 0.25
    assert models["he-nuclei"]["licence"] == "CC-BY-4.0"
    assert models["2D_versatile_he"]["available"] is False


def test_version(cli):
    from napari_histo import __version__

    assert cli("--version").out.strip() == f"napari-histo {__version__}"


def assert_says(text, pattern):
    flat = " ".join(text.replace("│", " ").split())
    assert re.search(pattern, flat), flat


class TestPlacesThatCannotBeWritten:
    """A small file system of the test's own; only root may mount one."""

    @pytest.fixture
    def small_disk(self, tmp_path):
        folder = tmp_path / "disk"
        folder.mkdir()
        made = run_quietly("mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", folder)
        if not made:
            pytest.skip("no permission to mount a small tmpfs")
        yield folder
        run_quietly("umount", folder)

    def test_full_disk(self, cli, blob_tiff, small_disk):
        (small_disk / "o.geojson").write_text("earlier")
        (small_disk / "filler").write_bytes(b"x" * 8192)
        ran = segment(cli, blob_tiff, "-o", small_disk / "o.geojson")
        assert ran.code == 1
        assert_says(ran.err, r"Cannot write .*disk is full")
        assert (small_disk / "o.geojson").read_text() == "earlier"
        assert sorted(p.name for p in small_disk.iterdir()) == ["filler", "o.geojson"]

    def test_read_only_folder_is_refused_before_the_work(self, cli, blob_tiff, small_disk):
        if not run_quietly("mount", "-o", "remount,ro", small_disk):
            pytest.skip("no permission to make it read-only")
        ran = segment(cli, blob_tiff, "-o", small_disk / "o.geojson")
        assert ran.code == 1
        assert_says(ran.err, r"Cannot write .*read-only")
        assert "objects" not in ran.out


def run_quietly(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, check=False)
    return done.returncode == 0
