"""Edits a document in children that are killed at random moments; prints what came back as JSON.

Children are forked, so that each begins in milliseconds. A kill waits for an edit to begin and not
for a time to pass, so that it hits the editing on any machine; some children stand still at the
write that is to be hit. Arguments: folder, edits, kills.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Thread, current_thread, main_thread
from typing import NoReturn

import pyarrow.parquet  # noqa: F401 - here once, not in each child

from napari_histo.core import ObjectTable
from napari_histo.session.annotate.document import Document
from napari_histo.store import journal
from support.edits import Model
from support.objects import assert_same_tables

FOLDER = Path(sys.argv[1])
N_EDITS, N_KILLS = int(sys.argv[2]), int(sys.argv[3])
ANYWHERE_EVERY, ANYWHERE_S = 10, 0.05  # each tenth kill waits for no edit: most hit the opening
WRITES = {5: "before", 7: "after"}  # and of each ten, these wait for the write of an edit
WORDS = ("at", "try", "wrote", "did", "saved", "cut", "bad")


@dataclass(frozen=True)
class Kill:
    """Soon after edit `at_edit` of a life has begun; at 0, soon after the birth.

    `soon` counts in times that the journal took for an edit, or in `ANYWHERE_S`. Saves end before
    that edit, or may be under way. With `write`, the child stands still before or after that edit
    is written, and says no more of it.
    """

    at_edit: int
    soon: float
    saves_end: bool
    write: str = ""

    @classmethod
    def draw(cls, rng: random.Random, number: int) -> Kill:
        if number % ANYWHERE_EVERY == 0:
            return cls(0, rng.random(), saves_end=False)
        at_edit, soon, saves_end = rng.randint(2, 6), 2 * rng.random(), rng.random() < 0.5
        write = WRITES.get(number % ANYWHERE_EVERY, "")
        return cls(at_edit, soon, saves_end or bool(write), write)


def is_same(a: ObjectTable, b: ObjectTable) -> bool:
    try:
        assert_same_tables(a.with_columns(classes=b.classes), b)
    except AssertionError:
        return False
    return a.uuids() == b.uuids()


def stand_still(when: str, say: Callable[[str, object], None]) -> None:
    """At the next edit's write to the journal; says ``wrote`` after it."""
    write = journal._write_all

    def held(handle: int, line: bytes) -> None:
        if current_thread() is not main_thread():  # a note that comes in between
            write(handle, line)
            return
        if when == "after":
            write(handle, line)
            say("wrote", len(line))
        signal.pause()

    journal._write_all = held


def open_document() -> Document:
    return Document.open(FOLDER / "slide.geojson", "slide", data_folder=FOLDER / "data")


def live(model: Model, pipe: int, kill: Kill | None) -> NoReturn:
    """The child: edits up to the one that it dies at, or all that are left, and says what it did.

    ``at N`` stands for what it found, ``try N`` for an edit that begins, ``did N`` for one that was
    kept.
    """

    def say(what: str, value: object) -> None:
        os.write(pipe, f"{what} {value}\n".encode())

    def save(work: Callable[[], None]) -> None:
        work()
        say("saved", "in between")

    try:
        document = open_document()
        if not is_same(document.table, model.table()):
            model.do(model.next_edit())  # perhaps the one in flight was kept
            if not is_same(document.table, model.table()):
                say("bad", "table")
        if document.recovery is not None and document.recovery.damaged:
            say("cut", document.recovery.damaged)
        say("at", model.n_edits)
        last, saves = model.n_edits + kill.at_edit if kill else N_EDITS, []
        while model.n_edits < last:
            step = model.next_edit()
            if kill and kill.saves_end and model.n_edits == last - 1:
                for thread in saves:
                    thread.join()
                if kill.write:
                    stand_still(kill.write, say)
            say("try", model.n_edits + 1)
            document.append(step)
            say("did", model.n_edits + 1)
            model.do(step)
            if model.n_edits % 7 == 0:
                work = document.prepare_save(model.table())
                saves.append(Thread(target=save, args=[work], daemon=True))
                saves[-1].start()
        if kill:
            signal.pause()
        document.save(model.table())
        document.close()
    except BaseException as error:
        say("bad", repr(error))
    os._exit(0)


def run(model: Model, kill: Kill | None) -> dict[str, list[str]]:
    """One child, killed where it is to be; its words by kind."""
    theirs, ours = os.pipe()
    child = os.fork()
    if not child:
        os.close(theirs)
        live(model, ours, kill)
    os.close(ours)
    if kill and not kill.at_edit:
        time.sleep(kill.soon * ANYWHERE_S)
        os.kill(child, signal.SIGKILL)
    words: dict[str, list[str]] = {what: [] for what in WORDS}
    began = took = 0.0
    with os.fdopen(theirs, encoding="utf-8") as stream:
        for line in stream:
            what, value = line.rstrip("\n").split(" ", 1)
            words[what].append(value)
            if what == "did":
                took = time.monotonic() - began
            began = time.monotonic()
            awaited = "wrote" if kill and kill.write == "after" else "try"
            if kill and what == awaited and len(words["try"]) == kill.at_edit:
                time.sleep(kill.soon * took)
                os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return words


def main() -> None:
    rng, model = random.Random(0), Model(seed=1)
    counts = {"editing": 0, "writing": 0, "in_flight_kept": 0, "saved": 0, "cut": 0, "bad": []}
    for kill in [*(Kill.draw(rng, number) for number in range(N_KILLS)), None]:
        words = run(model, kill)
        if kill is not None:
            counts["editing"] += bool(words["try"])
            counts["writing"] += len(words["try"]) > len(words["did"])
        counts["in_flight_kept"] += sum(int(value) - model.n_edits for value in words["at"])
        counts["saved"] += len(words["saved"])
        counts["cut"] += len(words["cut"])
        counts["bad"] += words["bad"]
        model.go_to(max(map(int, words["at"] + words["did"]), default=model.n_edits))
    with open_document() as document:
        counts["same_at_end"] = is_same(document.table, model.table())
    counts["edits"], counts["objects"] = model.n_edits, len(model.table())
    print(json.dumps(counts))


main()
