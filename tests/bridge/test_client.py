"""The client and a worker process that crashes, hangs, babbles and grows; no Java needed."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from napari_histo.core import CancelToken, Progress, result_of
from napari_histo.errors import BridgeError, Cancelled, MissingDependencyError
from qupath_bridge.client import JavaError, Limits, WorkerClient

FAKE = Path(__file__).with_name("fake_worker.py")


@pytest.fixture
def start():
    """A client of a fake worker that is told `how` to behave."""
    clients = []

    def make(*how, **limits):
        client = WorkerClient([sys.executable, str(FAKE), *how], limits=Limits(**limits))
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


def ask(client, command, limit_s=300.0, **values):
    return result_of(client.call(command, values, limit_s=limit_s))


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_starts_on_demand_and_stays_warm(start):
    client = start()
    assert client.pid is None
    first = ask(client, "echo", colour="µ")
    assert first["colour"] == "µ"
    assert client.qupath_version == "0.0"
    assert ask(client, "echo")["pid"] == first["pid"] == client.pid


def test_progress_is_told(start):
    steps = list(start().call("echo", {}, limit_s=300))
    assert [s.message for s in steps] == ["Starting QuPath's Java", "working"]
    assert all(isinstance(s, Progress) for s in steps)


def test_a_crash_is_told_with_the_last_words_and_mended_by_the_next_call(start):
    client = start()
    with pytest.raises(BridgeError, match=r"(?s)exit code 7.*last words of Java"):
        ask(client, "crash")
    assert ask(client, "echo", x=1)["x"] == 1


def test_a_process_that_died_between_calls_is_replaced(start):
    client = start()
    pid = ask(client, "echo")["pid"]
    os.kill(pid, 9)
    while client.pid is not None:
        time.sleep(0.01)
    assert ask(client, "echo")["pid"] != pid


def test_a_hanging_call_is_ended_in_time(start):
    client = start()
    pid = ask(client, "echo")["pid"]
    with pytest.raises(BridgeError, match="longer than 0 s and was stopped"):
        ask(client, "hang", limit_s=0.3)  # without an end it would hang for an hour
    assert not is_alive(pid)
    assert ask(client, "echo")["pid"] != pid


def test_a_start_that_hangs_is_ended_in_time(start):
    with pytest.raises(BridgeError, match="was stopped"):
        ask(start("silent", start_s=0.3), "echo")


def test_cancel_ends_the_process(start):
    client, cancel = start(), CancelToken()
    pid = ask(client, "echo")["pid"]
    work = client.call("hang", {}, limit_s=60, cancel=cancel)
    assert next(work).message == "hanging"
    cancel.cancel()
    with pytest.raises(Cancelled):
        next(work)
    assert not is_alive(pid)


def test_a_call_that_nobody_drives_on_leaves_no_process_behind(start):
    client = start()
    work = client.call("hang", {}, limit_s=60)
    next(work), next(work)
    pid = client.pid
    work.close()
    assert not is_alive(pid)
    assert ask(client, "echo", y=2)["y"] == 2


def test_what_is_no_event_is_passed_over(start):
    answer = ask(start(), "babble", x=3)
    assert answer["x"] == 3
    assert "wrong" not in answer


def test_a_java_exception_is_an_answer_and_the_process_stays(start):
    client = start()
    pid = ask(client, "echo")["pid"]
    with pytest.raises(JavaError, match="EOFException: cut") as caught:
        ask(client, "raise")
    assert (caught.value.kind, caught.value.reason) == ("java.io.EOFException", "cut")
    assert client.pid == pid


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is told by Linux alone")
def test_too_much_memory_ends_the_process(start):
    client = start(memory_mb=150)
    with pytest.raises(BridgeError, match="150 MB allowed"):
        ask(client, "grow", mb=300)
    assert client.pid is None


def test_a_missing_package_is_named(start):
    with pytest.raises(MissingDependencyError, match=r"napari-histo\[qupath\]"):
        ask(start("failing"), "echo")


def test_without_qupath_it_says_where_it_looked(monkeypatch, tmp_path):
    monkeypatch.setenv("PAQUO_QUPATH_DIR", str(tmp_path / "none"))
    with WorkerClient() as client, pytest.raises(MissingDependencyError, match="none"):
        ask(client, "count")
