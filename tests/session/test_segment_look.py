"""Channels and colours that the user chose reach the run, whatever is chosen meanwhile."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import tifffile

from napari_histo.core import Box
from napari_histo.pipeline.colour_choice import ColourChoice
from napari_histo.session import ImageChoice, Phase, Region
from napari_histo.session.segment import state
from napari_histo.slides import ArrayReader
from support.five_images import SAMPLES

WHOLE = Region.of_box(Box(0, 0, 100, 60))


class AskedError(Exception):
    """What the pipeline was asked for."""


def ask(bench, choice, colours=None, region=WHOLE):
    """The request that a run makes of the pipeline."""
    asked = []

    def segment(reader, model, request, cancel):
        asked.append((reader, request))
        raise AskedError
        yield

    b = bench(segment=segment)
    b.controller.choose_image(choice)
    if colours is not None:
        b.controller.choose_colours(colours)
    b.controller.run(region)
    b.controller.choose_colours(ColourChoice())
    b.wait(lambda: b.state.phase is Phase.IDLE)
    return asked[0] if asked else b.state.error


def test_channels_reach_the_run(bench, choice):
    _, request = ask(bench, replace(choice(), channel=0, nuclear_channel=1))
    assert (request.channel, request.nuclear_channel) == (0, 1)
    assert request.colours is None


def test_colours_are_fitted_to_the_slide_and_not_to_the_region(bench):
    pixels = tifffile.imread(SAMPLES / "he_tile.ome.tif")[200:400, 200:400]
    reader = ArrayReader(pixels, name="he")
    wanted = ColourChoice("macenko", "he")
    corner = Region.of_box(Box(0, 0, 30, 30))
    seen, request = ask(bench, ImageChoice("a", reader), wanted, corner)
    assert seen is reader
    assert request.colours == wanted.fit(reader)


def test_colours_reach_runs_of_whole_slides(bench, monkeypatch, tmp_path):
    monkeypatch.setattr(state, "_LARGE_PX", 100)
    pixels = tifffile.imread(SAMPLES / "he_tile.ome.tif")[200:400, 200:400]
    reader, wanted, asked = ArrayReader(pixels, name="he"), ColourChoice("reinhard"), []

    def segment_slide(reader, model, folder, request, cancel, **rest):
        asked.append(request.segment.colours)
        raise AskedError
        yield

    b = bench(segment_slide=segment_slide, data_folder=tmp_path)
    b.controller.choose_image(ImageChoice("a", reader))
    b.controller.choose_colours(wanted)
    b.controller.run(Region.of_box(reader.info.box))
    b.wait(lambda: b.state.phase is Phase.IDLE)
    assert asked == [wanted.fit(reader)]


def test_colours_that_are_not_there_are_told(bench):
    glass = ArrayReader(np.full((60, 100, 3), 240, np.uint8), name="glass")
    assert "stained" in ask(bench, ImageChoice("a", glass), ColourChoice("macenko"))
