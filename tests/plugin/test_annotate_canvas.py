"""From the mouse on a real canvas to full-resolution px, wherever the layer lies."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histo.plugin.annotate.canvas import Listener, Mouse
from napari_histo.plugin.geometry import placement_of
from support.mouse import Hand, settle

pytestmark = pytest.mark.gui

SHAPE = (60, 100)
#: The middle of a bright square of 3 x 3 px, full-resolution px.
SPOT = (70.5, 20.5)


class Ear:
    """Remembers what it is told."""

    def __init__(self, draws):
        self.draws, self.previews, self.strokes, self.hovers = draws, [], [], []

    def listener(self):
        return Listener(
            lambda: self.draws,
            self.previews.append,
            self.strokes.append,
            lambda *xy: self.hovers.append(xy),
        )


@pytest.fixture
def viewer(viewer):
    viewer.window.resize(900, 700)
    return viewer


def picture(multiscale):
    pixels = np.zeros(SHAPE, np.uint8)
    x, y = int(SPOT[0]), int(SPOT[1])
    pixels[y - 1 : y + 2, x - 1 : x + 2] = 255
    return [pixels, pixels[::2, ::2]] if multiscale else pixels


def listen(viewer, draws=True, multiscale=False, **placement):
    image = viewer.add_image(picture(multiscale), multiscale=multiscale, **placement)
    layer = viewer.add_labels(np.zeros(SHAPE, np.uint32), **placement_of(image))
    layer.mode = "pan_zoom"
    ear = Ear(draws)
    viewer.reset_view()
    settle(50)
    return layer, ear, Mouse(viewer, layer, ear.listener())


def spot_on_screen(viewer):
    """Middle of what is bright in the window: found by eye, without any of our formulas."""
    pixels = viewer.screenshot(canvas_only=True, flash=False)[..., :3].mean(axis=-1)
    y, x = np.nonzero(pixels > 128)
    return np.array([x.mean() + 0.5, y.mean() + 0.5])


@pytest.mark.parametrize("multiscale", [False, True], ids=["plain", "multiscale"])
def test_click_lands_where_the_eye_sees_it(viewer, qtbot, placement, multiscale):
    layer, ear, _ = listen(viewer, multiscale=multiscale, **placement)
    hand = Hand(viewer, layer, qtbot)
    at = spot_on_screen(viewer)
    assert np.abs(hand.screen(*SPOT) - at).max() < 1.5
    hand.click_screen(at)
    (stroke,) = ear.strokes
    assert stroke.is_click
    one_screen_px = 1 / zoom_of(hand)
    assert np.abs(stroke.xy[0] - SPOT).max() <= max(0.5, one_screen_px)


def zoom_of(hand):
    return np.abs(hand.screen(1, 0) - hand.screen(0, 0)).max()


#: Button and key; whether the stroke excludes, extends, adds.
MEANINGS = {
    ("left", ""): (False, False, False),
    ("left", "alt"): (True, False, False),
    ("right", ""): (True, False, False),
    ("left", "ctrl"): (False, True, False),
    ("left", "shift"): (False, False, True),
}


@pytest.mark.parametrize("draws", [True, False], ids=["drawing", "moving"])
def test_buttons_and_keys(viewer, qtbot, draws):
    layer, ear, _ = listen(viewer, draws)
    hand, zoom = Hand(viewer, layer, qtbot), viewer.scene.camera.zoom
    for i, how in enumerate(MEANINGS):
        hand.click(30 + 10 * i, 30, *how)  # elsewhere, or it is a double click
    told = [(stroke.exclude, stroke.extend, stroke.add) for stroke in ear.strokes]
    assert dict(zip(MEANINGS, told, strict=True)) == MEANINGS
    assert viewer.scene.camera.zoom == zoom


def test_drag_draws_with_previews_or_moves_the_view(viewer, qtbot):
    layer, ear, _ = listen(viewer, draws=True)
    hand = Hand(viewer, layer, qtbot)
    centre = viewer.scene.camera.center
    hand.drag([(20, 20), (40, 20), (40, 40)])
    (stroke,) = ear.strokes
    assert not stroke.is_click
    assert np.abs(stroke.xy[[0, -1]] - [(20, 20), (40, 40)]).max() < 0.5
    assert np.abs(stroke.xy - (40, 20)).sum(axis=1).min() < 4
    assert viewer.scene.camera.center == centre
    assert len(ear.previews) >= 3
    assert ear.previews[-1] is None

    ear.draws = False
    hand.drag([(20, 20), (40, 20)])
    assert len(ear.strokes) == 1
    assert abs(viewer.scene.camera.center[-1] - (centre[-1] - 20)) < 1


def test_view_moves_while_a_drawing_tool_is_in_hand(viewer, qtbot):
    layer, ear, mouse = listen(viewer, draws=True)
    hand = Hand(viewer, layer, qtbot)
    for button in ("middle", "left"):
        mouse.holds_space = button == "left"
        before = viewer.scene.camera.center
        hand.drag([(30, 20), (50, 30)], button=button)
        assert ear.strokes == []
        moved = np.array(viewer.scene.camera.center[-2:]) - before[-2:]
        assert np.abs(moved - (-10, -20)).max() < 1, button


def test_quick_clicks_do_not_zoom_and_napari_gets_its_own_back(viewer, qtbot):
    layer, ear, mouse = listen(viewer)
    hand = Hand(viewer, layer, qtbot)
    zoom = viewer.scene.camera.zoom
    from qtpy.QtTest import QTest

    from support.mouse import BUTTONS, KEYS, _point

    at = hand.screen(30, 30)
    hand.click_screen(at)
    QTest.mouseDClick(hand.canvas, BUTTONS["left"], KEYS[""], _point(at))
    settle(20)
    assert viewer.scene.camera.zoom == zoom
    assert len(ear.strokes) >= 1

    viewer.layers.selection.active = viewer.layers[0]
    before = len(ear.strokes)
    hand.click(20, 20)
    assert len(ear.strokes) == before, "another layer is in use"
    assert [f.__name__ for f in viewer.mouse_double_click_callbacks] == ["double_click_to_zoom"]
    viewer.layers.selection.active = layer
    assert viewer.mouse_double_click_callbacks == []
    mouse.close()
    assert [f.__name__ for f in viewer.mouse_double_click_callbacks] == ["double_click_to_zoom"]
    assert [f.__name__ for f in viewer.mouse_drag_callbacks] == ["drag_to_zoom"]


def test_hover_tells_the_place(viewer, qtbot):
    layer, ear, _ = listen(viewer, scale=(0.5, 0.5), translate=(10, 0))
    Hand(viewer, layer, qtbot).hover(33, 22)
    assert np.abs(np.array(ear.hovers[-1]) - (33, 22)).max() < 0.5
