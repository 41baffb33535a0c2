"""Box, PixelSize, ClassScheme, CancelToken: the small words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_histo.core import (
    Box,
    CancelToken,
    ClassDef,
    ClassScheme,
    PixelSize,
    Progress,
    SlideInfo,
    pack_argb,
    unpack_rgb,
)
from napari_histo.errors import Cancelled

sides = st.integers(0, 50)
corners = st.integers(-50, 50)
boxes = st.builds(Box, corners, corners, sides, sides)


def pixels(box: Box) -> set[tuple[int, int]]:
    return {(x, y) for x in range(box.x, box.right) for y in range(box.y, box.bottom)}


@given(boxes, boxes)
def test_intersection_holds_the_common_pixels(a, b):
    assert pixels(a.intersect(b)) == pixels(a) & pixels(b)


@given(boxes, corners, corners)
def test_shift_moves_every_pixel(box, dx, dy):
    assert pixels(box.shift(dx, dy)) == {(x + dx, y + dy) for x, y in pixels(box)}


@given(boxes, st.integers(0, 9))
def test_padding_and_taking_off_is_nothing(box, margin):
    assert box.pad(margin).pad(-margin) == box


@given(boxes, st.integers(1, 9))
def test_scale_covers_and_no_more(box, downsample):
    small = box.scale(1 / downsample)
    back = small.scale(downsample)
    assert back.intersect(box) == box or box.is_empty
    assert 0 <= box.x - back.x < downsample
    assert 0 <= back.bottom - box.bottom < downsample or box.is_empty


def test_scale_takes_both_axes():
    assert Box(2, 3, 10, 7).scale(2, 3) == Box(4, 9, 20, 21)


def test_shape_is_height_before_width():
    assert Box(1, 2, 30, 4).shape == (4, 30)


@pytest.mark.parametrize(("width", "height"), [(-1, 2), (2, -1)])
def test_box_refuses_negative_sides(width, height):
    with pytest.raises(ValueError, match="0 or more"):
        Box(0, 0, width, height)


@pytest.mark.parametrize("size", [0, -1, float("nan"), float("inf")])
def test_pixel_size_refuses(size):
    with pytest.raises(ValueError, match="finite and above 0"):
        PixelSize(0.25, size)


def test_pixel_size_keeps_axes_apart():
    size = PixelSize(0.2, 0.4)
    assert (size.mean_um, size.area_um2) == pytest.approx((0.3, 0.08))
    assert size.at_downsample(4) == PixelSize(0.8, 1.6)


@given(st.tuples(*[st.integers(0, 255)] * 3), st.integers(0, 255))
def test_argb_packs_as_java(rgb, alpha):
    packed = pack_argb(rgb, alpha)
    assert -(2**31) <= packed < 2**31
    assert unpack_rgb(packed) == rgb
    assert packed % 2**32 >> 24 == alpha


@pytest.mark.parametrize(
    ("name", "rgb", "is_background"),
    [
        ("Tumor", (200, 0, 0), False),
        ("Ignore*", (180, 180, 180), True),
        ("Region*", (0, 0, 180), True),
        ("Something", None, False),
    ],
    ids=lambda v: str(v),
)
def test_class_has_qupaths_colour(name, rgb, is_background):
    item = ClassDef.named(name)
    assert item == ClassDef.named(name), "the palette depends on the name alone"
    assert rgb is None or item.rgb == rgb
    assert item.is_background is is_background


def test_derived_class_has_parts():
    assert ClassDef.named("Tumor: Positive").names == ("Tumor", "Positive")


def test_scheme_refuses_doubles_and_unknown_names():
    with pytest.raises(ValueError, match="not unique"):
        ClassScheme.of("A", "A")
    with pytest.raises(KeyError, match="not in the scheme"):
        ClassScheme.of("A").index("B")
    with pytest.raises(IndexError, match="unclassified"):
        ClassScheme.of("A")[-1]


def test_union_keeps_ids_and_present_colours():
    first = ClassScheme((ClassDef("A", (1, 2, 3)),))
    both = first.union([ClassDef("A", (9, 9, 9)), ClassDef("B", (4, 5, 6))])
    assert both.names == ("A", "B")
    assert both[0].rgb == (1, 2, 3)
    assert first.union([ClassDef("A", (9, 9, 9))]) is first


def test_unclassified_is_minus_one():
    scheme = ClassScheme.of("A")
    assert (scheme.index(None), scheme.name_of(-1), scheme.name_of(0)) == (-1, None, "A")


def test_cancel_token_raises_once_asked():
    token = CancelToken()
    token.raise_if_cancelled()
    token.cancel()
    with pytest.raises(Cancelled):
        token.raise_if_cancelled()


def test_progress_fraction_while_the_total_is_unknown():
    assert (Progress(3, 0).fraction, Progress(3, 4).fraction) == (0.0, 0.75)


@pytest.mark.parametrize(
    ("downsample", "level"), [(0.5, 0), (1, 0), (3.9, 0), (3.99, 1), (4, 1), (99, 2)]
)
def test_best_level_is_never_coarser_than_asked(downsample, level):
    import numpy as np

    info = SlideInfo(
        "a",
        "a",
        ((400, 800), (100, 200), (25, 50)),
        (1.0, 4.0, 16.0),
        np.dtype("u1"),
        ("R", "G", "B"),
        True,
    )
    assert info.best_level(downsample) == level
    assert info.level_box(1) == Box(0, 0, 200, 100)


def test_a_box_holds_what_lies_in_it_but_not_on_its_far_edges() -> None:
    points = np.array([(2, 3), (11.9, 7.9), (12, 5), (5, 8), (1.9, 5), (5, np.nan)])
    assert Box(2, 3, 10, 5).holds(points).tolist() == [True, True, False, False, False, False]
    assert Box(2, 3, 10, 5).holds(np.zeros((0, 2))).shape == (0,)
