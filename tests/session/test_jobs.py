"""Jobs in threads: the latest counts, and everything comes back to the asking thread."""

from __future__ import annotations

import threading

import pytest

from napari_histo.session.jobs import Job, Lane
from support.inbox import PATIENCE_S, Inbox


@pytest.fixture
def inbox():
    return Inbox()


def test_answer_comes_back_through_post(inbox):
    answers, where = [], []
    lane = Lane(inbox, "test")
    lane.submit(Job(lambda _: where.append(threading.current_thread()) or 42, answers.append))
    message = inbox.take()
    assert answers == []
    assert lane.is_busy
    message()
    assert answers == [42]
    assert not lane.is_busy
    assert where[0] is not threading.current_thread()


def test_error_comes_back_to_failed(inbox):
    errors = []
    Lane(inbox, "test").submit(Job(lambda _: 1 / 0, failed=errors.append))
    inbox.take()()
    assert isinstance(errors[0], ZeroDivisionError)


def test_only_first_and_latest_of_many_are_done(inbox):
    gate, done, answers = threading.Event(), [], []
    lane = Lane(inbox, "test")

    def work(i):
        gate.wait(PATIENCE_S)
        done.append(i)
        return i

    for i in range(5):
        lane.submit(Job(lambda _, i=i: work(i), answers.append))
    gate.set()
    inbox.take()()
    inbox.take()()
    assert done == [0, 4]
    assert answers == [4]


def test_dropped_job_neither_reports_nor_answers(inbox):
    heard = []
    lane = Lane(inbox, "test")

    def work(report):
        report("half")
        return "whole"

    lane.submit(Job(work, done=heard.append, progress=heard.append))
    lane.drop()
    inbox.take()()
    inbox.take()()
    assert heard == []
    assert not lane.is_busy


def test_reports_precede_the_answer(inbox):
    heard = []

    def work(report):
        for i in range(3):
            report(i)
        return "end"

    Lane(inbox, "test").submit(Job(work, done=heard.append, progress=heard.append))
    for _ in range(4):
        inbox.take()()
    assert heard == [0, 1, 2, "end"]
