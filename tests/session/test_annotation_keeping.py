"""What an annotator did is taken back, kept and comes back, without a window."""

from __future__ import annotations

from threading import Event

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_histo.errors import WriteError
from napari_histo.session import AnnotationController, Tool
from napari_histo.session.annotate.document import Document
from napari_histo.store.journal import Journal
from support.annotation_desk import Desk, Later, predicted
from support.inbox import PATIENCE_S


def test_undo_gives_back_prompts_and_selection(desk):
    desk.click(200, 300)
    desk.click(215, 300, positive=False)
    assert len(desk.state.prompts) == 2
    desk.controller.undo()
    assert len(desk.state.prompts) == 1
    assert desk.state.active == desk.table.uuid(0)
    desk.controller.undo()
    assert not len(desk.table)
    desk.controller.redo()
    desk.controller.redo()
    assert len(desk.state.prompts) == 2
    assert desk.state.undo_name == "Exclude"
    assert desk.state.redo_name == ""


gestures = st.lists(
    st.tuples(st.integers(0, 12), st.integers(20, 980), st.integers(20, 780)), max_size=12
)


def perform(desk, kind, x, y):
    c = desk.controller
    actions = {
        0: lambda: c.click(x, y),
        1: lambda: c.click(x, y, positive=False),
        2: lambda: c.box(x, y, x + 40, y + 30),
        3: lambda: c.squiggle([(x, y), (x + 10, y + 5)]),
        4: lambda: c.paint([(x, y), (x + 20, y)], 6),
        5: lambda: c.erase([(x, y), (x + 20, y)], 6),
        6: lambda: c.select(desk.table.uuids()[:2]),
        7: c.merge,
        8: lambda: c.split([(x - 50, y), (x + 50, y)]),
        9: c.delete,
        10: lambda: c.relabel("Stroma" if x % 2 else "Tumor"),
        11: c.smooth,
        12: lambda: c.add_class(f"Class {x}"),
    }
    actions[kind]()
    desk.settle()


@given(gestures)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_undoing_all_gives_the_start_and_redoing_all_the_end(tmp_path_factory, history):
    desk = Desk(tmp_path_factory.mktemp("desk"), predicted())
    start = desk.content()
    for gesture in history:
        perform(desk, *gesture)
    end, classes = desk.content(), desk.state.classes
    while desk.state.undo_name:
        desk.controller.undo()
    assert desk.content() == start
    while desk.state.redo_name:
        desk.controller.redo()
    assert desk.content() == end
    assert desk.state.classes == classes
    assert desk.state.counts == desk.controller.objects.counts_by_class()
    desk.controller.close()


@given(gestures)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_saved_and_what_was_only_kept_comes_back(tmp_path_factory, history):
    folder = tmp_path_factory.mktemp("desk")
    desk = Desk(folder)
    for n, gesture in enumerate(history):
        perform(desk, *gesture)
        if n == 5:
            desk.save()
    assert not desk.state.error or "class" in desk.state.error
    end = desk.content()
    desk.controller.close()
    again = Desk(folder)
    assert again.content() == end
    again.save()
    again.controller.close()
    saved = Desk(folder)
    assert saved.content() == end
    saved.controller.close()


# -- a long journal --------------------------------------------------------------------------------


def journal_bytes(folder):
    return sum(p.stat().st_size for p in folder.rglob("edits-*.jsonl"))


def idle(desk):
    desk.later.run(lambda: not desk.controller._compactions.is_busy)


@pytest.fixture
def soon_long(monkeypatch):
    monkeypatch.setattr("napari_histo.session.annotate.document._LONG_JOURNAL_BYTES", 20_000)


def test_a_long_journal_is_shortened_behind_the_edits(desk, tmp_path, soon_long):
    """Edits go on while it works; what a kill leaves brings all of them back."""
    for k in range(300):
        desk.controller.paint([(20.0 + 3 * k, 300.0), (22.0 + 3 * k, 320.0 + k % 7)], 6)
        if k % 3 == 0:
            desk.controller.finish()
        if k % 10 == 0:
            desk.controller.undo()
        while desk.later.posted:
            desk.later.posted.pop(0)()
    idle(desk)
    desk.controller.paint([(20.0, 500.0)], 6)  # what came during a slow shortening goes with it
    idle(desk)
    assert journal_bytes(tmp_path) < 60_000, "without shortening it is 400 kB"
    assert list(tmp_path.rglob("base-*.parquet"))
    end, n = desk.content(), desk.state.kept.n_unsaved
    crash(desk)
    again = Desk(tmp_path)
    assert again.content() == end
    assert f"{n} changes of an earlier session were recovered." in again.state.notice
    again.controller.close()


def test_edits_do_not_wait_for_the_shortening(desk, tmp_path, soon_long, monkeypatch):
    begun, go = Event(), Event()
    real = Journal.write_base

    def slow(self, *arguments, **how):
        begun.set()
        assert go.wait(PATIENCE_S)
        real(self, *arguments, **how)

    desk.controller._document._wait()
    monkeypatch.setattr(Journal, "write_base", slow)
    for k in range(60):
        desk.controller.paint([(20.0 + 10 * k, 300.0)], 6)
        desk.controller.finish()
    assert begun.wait(PATIENCE_S), "it was begun meanwhile"
    assert len(desk.table) == 60, "and no edit waited for it"
    go.set()
    idle(desk)
    end = desk.content()
    crash(desk)
    again = Desk(tmp_path)
    assert again.content() == end
    again.controller.close()


def test_a_journal_that_cannot_be_shortened_is_told_once(desk, tmp_path, soon_long, monkeypatch):
    def full(path, table):
        path.write_bytes(b"half a file")
        raise OSError(28, "No space left on device")

    desk.controller._document._wait()
    told = []
    monkeypatch.setattr("napari_histo.store.parquet.write_parquet", full)
    for k in range(150):
        desk.controller.paint([(20.0 + 6 * k, 300.0)], 6)
        desk.controller.finish()
        idle(desk)
        told += [desk.state.notice] * ("shortened" in desk.state.notice)
    assert len(told) == 1
    assert "Your edits are kept" in told[0]
    assert "No space left" in told[0]
    assert not desk.state.error
    assert len(list(tmp_path.rglob("edits-*.jsonl"))) > 2, "it tried again"
    end = desk.content()
    crash(desk)
    again = Desk(tmp_path)
    assert again.content() == end
    again.controller.close()


def crash(desk):
    """What kill -9 leaves: files, no lock."""
    document = desk.controller._document
    document._wait()
    document._open_journal.close()
    document._home.lock.release()
    desk.controller._document = None


# -- saving ----------------------------------------------------------------------------------------


def test_the_state_says_what_is_saved(desk):
    desk.click(200, 300)
    assert desk.state.kept.n_unsaved > 0
    desk.save()
    assert desk.state.kept.n_unsaved == 0
    assert desk.state.kept.saved_at is not None
    assert desk.target.exists()
    desk.click(400, 300)
    assert desk.state.kept.n_unsaved == 1


def test_an_edit_that_cannot_be_kept_is_not_shown(desk, monkeypatch):
    def full(self, edit, rows=None):
        raise WriteError("Cannot write the journal: the disk is full.")

    monkeypatch.setattr(Document, "append", full)
    desk.click(200, 300)
    assert not len(desk.table)
    assert "disk is full" in desk.state.error


def test_what_was_recovered_is_told(tmp_path):
    desk = Desk(tmp_path)
    desk.click(200, 300)
    desk.controller.close()
    again = Desk(tmp_path)
    assert "1 change of an earlier session was recovered" in again.state.notice
    assert len(again.table) == 1
    again.controller.close()


def test_a_second_window_on_the_file_is_refused(desk, tmp_path):
    second = Desk(tmp_path)
    assert not second.state.is_open
    assert "already being edited in another window" in second.state.error
    second.controller.close()


@pytest.mark.parametrize("again", [True, False], ids=["opened again", "closed"])
def test_what_is_closed_while_it_opens_lets_go_of_the_file(tmp_path, again):
    """Else the file counts as open in another window until the program ends."""
    desk = Desk(tmp_path)
    image = desk.state.image
    desk.controller.open(image, target=desk.target)
    if again:
        desk.controller.open(image, target=desk.target)
        desk.later.run(lambda: desk.state.is_open or desk.state.error)
    else:
        desk.controller.close()
        desk.later.run(lambda: not desk.controller._opens.is_busy)
        desk.controller.open(image, target=desk.target)
        desk.later.run(lambda: desk.state.is_open or desk.state.error)
    assert desk.state.is_open, desk.state.error
    desk.controller.close()


def test_gestures_before_opening_say_what_to_do():
    controller = AnnotationController(Later())
    controller.click(1, 2)
    controller.delete()
    controller.undo()
    controller.save()
    assert controller.state.error or controller.state.notice
    assert controller.state.tool is Tool.CLICK
