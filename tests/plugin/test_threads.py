"""What ends with a window: also where Python's collector ends it, in an order of its own."""

from __future__ import annotations

import gc
import subprocess
import sys

from qtpy.QtCore import QObject

from napari_histo.plugin.threads import AtEnd, Mailbox

#: A function is emptied before the object ends that it is connected to: a plain one crashes.
_COLLECTED = """
import gc, sys
from qtpy.QtCore import QCoreApplication, QObject
from napari_histo.plugin.threads import AtEnd, Mailbox

app = QCoreApplication([])
gc.collect()
gc.disable()
for _ in range(20):
    cell = []
    def call():
        cell.append(1)
    end = AtEnd(call)
    outer = QObject()
    outer.inner, outer.me = QObject(outer), outer
    outer.inner.destroyed.connect(end)
    outer.inner.post = Mailbox(outer.inner).post
    cell.append(outer)
    del cell, call, end, outer
gc.collect()
print("alive")
"""


def end(qtbot, thing):
    with qtbot.waitSignal(thing.destroyed):
        thing.deleteLater()


def test_calls_are_made_in_order_when_the_object_ends(qtbot):
    thing, calls = QObject(), []
    thing.destroyed.connect(AtEnd(lambda: calls.append(1), lambda: calls.append(2)))
    end(qtbot, thing)
    assert calls == [1, 2]


def test_the_collector_may_end_objects_in_any_order():
    words = [sys.executable, "-c", _COLLECTED]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout.strip(), done.returncode) == ("alive", 0), done.stderr


def test_collecting_is_over_after_it(qtbot):
    gc.collect()
    thing, calls = QObject(), []
    thing.destroyed.connect(AtEnd(lambda: calls.append(1)))
    end(qtbot, thing)
    assert calls == [1]


def test_what_is_posted_after_the_end_is_dropped(qtbot):
    parent, calls = QObject(), []
    mailbox = Mailbox(parent)
    mailbox.post(lambda: calls.append(1))
    qtbot.waitUntil(lambda: calls == [1])
    post = mailbox.post
    end(qtbot, parent)
    post(lambda: calls.append(2))
    qtbot.wait(20)
    assert calls == [1]
