"""The Active learning panel on a project that is tied to a QuPath project."""

from __future__ import annotations

from uuid import UUID

import pytest

from napari_histo.learning.project.making import NewImage, NewProject, create_project
from napari_histo.learning.project.places import link_qupath
from napari_histo.learning.rounds.folder import Stage
from napari_histo.session.learning.controller import LearningController
from napari_histo.session.learning.work import LearningTools
from support.inbox import Inbox
from support.learning import FAKES, SETTINGS, annotate
from support.learning_qupath import ByExchange


class Panel:
    """A session with an event loop to wait in."""

    def __init__(self, project):
        self._inbox = Inbox()
        self.session = LearningController(self._inbox, tools=LearningTools(lambda: FAKES))
        self.state = self.session.state
        self.session.open_project(project.path)
        self.wait()

    def wait(self):
        self._inbox.wait(lambda: not self.state.task)


@pytest.fixture
def qupath(tmp_path, monkeypatch):
    monkeypatch.setattr("qupath_bridge._places.find_qupath", lambda: None)
    return ByExchange(tmp_path)


@pytest.fixture
def project(qupath, tmp_path):
    images = [NewImage(path) for path in qupath.images]
    made = create_project(
        tmp_path / "project", NewProject(images, "classical", settings=SETTINGS, seed=3)
    )
    link_qupath(made.path, qupath.project)
    return made


@pytest.fixture
def panel(project):
    panel = Panel(project)
    yield panel
    panel.session.close()


def test_a_round_goes_to_qupath_and_what_is_done_there_is_learned_from(panel, project, qupath):
    panel.session.new_round()
    panel.wait()
    assert panel.state.error == ""
    rows = project.round(1).query["regions"]
    qupath.open(rows[0]["image"] + ".tif")
    in_qupath = [row for row in rows if row["image"] == rows[0]["image"]]
    for row in in_qupath:
        qupath.mark(UUID(row["id"]), "Region: done")
    qupath.delete(next(i for i in qupath.ids() if str(i) not in {row["id"] for row in rows}))
    qupath.save()
    for path in project.work_path(1).glob("*.geojson"):
        if path.stem == rows[0]["image"]:
            path.rename(path.with_suffix(".aside"))  # nobody did anything here
    annotate(project)
    panel.session.train()
    panel.wait()
    assert panel.state.error == ""
    assert project.round(1).stage is Stage.DECIDED
    counts = {row["id"]: row["objects"] for row in project.round(1).label_rows}
    assert counts.keys() == {row["id"] for row in rows}
    assert sorted(counts[row["id"]] for row in in_qupath) == [2, *[3] * (len(in_qupath) - 1)]


def test_training_waits_for_a_qupath_project_that_is_not_there(panel, project, qupath):
    panel.session.new_round()
    panel.wait()
    annotate(project)
    there = qupath.project.parent
    there.rename(there.with_name("elsewhere"))
    panel.session.train()
    panel.wait()
    assert "Nothing was collected" in panel.state.error
    assert project.round(1).stage is Stage.QUERIED
    there.with_name("elsewhere").rename(there)
    panel.session.train()
    panel.wait()
    assert panel.state.error == ""
    assert project.round(1).stage is Stage.DECIDED


def test_a_round_that_cannot_be_published_is_chosen_all_the_same(panel, project, qupath):
    qupath.project.parent.rename(qupath.project.parent.with_name("elsewhere"))
    panel.session.new_round()
    panel.wait()
    assert "Round 1 is chosen" in panel.state.error
    assert project.round(1).stage is Stage.QUERIED
