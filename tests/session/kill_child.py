"""Edits a document in children that are killed at random moments; prints what came back as JSON.

Children are forked, so that each begins in milliseconds. Arguments: folder, edits, kills.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from threading import Thread
from typing import NoReturn

import pyarrow.parquet  # noqa: F401 - here once, not in each child

from napari_histo.core import ObjectTable
from napari_histo.session.annotate.document import Document
from support.edits import Model
from support.objects import assert_same_tables

FOLDER = Path(sys.argv[1])
N_EDITS, N_KILLS = int(sys.argv[2]), int(sys.argv[3])
PAUSE_S, LIFE_S = 0.03, 0.15  # about three edits between two kills


def is_same(a: ObjectTable, b: ObjectTable) -> bool:
    try:
        assert_same_tables(a.with_columns(classes=b.classes), b)
    except AssertionError:
        return False
    return a.uuids() == b.uuids()


def open_document() -> Document:
    return Document.open(FOLDER / "slide.geojson", "slide", data_folder=FOLDER / "data")


def edit(model: Model, pipe: int) -> NoReturn:
    """The child: says ``at N`` for what it found, ``did N`` for each edit that was kept."""
    random.seed(model.n_edits)
    try:
        document = open_document()
        if not is_same(document.table, model.table()):
            model.do(model.next_edit())  # perhaps the one in flight was kept
        if not is_same(document.table, model.table()):
            os.write(pipe, b"bad table\n")
        if document.recovery is not None and document.recovery.damaged:
            os.write(pipe, f"cut {document.recovery.damaged}\n".encode())
        os.write(pipe, b"at %d\n" % model.n_edits)
        while model.n_edits < N_EDITS:
            step = model.next_edit()
            document.append(step)
            model.do(step)
            os.write(pipe, b"did %d\n" % model.n_edits)
            if model.n_edits % 7 == 0:
                Thread(target=document.prepare_save(model.table()), daemon=True).start()
            time.sleep(random.random() * PAUSE_S)
        document.save(model.table())
        document.close()
    except BaseException as error:
        os.write(pipe, f"bad {error!r}\n".encode())
    os._exit(0)


def run(model: Model, seconds: float | None) -> tuple[dict[str, list[str]], bool]:
    """One child, killed after so many seconds; its words by kind, and whether the kill hit it."""
    theirs, ours = os.pipe()
    child = os.fork()
    if not child:
        os.close(theirs)
        edit(model, ours)
    os.close(ours)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    words: dict[str, list[str]] = {"at": [], "did": [], "cut": [], "bad": []}
    with os.fdopen(theirs, encoding="utf-8") as stream:
        for line in stream:
            what, value = line.rstrip("\n").split(" ", 1)
            words[what].append(value)
    return words, os.WIFSIGNALED(os.waitpid(child, 0)[1])


def main() -> None:
    delays, model = random.Random(0), Model(seed=1)
    counts = {"kills": 0, "opening": 0, "in_flight_kept": 0, "cut": 0, "bad": []}
    while model.n_edits < N_EDITS:
        enough = counts["kills"] >= N_KILLS
        words, hit = run(model, None if enough else delays.random() * LIFE_S)
        counts["kills"] += hit
        counts["opening"] += hit and not words["at"]
        counts["in_flight_kept"] += sum(int(value) - model.n_edits for value in words["at"])
        counts["cut"] += len(words["cut"])
        counts["bad"] += words["bad"]
        model.go_to(max(map(int, words["at"] + words["did"]), default=model.n_edits))
    with open_document() as document:
        counts["same_at_end"] = is_same(document.table, model.table())
    counts["objects"] = len(model.table())
    print(json.dumps(counts))


main()
