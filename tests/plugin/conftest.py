"""Tables, and images in all the positions that napari knows."""

from __future__ import annotations

import os
import sys
from functools import partial

import numpy as np
import pytest

from napari_histo.core import ClassScheme, Contours, ObjectTable
from support.inbox import PATIENCE_S

SCREENS = {"DISPLAY", "WAYLAND_DISPLAY"}
NO_SCREEN = "no display; install Xvfb and pytest-xvfb"
#: Position, as keywords of a layer, of an image of 60 x 100 px.
PLACEMENTS = [
    pytest.param({}, id="plain"),
    pytest.param({"scale": (0.5, 0.25)}, id="scale-not-square"),
    pytest.param({"translate": (300, -40)}, id="translate"),
    pytest.param({"scale": (0.5, 0.5), "translate": (7, 9), "units": ("um", "um")}, id="microns"),
    pytest.param({"rotate": 30, "scale": (2, 2)}, id="rotate"),
    pytest.param({"shear": [0.3]}, id="shear"),
    pytest.param(
        {"affine": [[0, 2, 5], [-2, 0, 8], [0, 0, 1]], "scale": (0.25, 0.25)}, id="affine"
    ),
]


@pytest.fixture(autouse=True)
def _display(request):
    """Without a screen Qt would end the whole run."""
    wants = request.node.get_closest_marker("gui")
    if wants and lacks_screen():
        pytest.skip(NO_SCREEN)


def lacks_screen():
    return sys.platform == "linux" and not (SCREENS & set(os.environ))


@pytest.fixture(params=PLACEMENTS)
def placement(request):
    return request.param


@pytest.fixture
def table():
    """Three squares of 8 px, of two classes and of none, in 100 x 60 px."""
    corners = np.array([[0, 0], [8, 0], [8, 8], [0, 8]], np.float32)
    at = np.array([[4, 6], [40, 20], [88, 50]], np.float32)
    return ObjectTable.build(
        Contours.from_star(at[:, None] + corners),
        class_id=[1, 0, -1],
        det_prob=[0.9, 0.7, 0.5],
        classes=ClassScheme.of("Tumor", "Stroma"),
        source="test",
    )


@pytest.fixture(scope="module")
def window(request):
    """One napari window for all tests of a file: to make one takes as long as most tests."""
    from support.window import napari_window

    if lacks_screen():
        pytest.skip(NO_SCREEN)
    request.getfixturevalue("qapp")
    with napari_window() as viewer:
        yield viewer


@pytest.fixture
def viewer(window):
    """The window of the file, as a new one: without layers and panels, in its first looks."""
    from support.window import fresh

    with fresh(window) as viewer:
        yield viewer


@pytest.fixture
def calm(window, viewer, monkeypatch):
    """Holds layers that leave, or lets them go fast."""
    from support.window import Calm

    return Calm(window, monkeypatch)


@pytest.fixture
def qtbot(qtbot, monkeypatch):
    """Waits for a state as long as a machine may stand still; only what never comes takes that."""
    monkeypatch.setattr(qtbot, "waitUntil", partial(qtbot.waitUntil, timeout=1000 * PATIENCE_S))
    return qtbot


@pytest.fixture
def make_panel(viewer, qtbot, tmp_path):
    """Makes the Active learning panel in a window; by default with tools that answer at once."""
    from support.learning_panel import Panel

    viewer.window.resize(1000, 700)
    made = []

    def make(*args):
        made.append(Panel(viewer, qtbot, tmp_path, *args))
        return made[-1]

    yield make
    for panel in made:
        panel.close()
