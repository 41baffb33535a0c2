"""Run a round again and again, killed at each rename in turn; started by `test_project.py`.

Prints how often it killed, which stages were left, and what was wrong afterwards, as JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path

from napari_histo.learning.project.checks import verify_project
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.rounds.folder import Stage
from napari_histo.learning.rounds.query import QueryWish, query
from napari_histo.learning.rounds.steps import TrainWish, collect, evaluate, train
from napari_histo.store import write
from support.learning import FAKES, SETTINGS, annotate, contents, drive, make_project


def go_on(path: Path) -> None:
    """All steps of a round, as a script would call them."""
    project = LearningProject(path)
    if project.rounds and project.open_round is None:
        return
    if project.open_round is None or project.open_round.stage == Stage.QUERIED:
        drive(query(project, QueryWish("random"), FAKES))
        annotate(project)
    collect(project)
    drive(train(project, TrainWish(), FAKES))
    drive(evaluate(project, FAKES))


def killed_at(path: Path, number: int, after: bool) -> bool:
    """Go on in a child that dies at its `number`-th rename; False where it came to its end."""
    pid = os.fork()
    if pid:
        return os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    count, rename = 0, write._replace

    def fatal(work: Path, final: Path) -> None:
        nonlocal count
        count += 1
        if count == number and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        rename(work, final)
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)

    write._replace = fatal
    try:
        go_on(path)
    finally:
        os._exit(0)


def main(folder: Path) -> None:
    few = replace(SETTINGS, regions=1, validation_regions=1)
    fresh = make_project(folder / "fresh", n=2, settings=few).path
    shutil.copytree(folder / "fresh", folder / "whole")
    go_on(folder / "whole" / fresh.name)
    wanted = contents(folder / "whole" / fresh.name)
    kills, wrong, stages, number = 0, [], set(), 1
    while True:
        place = folder / "trial"
        for after in (False, True):
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(folder / "fresh", place)
            project = place / fresh.name
            if not killed_at(project, number, after):
                print(json.dumps({"kills": kills, "wrong": wrong, "stages": sorted(stages)}))
                return
            kills += 1
            left = LearningProject(project)
            found = verify_project(left)
            rounds = left.rounds
            stages.add((rounds[-1].stage if rounds else Stage.EMPTY).name)
            go_on(project)
            if found or verify_project(left) or contents(project) != wanted:
                there = contents(project)
                names = [n for n in {*wanted, *there} if wanted.get(n) != there.get(n)]
                wrong.append([number, after, [f.text for f in found], names])
        number += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]))
