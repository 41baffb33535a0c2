"""Models of the Cellpose family in the Segment panel, without a window."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histo.core import Box, ModelInfo, PixelSize, Thresholds
from napari_histo.models.cellpose.segmenter import CellposeSegmenter
from napari_histo.models.cellpose.windows import CONVOLUTION, TRANSFORMER
from napari_histo.session import ImageChoice, Phase, Region
from napari_histo.slides import ArrayReader
from support.cellpose_nets import SpotNet

WHOLE = Region.of_box(Box(0, 0, 100, 100))
CARD = ModelInfo(
    *("spots", "cellpose", 0.5, True, "gray"), takes_diameter=True, diameter_px=17.0
)  # fmt: skip


@pytest.fixture
def spots():
    """Two spots in 100 x 100 px; of which pixel size, the caller says."""
    rows, columns = np.mgrid[:100, :100]
    places = ((30, 30), (70, 60))
    image = sum(np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 50) for x, y in places)
    pixels = (255 * np.minimum(image, 1)).astype(np.uint8)

    def make(um):
        size = None if um is None else PixelSize.square(um)
        return ImageChoice("a", ArrayReader(pixels, name="spots", pixel_size=size))

    return make


@pytest.fixture
def b(bench):
    """A bench with a network; `b.net.calls` counts what it is asked."""
    net = SpotNet()
    made = bench(CellposeSegmenter(net, CARD, device="cpu"))
    made.net = net
    return made


def run(b, choice):
    b.controller.choose_image(choice)
    b.controller.run(WHOLE)
    b.wait(lambda: b.state.phase is Phase.IDLE)
    return b.state.result


def test_both_thresholds_move_without_the_network(b, spots):
    first = run(b, spots(0.5))
    assert len(first.table) == 2
    assert first.candidates.lowest_prob == 0
    calls, areas = b.net.calls, []
    for prob, flow_error in ((0.05, 0.4), (0.95, 0.4), (0.5, 0.001), (0.5, 0.4)):
        before = b.state.result
        b.controller.set_thresholds(Thresholds(prob, flow_error))
        b.wait(lambda before=before: b.state.result is not before)
        areas.append(b.state.result.table.contours.areas_px.sum())
    assert b.net.calls == calls
    assert areas[0] > areas[3] > areas[1] > areas[2] == 0
    assert areas[3] == first.table.contours.areas_px.sum()


def test_a_diameter_scales_the_image_and_loads_nothing(b, spots):
    run(b, spots(0.5))
    b.controller.type_diameter(17.0)  # 17 px of 1 µm, so two of the image's become one
    scaled = run(b, spots(0.5))
    assert len(scaled.table) == 2
    assert not (scaled.table.contours.xy % 2).any()
    assert b.loads == 1


@pytest.mark.parametrize(
    ("lattice", "n_tiles"), [(CONVOLUTION, 1), (TRANSFORMER, 4)], ids=["quick", "slow"]
)
def test_a_slow_network_can_be_stopped_more_often(bench, lattice, n_tiles):
    made = bench(CellposeSegmenter(SpotNet(lattice=lattice), CARD, device="cpu"))
    totals = set()
    made.state.events.progress.connect(lambda p: totals.add(p.total if p else 0))
    pixels = np.zeros((300, 300), np.uint8)
    reader = ArrayReader(pixels, name="dark", pixel_size=PixelSize.square(0.5))
    made.controller.choose_image(ImageChoice("dark", reader))
    made.controller.run(Region.of_box(Box(0, 0, 300, 300)))
    made.wait(lambda: made.state.phase is Phase.IDLE)
    assert max(totals) == n_tiles


def test_a_diameter_in_um_needs_a_pixel_size(b, spots):
    b.controller.choose_image(spots(None))
    assert not b.state.blocker
    b.controller.type_diameter(17.0)
    assert b.state.blocker == "Type the pixel size first."
    b.controller.type_diameter(None)
    assert not b.state.blocker


def test_the_diameter_is_the_models(b):
    b.controller.type_diameter(17.0)
    b.controller.choose_model(ModelInfo("other", "fake"))
    assert b.state.diameter_um is None
    b.controller.type_diameter(17.0)
    assert b.state.diameter_um is None
