"""``napari-histo learn`` with the real tools: killed with -9, and run twice with one seed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from napari_histo.learning.project.checks import verify_project
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.rounds.folder import Stage
from napari_histo.learning.rounds.query import QueryWish, query
from napari_histo.learning.rounds.steps import collect
from napari_histo.learning.rounds.tools import real_tools
from support.learning import annotate, contents, drive
from support.tiles import make_tile_project

CHILD = Path(__file__).with_name("kill_commands.py")
NAPARI_HISTO = [sys.executable, "-c", "from napari_histo.cli import main; main()", "learn"]

#: The same, but it stands still at the next file that it opens once the first argument is there.
STANDS_STILL = """
import sys, time
from pathlib import Path
from napari_histo.cli import main
when = Path(sys.argv.pop(1))
sys.addaudithook(lambda event, _: event == "open" and when.exists() and time.sleep(3600))
main()
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL"),
]


def child(what: str, folder: Path, **env: str) -> str:
    """What `kill_commands.py` prints."""
    paths = {"PYTHONPATH": str(CHILD.parents[1]), "OMP_NUM_THREADS": "1", **env}
    answer = subprocess.run(
        [sys.executable, CHILD, what, folder],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **paths},
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_kill_9_in_query_training_and_promotion(tmp_path):
    """Before each sealed file, file of work, checkpoint and model: same bytes in the end."""
    told = json.loads(child("kill", tmp_path))
    assert {c: found["wrong"] for c, found in told.items()} == {
        "query": [],
        "train": [],
        "evaluate": [],
    }
    names = {c: set(found["renames"]) for c, found in told.items()}
    assert {"query.json", "tile 0.geojson"} <= names["query"]
    assert {"stardist.pt", "model", "training.json"} <= names["train"]
    assert {"evaluation.json", "decision.json"} <= names["evaluate"]
    assert told["train"]["renames"].count("stardist.pt") > 1, "killed between steps too"


def test_the_same_seed_gives_the_same_bytes_in_two_processes(tmp_path):
    for number in ("1", "2"):
        child("play", tmp_path / number, PYTHONHASHSEED=number)
    one, two = (tmp_path / number / "p" for number in ("1", "2"))
    assert LearningProject(one).round(1).stage == Stage.DECIDED
    assert {"rounds/0001/query.json", "rounds/0001/decision.json"} <= contents(one).keys()
    assert "rounds/0001/model/weights.safetensors" in contents(one)
    assert contents(one) == contents(two)


@pytest.mark.parametrize(
    ("command", "when"),
    [
        pytest.param(["query"], "rounds/0001/query.json", id="query-while-it-lays-out-work"),
        pytest.param(
            ["train", "--steps", "2"], "rounds/0001/model.training/asked.json", id="training"
        ),
    ],
)
def test_a_process_that_is_killed_from_outside_goes_on(tmp_path, command, when):
    """As a user's own would be, by a full memory or a lost power."""
    project = make_tile_project(tmp_path).path
    words = [command[0], project, *command[1:], "--device", "cpu"]
    line = [*NAPARI_HISTO, *words]
    if command[0] == "train":
        opened = LearningProject(project)
        drive(query(opened, QueryWish(), real_tools("cpu")))
        annotate(opened)
        collect(opened)
    held = [sys.executable, "-c", STANDS_STILL, project / when, "learn", *words]
    work = subprocess.Popen(held, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while work.poll() is None and not (project / when).is_file():
        time.sleep(0.005)
    work.kill()
    said = work.communicate()[1]
    assert work.returncode == -signal.SIGKILL, said
    left = LearningProject(project)
    assert left.round(1).stage == (Stage.QUERIED if command[0] == "query" else Stage.LABELLED)
    assert left.current == 0
    assert verify_project(left) == []
    subprocess.run(line, check=True, capture_output=True)
    done = {"query": Stage.QUERIED, "train": Stage.TRAINED}[command[0]]
    assert LearningProject(project).round(1).stage == done
    assert len(list(left.work_path(1).glob("*.geojson"))) == 2
    assert verify_project(LearningProject(project)) == []
