"""A real QuPath for the tests that need one; where there is none they are skipped, visibly."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from itertools import cycle
from pathlib import Path

import pytest

from qupath_bridge.client import Limits, WorkerClient
from qupath_bridge.locate import find_qupath, searched_places

MAKE = Path(__file__).with_name("make_project.py")


@pytest.fixture(scope="session")
def qupath_environment():
    """Variables under which a child process finds paquo's QuPath."""
    if importlib.util.find_spec("paquo") is None:
        pytest.skip("paquo is not installed: pip install 'napari-histo[qupath]'")
    install = find_qupath()
    if install is None:
        pytest.skip(f"no QuPath in {', '.join(map(str, searched_places()))}; set PAQUO_QUPATH_DIR")
    return {**os.environ, **install.environment(), "PAQUO_JAVA_OPTS": '["-Xmx1g"]'}


@pytest.fixture(scope="session")
def made_project(qupath_environment, tmp_path_factory):
    """A function that makes a project of two images by plain paquo; the images stay in place."""

    def make(width=512):
        folder = tmp_path_factory.mktemp("template") / "made"
        done = subprocess.run(
            [sys.executable, str(MAKE), str(folder), "--images", "2", "--width", str(width)],
            env=qupath_environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return folder / "project"

    return make


@pytest.fixture(scope="session")
def template(made_project):
    """A project of two images."""
    return made_project()


@pytest.fixture
def one_image(template, tmp_path):
    """A copy of it with its first image alone."""
    project = Path(shutil.copytree(template, tmp_path / "p" / "project"))
    file = project / "project.qpproj"
    words = json.loads(file.read_text())
    for image in words["images"][1:]:
        shutil.rmtree(project / "data" / str(image["entryID"]))
    file.write_text(json.dumps({**words, "images": words["images"][:1]}))
    return project


@pytest.fixture(scope="session")
def processes(qupath_environment):
    """Three processes: one writes, one checks, one reads again.

    QuPath keeps one colour a class name as long as Java lives: give a name the same in all tests.
    """
    clients = [WorkerClient(limits=Limits(heap_mb=1000)) for _ in range(3)]
    yield clients
    for client in clients:
        client.close()


@pytest.fixture
def warm(processes, monkeypatch):
    """What wants Java in this process finds it running, and leaves it so."""
    running = processes[:2]
    for client in running:
        monkeypatch.setattr(client, "close", lambda: None)
    in_turn = cycle(running)  # a bridge wants one that writes and one that checks
    monkeypatch.setattr("qupath_bridge.bridge.WorkerClient", lambda **_: next(in_turn))
    monkeypatch.setattr("qupath_bridge.project_images.WorkerClient", lambda: running[0])


@pytest.fixture
def command(monkeypatch, capsys):
    """``command("sync", project, …)`` in this process; its output, both streams."""
    from qupath_bridge.cli import main

    def run(*arguments, rc=0):
        monkeypatch.setattr(sys, "argv", ["qupath-bridge", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        assert (end.value.code or 0) == rc, said.err
        return said

    return run
