"""Run ``napari-histo learn`` with the real tools, killed at many moments; started by a test.

Each command runs in a process of its own that sends itself SIGKILL just before one of its renames:
of a sealed file, a file of work, a checkpoint between two steps of training, the model. Then the
project must be whole, with the same model in use, and the same command must end as it did when
nobody killed it. Prints what was found as JSON. With ``play`` nobody kills.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from napari_histo.cli import main as napari_histo
from napari_histo.learning.course import run
from napari_histo.learning.project.checks import verify_project
from napari_histo.learning.project.folder import LearningProject
from napari_histo.store import write
from support.learning import annotate, contents
from support.tiles import make_tile_project

#: Imported before the first fork, or each child would take seconds to do so.
HEAVY = (
    "napari_histo.learning.scoring",
    "napari_histo.learning.stardist.training",
    "napari_histo.learning.strategies",
    "napari_histo.models.stardist.segmenter",
    "napari_histo.pipeline.drawing",
    "platformdirs",
    "pyarrow.parquet",
    "pydantic",
    "qupath_bridge.rounds_place",
    "safetensors.torch",
    "scipy.special",
    "skimage.measure",
    "sklearn.cluster",
    "stardist.matching",
    "stardist.nms",
    "torch._dynamo",  # the first optimiser of a process loads it
)
COMMANDS = {
    "query": ["query"],
    "train": ["train", "--steps", "2"],
    "evaluate": ["evaluate"],
}


def in_child(argv: Sequence[str], before_rename: Callable[[Path], None] | None = None) -> int:
    """Run a command of ``napari-histo learn`` in a child; its exit code, or -9."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = 1
    try:
        rename = write._replace

        def watched(work: Path, final: Path) -> None:
            if before_rename:
                before_rename(final)
            rename(work, final)

        write._replace = watched
        # A checkpoint at each step, so that there are some in a training of three.
        run._KEEP_EVERY_S = 0.0
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.argv = ["napari-histo", "learn", *argv]
        napari_histo()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def renames_of(argv: Sequence[str], told: Path) -> list[str]:
    """Run a command to its end; what it renamed, in order."""
    told.write_text("")

    def tell(final: Path) -> None:
        with told.open("a") as stream:
            stream.write(f"{final.name}\n")

    assert in_child(argv, tell) == 0, argv
    return told.read_text().splitlines()


def killer(number: int) -> Callable[[Path], None]:
    """Kills the process at its `number`-th rename, from 0."""
    count = 0

    def kill(_final: Path) -> None:
        nonlocal count
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1

    return kill


def restored(saved: Path, project: Path) -> None:
    """The project as it was."""
    shutil.rmtree(project)
    shutil.copytree(saved, project)


def trial(project: Path, argv: Sequence[str], number: int, saved: Path) -> list[str]:
    """Kill a command at one rename and go on; what was wrong."""
    restored(saved, project)
    wrong = []
    before = LearningProject(project).current
    if (code := in_child(argv, killer(number))) != -signal.SIGKILL:
        return [f"not killed: {code}"]
    left = LearningProject(project)
    wrong += [f.text for f in verify_project(left) if f.is_error]
    if left.current != before:
        wrong.append(f"the model in use was {before}, now {left.current}")
    if code := in_child(argv):
        wrong.append(f"went on with {code}")
    wrong += [f.text for f in verify_project(LearningProject(project)) if f.is_error]
    return wrong


def words_of(command: str, project: Path) -> list[str]:
    """Of the command line."""
    first, *rest = COMMANDS[command]
    return [first, str(project), *rest, "--device", "cpu"]


def annotated(project: Path) -> None:
    """What a person does between two commands."""
    annotate(LearningProject(project))
    assert in_child(["collect", str(project)]) == 0


def play(folder: Path) -> None:
    """A round by its commands, undisturbed."""
    project = make_tile_project(folder).path
    for command in COMMANDS:
        assert in_child(words_of(command, project)) == 0, command
        if command == "query":
            annotated(project)


def kill(folder: Path) -> None:
    """The commands of a round, each killed before each of its renames."""
    project = make_tile_project(folder).path
    saved, whole, found = folder / "saved", folder / "whole", {}
    for command in COMMANDS:
        argv = words_of(command, project)
        shutil.copytree(project, saved)
        names = renames_of(argv, folder / "told.txt")
        shutil.copytree(project, whole)
        wanted, wrong = contents(whole), []
        for number, name in enumerate(names):
            told = trial(project, argv, number, saved)
            there = contents(project)
            told += [f"{n} differs" for n in {*wanted, *there} if wanted.get(n) != there.get(n)]
            wrong += [[name, number, told]] if told else []
        found[command] = {"renames": names, "wrong": wrong}
        restored(whole, project)
        shutil.rmtree(saved)
        shutil.rmtree(whole)
        if command == "query":
            annotated(project)
    print(json.dumps(found))


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in HEAVY:
        importlib.import_module(name)
    {"play": play, "kill": kill}[sys.argv[1]](Path(sys.argv[2]))
