"""The doctor says what is wrong; it is never the patient."""

from __future__ import annotations

import json
import sys

import pytest

from napari_histo.cli import doctor


def findings(cli):
    ran = cli("doctor", "--json")
    assert ran.code == 0, ran.err
    return {f["what"]: f for f in json.loads(ran.out)}


def test_looks_at_everything(cli):
    looked_at = findings(cli)
    assert {"Python", "torch", "Qt", "display", "GPU", "QuPath", "free disk here"} <= set(looked_at)
    assert all(f["ok"] or f["advice"] for f in looked_at.values())


def test_without_torch(cli, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    found = findings(cli)
    assert not found["GPU"]["ok"]
    assert "torch" in found["GPU"]["value"]
    assert "pip install torch" in found["GPU"]["advice"]
    assert "QuPath" in found


def test_with_a_bad_pattern_for_qupath(cli, monkeypatch):
    monkeypatch.delenv("PAQUO_QUPATH_DIR", raising=False)
    monkeypatch.setenv("PAQUO_QUPATH_SEARCH_DIR_REGEX", "(qupath")
    found = findings(cli)
    assert not found["QuPath"]["ok"]
    assert "unterminated subpattern" in found["QuPath"]["value"]
    assert "PAQUO_QUPATH_SEARCH_DIR_REGEX" in found["QuPath"]["advice"]
    assert "free disk here" in found


def test_names_are_whole_on_a_narrow_screen(cli, monkeypatch):
    monkeypatch.setattr(doctor.out, "width", 80)
    monkeypatch.setenv("PAQUO_QUPATH_SEARCH_DIR_REGEX", "(")
    ran = cli("doctor")
    assert "…" not in ran.out


@pytest.mark.parametrize("look", ["_python", "_packages", "_qt", "_display", "_disk"])
def test_no_error_ends_the_report(monkeypatch, look):
    def fails():
        raise RuntimeError("out of order")

    monkeypatch.setattr(doctor, look, fails)
    found = list(doctor.examine())
    assert [f.value for f in found].count("RuntimeError: out of order") == 1
    assert len(found) > 5


@pytest.mark.parametrize("variable", ["DISPLAY", "WAYLAND_DISPLAY", None])
def test_displays(monkeypatch, variable):
    from napari_histo.cli._display import has_display

    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, ":0")
    assert has_display() == (variable is not None)
