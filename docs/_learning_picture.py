"""The picture of the Active learning panel: ``python docs/_learning_picture.py``.

Needs a display, and CMU-1-Small-Region.svs of OpenSlide's test data (CC0) in the folder of the real
data. Crops of it are the slides of a project. What a person would mend is taken from the larger
shipped model, the rounds begin with the faster one; all else is done as users do it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Generator, Mapping
from dataclasses import replace
from pathlib import Path

import napari
import numpy as np
import tifffile
from _window import IMAGES, SLIDE, settle, take, wait

from napari_histo.core import (
    Box,
    CancelToken,
    ObjectTable,
    Progress,
    Segmenter,
    SlideReader,
    result_of,
)
from napari_histo.core.learning import Pool
from napari_histo.core.round_regions import region_rows
from napari_histo.learning.project.facts import Settings
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.project.making import NewImage, NewProject, create_project
from napari_histo.learning.rounds.query import QueryWish, query
from napari_histo.learning.rounds.steps import TrainWish, collect, evaluate, train
from napari_histo.learning.rounds.tools import real_tools
from napari_histo.learning.scoring import ScoreRequest, join, list_regions
from napari_histo.plugin.learning.dock import LearningDock
from napari_histo.plugin.qupath.opening import annotate_dock
from napari_histo.session.learning.state import LearningState, Task
from napari_histo.session.learning.work import LearningTools
from napari_histo.slides import open_slide
from napari_histo.store.geojson import read_geojson, write_geojson

WINDOW_PX = (1500, 950)
#: Left and upper edge of each crop, px, by the name that it gets.
CROPS = {
    "biopsy 03": (1056, 1632),
    "biopsy 07": (1056, 2016),
    "biopsy 12": (1344, 2496),
    "biopsy 15": (864, 864),
}
JUDGING = ("biopsy 07", "biopsy 15")
SIDE_PX, REGION_PX, STEPS, ROUNDS = 384, 96, 40, 3


def learning_view(work: Path, slide: Path, path: Path) -> None:
    """Rounds that are decided, the next one in work, and two models compared in it."""
    take_picture(make_rounds(work, slide), work, path)


def take_picture(project: Path, work: Path, path: Path) -> None:
    """As a user does it."""
    viewer = napari.Viewer()
    viewer.window.resize(*WINDOW_PX)
    tools = LearningTools(lambda: real_tools("cpu"), data_folder=work / "journals")
    dock = LearningDock(viewer, tools)
    viewer.window.add_dock_widget(dock, name="Active learning", area="right")
    session, state = dock.controller, dock.controller.state
    session.open_project(project)
    idle(state)
    print(state.overview.sentence)
    for is_last in (False, True):
        session.next_region()
        wait(lambda: is_open(viewer))
        settle(1.5)
        if not is_last:
            dock.form.done_button.click()
            settle(1.5)
    viewer.scene.camera.zoom *= 0.5
    settle()
    dock.form.compare.earlier.setCurrentIndex(0)
    dock.form.compare.button.click()
    idle(state)
    settle(2)
    take(viewer, path)
    desk = annotate_dock(viewer)
    if desk is not None:
        desk.controller.close()
    session.close()
    settle()
    viewer.close()


def make_rounds(work: Path, slide: Path) -> Path:
    """A project with some rounds, and the next one to be annotated."""
    settings = Settings(region_px=REGION_PX, regions=4, validation_regions=8)
    images = [
        NewImage(file, split="validation" if name in JUDGING else "train")
        for name, file in zip(CROPS, crops(work / "slides", slide), strict=True)
    ]
    wanted = NewProject(images, "he-nuclei-fast", "lung biopsies", settings=settings)
    project, tools = create_project(work / "lung biopsies", wanted), real_tools("cpu")
    for number in range(1, ROUNDS + 1):
        result_of(query(project, QueryWish("random"), replace(tools, score=score_nothing)))
        mend(project, number)
        collect(project)
        result_of(train(project, TrainWish({"steps": STEPS}), tools))
        print(result_of(evaluate(project, tools)).decision["sentence"], flush=True)
    result_of(query(project, QueryWish(), tools))
    return project.path


def score_nothing(
    readers: Mapping[str, SlideReader],
    model: Segmenter,
    region_px: int,
    seed: int,
    cancel: CancelToken,
) -> Generator[Progress, None, Pool]:
    """The rounds that are over choose by chance, which is quick."""
    request = ScoreRequest(region_px, seed=seed)
    yield Progress(0, 0)
    return join([list_regions(name, reader, model, request) for name, reader in readers.items()])


def crops(folder: Path, slide: Path) -> list[Path]:
    """Parts of a slide as slides of their own."""
    folder.mkdir(parents=True)
    paths = []
    with open_slide(slide) as reader:
        size = reader.info.pixel_size
        per_cm = 10_000 / (0.5 if size is None else size.x_um)
        for name, (x, y) in CROPS.items():
            paths.append(folder / f"{name}.tif")
            tifffile.imwrite(
                paths[-1],
                reader.read(Box(x, y, SIDE_PX, SIDE_PX)),
                photometric="rgb",
                resolution=(per_cm, per_cm),
                resolutionunit="CENTIMETER",
            )
    return paths


def mend(project: LearningProject, number: int) -> None:
    """What a person does in the Annotate panel: every outline right, every region done."""
    tools = real_tools("cpu")
    model = tools.load_model("he-nuclei")
    for path in sorted(project.work_path(number).glob("*.geojson")):
        table = read_geojson(path)
        regions = table.select(region_rows(table))
        done = np.full(len(regions), regions.classes.index("Region: done"), np.int32)
        right = []
        with project.open_image(project.facts.image(path.stem)) as reader:
            for left, top, far, low in regions.contours.bounds.round().astype(int).tolist():
                right.append(tools.predict(reader, model, Box.from_edges(left, top, far, low), 0))
        write_geojson(path, ObjectTable.concat([regions.with_columns(class_id=done), *right]))


def is_open(viewer: napari.Viewer) -> bool:
    """True once the region's objects can be edited."""
    dock = annotate_dock(viewer)
    return dock is not None and dock.controller.state.is_open


def idle(state: LearningState) -> None:
    """Wait for the work that is under way."""
    begun, task = time.monotonic(), state.task
    wait(lambda: state.task is Task.NONE)
    if state.error:
        raise SystemExit(state.error)
    print(f"{task}: {time.monotonic() - begun:.0f} s", flush=True)


def main() -> None:
    """The picture, from today's code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slide", type=Path, default=SLIDE)
    parser.add_argument("--out", type=Path, default=IMAGES)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        learning_view(Path(work), options.slide, options.out / "learning-dock.png")


if __name__ == "__main__":
    main()
