"""What is said where a run is to go on with another model or other settings."""

from __future__ import annotations

import copy

import pytest

from napari_histo.store.run_differences import differences

HASH = "0123456789abcdef"
FACTS = {
    "image": {"name": "a.svs", "size_px": [100, 80], "fingerprint": HASH},
    "model": {"name": "he-nuclei", "sha256": "3fa2c1d0" + 56 * "0", "precision": "full"},
    "parameters": {
        "region": None,
        "pixel_size_um": [0.5, 0.5],
        "thresholds": {"prob": 0.5, "nms": 0.4},
        "classes": ["Tumor", "Stroma"],
        "tissue": None,
        "z": 0,
        "colours": {"normalization": "none", "inverted": True},
        "cells": {"join": {"by": "overlap"}, "by": {"model": {"name": "cyto3", "sha256": HASH}}},
    },
}


def with_facts(**changes):
    """The facts with others, by path with two underscores between its parts; DROP leaves it out."""
    facts = copy.deepcopy(FACTS)
    for path, value in changes.items():
        *parts, last = path.split("__")
        place = facts
        for part in parts:
            place = place[part]
        if value is DROP:
            del place[last]
        else:
            place[last] = value
    return facts


DROP = object()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        pytest.param({}, [], id="the same"),
        pytest.param(
            {"model__name": "fluo-nuclei", "model__sha256": 64 * "b", "model__precision": "half"},
            ["model: he-nuclei before, fluo-nuclei now"],
            id="another model, by its name alone",
        ),
        pytest.param(
            {"model__sha256": "9bc10000" + 56 * "0"},
            ["model he-nuclei: other weights (3fa2c1d0 before, 9bc10000 now)"],
            id="other weights under one name",
        ),
        pytest.param(
            {"model__sha256": None},
            ["model he-nuclei: other weights (3fa2c1d0 before, unknown now)"],
            id="weights that nobody hashed",
        ),
        pytest.param(
            {"model__precision": "half"},
            ["precision of the network: full before, half now"],
            id="precision",
        ),
        pytest.param(
            {"parameters__thresholds__prob": 0.7, "parameters__thresholds__nms": 0.1},
            ["least probability: 0.5 before, 0.7 now", "largest overlap: 0.4 before, 0.1 now"],
            id="thresholds, one by one",
        ),
        pytest.param(
            {"parameters__region": {"x": 1, "y": 2}},
            ["region: not given before, x 1, y 2 now"],
            id="a region",
        ),
        pytest.param(
            {"parameters__classes": None},
            ["classes: Tumor, Stroma before, not given now"],
            id="classes",
        ),
        pytest.param({"parameters__z": 3}, ["focal plane: 0 before, 3 now"], id="plane"),
        pytest.param({"parameters__z": DROP}, [], id="the plane that is usual, not named"),
        pytest.param(
            {"parameters__tissue": HASH}, ["where to look: not given before, given now"], id="mask"
        ),
        pytest.param(
            {"image__fingerprint": "f" * 16}, ["pixels of the image: not as before"], id="pixels"
        ),
        pytest.param(
            {"parameters__colours": DROP},
            ["colours: normalization none, inverted yes before, not given now"],
            id="given before and not any more",
        ),
        pytest.param(
            {"parameters__colours__stains": '{"Name": "H&E", "Values 1": "0.6 0.7 0.3"}'},
            ["stains: not given before, H&E now"],
            id="stains by their name",
        ),
        pytest.param(
            {"parameters__nuclear_channel": 2},
            ["nuclear channel: not given before, 2 now"],
            id="not given before",
        ),
        pytest.param(
            {"parameters__cells__by__model__name": "cyto2"},
            ["model: cyto3 before, cyto2 now"],
            id="the model of cells",
        ),
    ],
)
def test_differences_in_words_that_people_know(changes, told):
    assert differences(FACTS, with_facts(**changes)) == told


def test_a_long_setting_is_cut():
    (told,) = differences(FACTS, with_facts(parameters__classes=["Class"] * 100))
    assert len(told) < 100
    assert told.endswith("… now")
