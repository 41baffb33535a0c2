"""``napari-histo models``: what is printed, and how it ends."""

from __future__ import annotations

import json

import pytest

from support.model_folders import stardist_folder


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_HISTO_MODELS", str(tmp_path / "home"))
    monkeypatch.delenv("NAPARI_HISTO_SHARED_MODELS", raising=False)
    return tmp_path / "home"


def test_added_listed_shown_verified_removed(cli, tmp_path, home):
    folder = stardist_folder(tmp_path / "mine", description="For tests.")
    assert "Added mine (stardist). Licence: CC0-1.0" in cli("models", "add", folder).out
    listed = json.loads(cli("models", "list", "--json").out)
    assert {"name": "mine", "origin": "added", "available": True}.items() <= listed[-2].items()
    shown = cli("models", "info", "mine").out
    for words in ("For tests.", "goes on from:    he-nuclei", "0.5 µm/px", "CC0-1.0"):
        assert words in shown
    assert "whole       mine" in cli("models", "verify").out
    (home / "mine" / "model" / "weights.safetensors").write_bytes(b"no")
    damaged = cli("models", "verify", "mine")
    assert damaged.code == 1
    assert "weights.safetensors was changed" in damaged.out
    assert cli("models", "remove", "mine").code == 0
    assert "mine" not in cli("models", "list").out


def test_a_card_with_figures_and_data(cli):
    shown = cli("models", "info", "he-nuclei").out
    for words in ("Learnt from", "TNBC", "f1", "0.853", "Limits", "Not a medical device."):
        assert words in shown
    card = json.loads(cli("models", "info", "he-nuclei", "--json").out)
    assert (card["origin"], card["pixel_size_um"], card["family"]) == ("shipped", 0.25, "stardist")
    assert card["metrics"]


def test_verify_in_figures(cli):
    verdicts = json.loads(cli("models", "verify", "click", "classical", "--json").out)
    assert [v["state"] for v in verdicts] == ["whole", "whole"]


def test_a_labs_folder(cli, tmp_path):
    stardist_folder(tmp_path / "lab" / "ours")
    assert "1 model(s)" in cli("models", "add", tmp_path / "lab", "--shared").out
    assert "shared" in cli("models", "list").out
    stardist_folder(tmp_path / "lab" / "classical")
    assert "the name 'classical' is that of" in cli("models", "list").err
    assert cli("models", "remove", tmp_path / "lab").code == 0
    assert "ours" not in cli("models", "list").out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["info", "unknown"], "There is no model 'unknown'"),
        (["verify", "unknown"], "There is no model 'unknown'"),
        (["remove", "he-nuclei"], "belongs to the program"),
        (["add", "/no/such/place"], "does not exist"),
        (["add", "https://example.org/net.zip"], "needs --sha256"),
        (["add", ".", "--shared", "--name", "x"], "leave the other options out"),
    ],
    ids=" ".join,
)
def test_errors_are_one_message(cli, arguments, says):
    ran = cli("models", *arguments)
    assert ran.code == 1
    assert says in ran.err
