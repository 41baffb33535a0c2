"""``napari-histo segment`` with stains, normalised colours, and the brightest of all planes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

from napari_histo.ops.stain_vectors import H_DAB
from napari_histo.store import load_objects
from support.five_images import write


@pytest.fixture
def h_dab(tmp_path):
    return write("H-DAB", tmp_path)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        pytest.param(("--stain", "hdab"), "", id="vectors"),
        pytest.param(("--stain", "auto-hdab"), "Stains found", id="estimated"),
        pytest.param(("--stain", H_DAB.describe(), "--channel", 0), "", id="QuPath's text"),
        pytest.param(("--normalize", "macenko"), "", id="normalised"),
        pytest.param(("--normalize", "reinhard", "--stain", "hdab"), "", id="both"),
    ],
)
def test_nuclei_are_found_in_other_colours(cli, h_dab, tmp_path, words, says):
    out = tmp_path / "o.parquet"
    ran = cli("segment", h_dab, "-o", out, "--model", "classical", *words)
    assert ran.code == 0, ran.err
    assert says in ran.err
    assert 50 < len(load_objects(out)) < 130


@pytest.mark.parametrize(
    ("words", "is_shown"),
    [((), True), (("--stain", "none"), False), (("--channel", 0), False)],
    ids=["by default", "but not", "nor where a channel is named"],
)
def test_a_model_of_one_channel_is_shown_haematoxylin(cli, h_dab, tmp_path, words, is_shown):
    out = tmp_path / "o.parquet"
    ran = cli("segment", h_dab, "-o", out, "--model", "fluo-nuclei", "--device", "cpu", *words)
    assert ran.code == 0, ran.err
    assert ("haematoxylin alone" in ran.err) == is_shown
    assert not is_shown or 70 < len(load_objects(out)) < 130


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--model", "he-nuclei", "--stain", "he"), "looks at the colours themselves"),
        (("--model", "he-nuclei", "--invert"), "--invert out"),
        (("--model", "classical", "--invert"), "one stain (--stain)"),
        (("--model", "classical", "--invert", "--stain", "he"), "for grey images"),
        (("--model", "classical", "--stain", "purple"), "setColorDeconvolutionStains"),
        (("--model", "classical", "--z", "best"), "no focal plane"),
        (("--model", "classical", "--reference", "a.tif"), "needs --normalize"),
        (("--model", "classical", "--normalize", "vahadane"), "macenko"),
    ],
    ids=[
        "model of colours",
        "inverted",
        "colours",
        "stain and invert",
        "stains",
        "plane",
        "reference alone",
        "normalisation",
    ],
)
def test_what_cannot_be_done_is_said(cli, h_dab, tmp_path, words, says):
    ran = cli("segment", h_dab, "-o", tmp_path / "o.geojson", *words)
    assert ran.code in (1, 2)
    assert says in " ".join(ran.err.split())
    assert not (tmp_path / "o.geojson").exists()


def test_dark_nuclei_in_a_grey_image_are_found(cli, tmp_path):
    bright = write("grey", tmp_path)
    dark = tmp_path / "dark.tif"
    pixels = tifffile.imread(bright)
    tifffile.imwrite(dark, np.invert(pixels))
    found = []
    for image, words in ((bright, ()), (dark, ("--invert",)), (dark, ())):
        out = tmp_path / "o.parquet"
        rest = ("--model", "classical", "--pixel-size", 0.5, *words)
        ran = cli("segment", image, "-o", out, *rest)
        assert ran.code == 0, ran.err
        found.append(len(load_objects(out)))
    assert found[0] > 20
    assert found[1] == found[0]
    assert found[2] != found[0]


def test_a_run_keeps_its_colours_and_goes_on_with_no_others(cli, h_dab, tmp_path):
    run = tmp_path / "run"
    words = ("segment", h_dab, "-o", run, "--model", "classical", "--tissue", "none")
    assert cli(*words, "--stain", "hdab").code == 0
    facts = json.loads((run / "run.json").read_text())
    assert "Hematoxylin DAB" in facts["parameters"]["colours"]["stains"]
    assert cli(*words, "--stain", "hdab", "--resume").code == 0
    other = cli(*words, "--stain", "he", "--resume")
    assert other.code == 1
    assert "stains: " in other.err
    plain = cli(*words, "--resume")
    assert plain.code == 1
    assert "colours: " in plain.err, "colours that are not asked for any more are others, too"
    assert "not given now" in plain.err


def test_nuclei_of_all_planes_are_found_at_once(cli, tmp_path):
    """Each plane shows other nuclei; the maximum shows them all."""
    y, x = np.mgrid[:120, :160]
    planes = np.full((2, 120, 160), 100, np.uint16)
    for z, column, row in ((0, 40, 40), (0, 40, 80), (1, 110, 40), (1, 110, 80)):
        planes[z][np.hypot(x - column, y - row) < 8] = 3000
    path, out = tmp_path / "stack.ome.tif", tmp_path / "o.parquet"
    tifffile.imwrite(path, planes, metadata={"axes": "ZYX"})
    found = []
    for z in ("0", "1", "max"):
        words = ("--model", "classical", "--pixel-size", 0.5, "--z", z)
        ran = cli("segment", path, "-o", out, *words)
        assert ran.code == 0, ran.err
        found.append(len(load_objects(out)))
    assert found == [2, 2, 4]
