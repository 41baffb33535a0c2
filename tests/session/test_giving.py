"""Classes given to many objects: in a thread, whole or not at all, whatever happens meanwhile."""

from __future__ import annotations

import pytest

from napari_histo.session.classify import giving
from napari_histo.store import load_objects
from session.test_classify import TRUTH, Desk


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A session with a classifier, to which every number of objects is many."""
    monkeypatch.setattr(giving, "_AT_ONCE", 0)
    desk = Desk(tmp_path)
    desk.give("Tumor", 0, 12)
    desk.give("Stroma", 5, 17)
    return desk


def wait(desk):
    desk.until(lambda: desk.known.giving is None and not desk.session._gifts.is_busy)


def unsaved(desk):
    return desk.state.kept.n_unsaved


def test_the_window_goes_on_and_is_told_how_far_it_is(desk):
    seen = []
    desk.known.events.giving.connect(lambda step: seen.append(step and step.done))
    assert desk.session.apply()
    assert desk.known.giving is not None
    assert desk.own() != TRUTH
    wait(desk)
    assert desk.own() == TRUTH
    assert seen == [0, 0, 1, 2, None]
    assert desk.known.n_pending == 0
    desk.session.undo()
    assert desk.own().count(None) == len(TRUTH) - 4


def test_the_journal_keeps_what_it_would_of_an_edit_at_once(desk, monkeypatch):
    desk.session.apply()
    wait(desk)
    desk.session.undo()
    monkeypatch.setattr(giving, "_AT_ONCE", 10_000)
    desk.session.apply()
    lines = [
        line.split('"name":"Classify"')[1]
        for file in sorted(desk.session._document.journal_folder.glob("edits-*"))
        for line in file.read_text().splitlines()
        if '"name":"Classify"' in line
    ]
    assert len(lines) == 3
    assert lines[0] == lines[2] != lines[1]


@pytest.mark.parametrize("how", ["stop_applying", "undo"])
def test_given_up_nothing_has_changed(desk, how):
    before, n = desk.own(), unsaved(desk)
    desk.session.apply()
    getattr(desk.session, how)()
    assert desk.known.giving is None
    wait(desk)
    assert desk.own() == before
    assert unsaved(desk) == n
    assert desk.state.notice == "Stopped. No class was given."
    desk.session.apply()
    wait(desk)
    assert desk.own() == TRUTH


def test_what_a_person_says_meanwhile_stands(desk):
    desk.session.apply()
    desk.session.choose("Stroma")
    desk.session.click(*desk.at(1))
    wait(desk)
    assert desk.own()[1] == "Stroma"
    assert desk.own()[2:] == TRUTH[2:]
    desk.session.undo()
    desk.session.undo()
    assert desk.own()[1] is None


def test_saving_waits_for_it(desk):
    desk.session.save()
    assert not desk.target.exists()
    desk.until(lambda: desk.state.kept.saved_at is not None)
    assert desk.own() == TRUTH
    assert sorted(load_objects(desk.target).class_names) == sorted(TRUTH)


def test_closing_finishes_it(desk, tmp_path):
    desk.session.apply()
    desk.session.close()
    assert Desk(tmp_path).own() == TRUTH


def test_handing_over_finishes_it(desk):
    desk.session.apply()
    desk.session.hand_over()()
    assert sorted(load_objects(desk.target).class_names) == sorted(TRUTH)


def test_a_fault_is_told_and_nothing_has_changed(desk, monkeypatch):
    def fail(_edit):
        raise MemoryError("no room")

    monkeypatch.setattr(giving, "encode_rows", fail)
    before = desk.own()
    desk.session.apply()
    wait(desk)
    assert "no room" in desk.state.error
    assert desk.own() == before
