"""Stain vectors from QuPath's history of an image; names and colours of its channels."""

from __future__ import annotations

import pytest

from napari_histo.ops.stain_vectors import HE, StainVectors
from qupath_bridge._builders import parse_builder
from qupath_bridge.stains import read_stains
from support.qupath_projects import leaf


def line(text):
    return b"\xac\xed\x00\x05t\x01\x00setColorDeconvolutionStains('" + text.encode() + b"');xsr"


LONG = '{"Name" : "' + "x" * 5000 + '"}'


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(line(HE.describe()), HE.describe(), id="once"),
        pytest.param(line('{"old": 1}') + line('{"new": 2}'), '{"new": 2}', id="the last counts"),
        pytest.param(b"\xac\xed\x00\x05Data file version", "", id="never"),
        pytest.param(line("{}")[:-6], "", id="cut short"),
        pytest.param(line(LONG), "", id="too long to be one"),
        pytest.param(b"", "", id="empty file"),
        pytest.param(None, "", id="no file"),
    ],
)
def test_what_was_last_set(tmp_path, data, expected):
    path = tmp_path / "data.qpdata"
    if data is not None:
        path.write_bytes(data)
    assert read_stains(path) == expected


def test_they_are_read_as_vectors(tmp_path):
    (tmp_path / "data.qpdata").write_bytes(line(HE.describe()))
    assert StainVectors.parse(read_stains(tmp_path / "data.qpdata")).names == HE.names


CHANNELS = [{"name": "DAPI", "color": -16776961}, {"name": "CD3", "color": -256}]


@pytest.mark.parametrize(
    ("channels", "expected"),
    [
        (CHANNELS, (("DAPI", (0, 0, 255)), ("CD3", (255, 255, 0)))),
        ([{"name": "DAPI"}], ()),
        ([{"name": "DAPI", "color": "blue"}], ()),
        (None, ()),
        ("DAPI", ()),
    ],
    ids=["as QuPath writes it", "no colour", "a word", "none", "no list"],
)
def test_channels(channels, expected):
    words = {**leaf("file:/a.tif"), "metadata": {"channels": channels}}
    assert parse_builder(words).channels == expected
