"""Pyramids drawn on demand show what the table holds, and draw no more than is looked at."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histo.core import Box, ClassScheme, Contours, ObjectTable
from napari_histo.plugin import lazy
from napari_histo.plugin.layers import row_of
from napari_histo.plugin.lazy import image_levels, label_levels, label_values, n_slots
from napari_histo.slides import ArrayReader
from napari_histo.store import rasterise
from napari_histo.store.labels import draw


def squares(n, step=20, side=8, **columns):
    """`n` squares on a diagonal."""
    corners = np.array([[0, 0], [side, 0], [side, side], [0, side]], np.float32)
    at = np.arange(n)[:, None] * np.array([step, step]) + 3.0
    return ObjectTable.build(
        Contours.from_star(at[:, None].astype(np.float32) + corners), **columns
    )


def test_first_level_is_the_label_image(table):
    levels = label_levels(table, (60, 100))
    whole = rasterise(table, Box(0, 0, 100, 60), values=label_values(table))
    assert levels[0].dtype == np.uint32
    assert (np.asarray(levels[0]) == whole).all()


def test_cuts_of_a_level_are_parts_of_the_whole():
    levels = label_levels(squares(60), (1300, 1250))
    whole = np.asarray(levels[0])
    assert whole.max() == 60
    assert (np.asarray(levels[0][500:530, 505:1100]) == whole[500:530, 505:1100]).all()


@pytest.mark.parametrize(
    ("shape", "shapes"),
    [
        pytest.param((1, 1), [(2, 2), (1, 1)], id="one-pixel"),
        pytest.param((60, 100), [(60, 100), (30, 50)], id="small"),
        pytest.param((512, 512), [(512, 512), (256, 256)], id="one-tile"),
        pytest.param((513, 10), [(513, 10), (257, 5)], id="odd"),
        pytest.param((1025, 2049), [(1025, 2049), (513, 1025), (257, 513), (129, 257)], id="large"),
    ],
)
def test_levels_halve_down_to_a_thumbnail(shape, shapes):
    assert [level.shape for level in label_levels(ObjectTable.empty(), shape)] == shapes


def test_only_tiles_that_are_looked_at_are_drawn_and_only_once(monkeypatch):
    drawn = []

    def count(contours, values, box, downsample):
        drawn.append(box)
        return draw(contours, values, box, downsample)

    monkeypatch.setattr(lazy, "draw", count)
    levels = label_levels(squares(1000), (100_000, 100_000))
    assert drawn == []
    for _ in range(2):
        np.asarray(levels[0][512:1024, 1024:1536])
    assert drawn == [Box(1024, 512, 512, 512)]


def test_small_objects_stay_visible_as_dots():
    """At the coarsest level squares of 8 px are smaller than a pixel."""
    last = np.asarray(label_levels(squares(40, step=450), (20_000, 20_000))[-1])
    values, counts = np.unique(last[last > 0], return_counts=True)
    assert values.tolist() == list(range(1, 41))
    assert (counts == 1).all()


def test_each_object_is_a_dot_or_an_area_by_its_own_size():
    small, large = squares(2, step=64, side=8), squares(1, side=4000)
    last = np.asarray(label_levels(ObjectTable.concat([large, small]), (8192, 8192))[-1])
    values, counts = np.unique(last, return_counts=True)
    assert values.tolist() == [0, 1, 2, 3]
    assert counts[1] == pytest.approx(250 * 250, rel=0.02)
    assert counts[2:].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("class_id", "names", "slots"),
    [
        pytest.param([0, 0, 0], ["Nucleus"], 1, id="one-class"),
        pytest.param([-1, -1, -1], [], 1, id="no-class"),
        pytest.param([1, 0, -1], ["A", "B"], 3, id="some-unclassified"),
        pytest.param([1, 0, 1], ["A", "B", "C"], 3, id="three"),
    ],
)
def test_values_tell_rows_and_classes(class_id, names, slots):
    table = squares(3, class_id=class_id, classes=ClassScheme.of(*names))
    values = label_values(table)
    assert n_slots(table) == slots
    assert [row_of(table, int(v)) for v in values] == [0, 1, 2]
    assert row_of(table, 0) is None
    assert ((values - 1) % slots).tolist() == [c if c >= 0 else slots - 1 for c in class_id]


def test_values_are_row_numbers_for_one_class():
    table = squares(3, class_id=0, classes=ClassScheme.of("Nucleus"))
    assert label_values(table).tolist() == [1, 2, 3]


def test_image_levels_are_the_readers():
    rng = np.random.default_rng(0)
    full = rng.integers(0, 255, (700, 600, 3), np.uint8)
    reader = ArrayReader([full, full[::2, ::2]])
    levels = image_levels(reader)
    assert [level.shape for level in levels] == [(700, 600, 3), (350, 300, 3)]
    assert (np.asarray(levels[0][500:520, 10:30]) == full[500:520, 10:30]).all()
    assert (np.asarray(levels[1]) == full[::2, ::2]).all()
