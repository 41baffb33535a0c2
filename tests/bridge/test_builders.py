"""What an image is made of, as every QuPath from 0.2 to 0.7 says it."""

from __future__ import annotations

from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_histo.core import PixelSize
from qupath_bridge._builders import PLAIN_KINDS, Builder, parse_builder, parse_server_file
from support.qupath_projects import leaf

A, B = "file:/slides/a.tif", "file:/slides/b.tif"
REGION = {"x": 10, "y": 20, "width": 300, "height": 200, "z": 0, "t": 0}
AFFINE = {"m00": 1.0, "m10": 0.0, "m01": 0.0, "m11": 1.0, "m02": 5.0, "m12": 7.0}
SPARSE = [
    {"region": REGION, "resolutions": [{"downsample": 1.0, "serverBuilder": leaf(A)}]},
    {"region": REGION, "resolutions": [{"downsample": 4.0, "serverBuilder": leaf(B)}]},
]

# kind, its fields, the files that it needs, the settings that are kept
KINDS = [
    pytest.param("rotated", {"builder": leaf(A), "rotation": "ROTATE_90"}, [A], id="rotated"),
    pytest.param("cropped", {"builder": leaf(A), "region": REGION}, [A], id="cropped"),
    pytest.param("affine", {"builder": leaf(A), "transform": AFFINE}, [A], id="affine"),
    pytest.param("flipped", {"builder": leaf(A), "flip": "HORIZONTAL"}, [A], id="flipped"),
    pytest.param("pyramidize", {"builder": leaf(A)}, [A], id="pyramid"),
    pytest.param("swapRedBlue", {"builder": leaf(A), "order": "BGR"}, [A], id="rgb order"),
    pytest.param("color", {"builder": leaf(A), "transforms": [{"channel": 0}]}, [A], id="color"),
    pytest.param(
        "color_deconvolved",
        {"builder": leaf(A), "stains": {"name": "H-DAB"}, "channels": [1, 2]},
        [A],
        id="stains",
    ),
    pytest.param(
        "normalized", {"builder": leaf(A), "normalizer": {"type": "offset"}}, [A], id="normalized"
    ),
    pytest.param("typeConvert", {"builder": leaf(A), "pixelType": "UINT8"}, [A], id="type"),
    pytest.param(
        "sliced", {"builder": leaf(A), "zStart": 0, "zEnd": 3, "zStep": 1}, [A], id="sliced"
    ),
    pytest.param("z_projected", {"builder": leaf(A), "projection": "MAX"}, [A], id="projected"),
    pytest.param("z_concatenated", {"builders": [leaf(A), leaf(B)]}, [A, B], id="z of several"),
    pytest.param(
        "channels", {"builder": leaf(A), "channels": [leaf(A), leaf(B)]}, [A, B], id="channels"
    ),
    pytest.param("sparse", {"regions": SPARSE, "path": "Sparse"}, [A, B], id="sparse"),
    pytest.param(
        "some.extension", {"deep": [{"er": leaf(A)}], "warp": {"k": 1}}, [A], id="unknown kind"
    ),
]


@pytest.mark.parametrize(("kind", "fields", "uris"), KINDS)
def test_every_kind_tells_its_files_and_what_it_does(kind, fields, uris):
    found = parse_builder({"builderType": kind, **fields, "metadata": {"width": 4, "height": 3}})
    assert found.kind == kind
    assert list(found.uris) == uris
    assert found.shape == (3, 4)
    assert [s.kind for s in found.steps] == [kind] * (kind not in PLAIN_KINDS)
    holders = {"builder", "builders", "regions", "deep"} | ({"channels"} - set(found.settings))
    assert dict(found.settings) == {k: v for k, v in fields.items() if k not in holders}


@pytest.mark.parametrize(
    ("kind", "fields", "uris"), [k for k in KINDS if k.id not in ("unknown kind",)]
)
def test_kinds_without_their_word_are_told_by_their_fields(kind, fields, uris):
    """As in the ``server.json`` of QuPath before 0.5."""
    found = parse_server_file(fields)
    assert (found.kind, list(found.uris)) == (kind, uris)


def test_steps_come_in_the_order_in_which_they_are_done():
    cropped = {"builderType": "cropped", "builder": leaf(A), "region": REGION}
    rotated = {"builderType": "rotated", "builder": cropped, "rotation": "ROTATE_180"}
    found = parse_builder({"builderType": "pyramidize", "builder": rotated})
    assert [s.kind for s in found.steps] == ["cropped", "rotated"]


@pytest.mark.parametrize(
    ("args", "series"),
    [
        pytest.param((), 0, id="none"),
        pytest.param(("--series", "2"), 2, id="two words"),
        pytest.param(("--series=3",), 3, id="one word"),
        pytest.param(("-s", "1"), 1, id="short"),
        pytest.param(("--name", "x", "--series"), 0, id="value missing"),
        pytest.param(("--series", "-1"), 0, id="negative is the default"),
    ],
)
def test_series(args, series):
    assert parse_builder(leaf(A, *args)).series == series


def test_args_within_steps_count():
    assert parse_builder({"builder": leaf(A, "--series", "2"), "rotation": "x"}).series == 2


@pytest.mark.parametrize("words", [None, [], "text", 3, {}, {"metadata": None}])
def test_what_is_no_builder_names_no_file(words):
    assert parse_builder(words).uris == ()


def test_metadata_is_not_searched_for_files():
    assert parse_builder({**leaf(A), "metadata": {"thumbnail": leaf(B)}}).uris == (A,)


@pytest.mark.parametrize(
    ("side", "size"),
    [
        pytest.param({"value": 0.25, "unit": "µm"}, PixelSize.square(0.25), id="micro sign"),
        pytest.param({"value": 0.25, "unit": "μm"}, PixelSize.square(0.25), id="greek mu"),
        pytest.param({"value": 1.0, "unit": "px"}, None, id="uncalibrated"),
        pytest.param({"value": float("nan"), "unit": "µm"}, None, id="NaN"),
        pytest.param({}, None, id="nothing"),
    ],
)
def test_pixel_size(side, size):
    calibration = {"pixelWidth": side, "pixelHeight": side}
    words = {**leaf(A), "metadata": {"pixelCalibration": calibration}}
    assert parse_builder(words).pixel_size == size


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda b: b, id="bare, since 0.6"),
        pytest.param(lambda b: {"builder": b, "metadata": {"width": 1}}, id="a server, 0.5"),
        pytest.param(
            lambda b: {k: v for k, v in b.items() if k != "builderType"}, id="untyped, before 0.5"
        ),
    ],
)
def test_server_file_of_every_version(wrap):
    words = leaf(A, "--series", "1")
    assert parse_server_file(wrap(words)) == parse_builder(words)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["builder", "builderType", "uri", "args", "channels", "metadata", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from(["a", "builder", "args", "uri", "regions"]), JSON))
def test_any_json_object_is_read_and_its_files_are_text(words):
    found = parse_builder(words)
    assert isinstance(found, Builder)
    assert isinstance(found.settings, MappingProxyType)
    assert all(isinstance(uri, str) and uri for uri in found.uris)
