"""The picture of the Active learning panel: ``python docs/_learning_picture.py``.

Needs a display, and CMU-1-Small-Region.svs of OpenSlide's test data (CC0) in the folder of the real
data. Crops of it are the slides of a project. What a person would mend is taken from the larger
shipped model, the rounds begin with the faster one; all else is done as users do it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import napari
import numpy as np
import tifffile
from qtpy.QtWidgets import QApplication

from napari_histo.core import Box, ObjectTable
from napari_histo.core.round_regions import region_rows
from napari_histo.learning.project.facts import Settings
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.project.making import NewImage, NewProject
from napari_histo.learning.rounds.tools import real_tools
from napari_histo.plugin.learning import LearningDock
from napari_histo.plugin.qupath_opening import annotate_dock
from napari_histo.session.learning_state import LearningState, Task
from napari_histo.session.learning_work import LearningTools
from napari_histo.slides import open_slide
from napari_histo.store.geojson import read_geojson, write_geojson

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("NAPARI_HISTO_DATA", ROOT.parent / "shared" / "data"))
SLIDE = DATA / "slides" / "CMU-1-Small-Region.svs"
WINDOW_PX = (1500, 950)
#: Left and upper edge of each crop, px, by the name that it gets.
CROPS = {
    "biopsy 03": (850, 1950),
    "biopsy 07": (520, 2350),
    "biopsy 12": (1000, 1250),
    "biopsy 15": (1420, 2300),
}
SIDE_PX, REGION_PX, STEPS = 384, 96, 40


def learning_view(work: Path, slide: Path, path: Path) -> None:
    """A round that is decided, and the next one in work."""
    viewer = napari.Viewer()
    viewer.window.resize(*WINDOW_PX)
    tools = LearningTools(lambda: real_tools("cpu"), {"steps": STEPS}, work / "journals")
    dock = LearningDock(viewer, tools)
    viewer.window.add_dock_widget(dock, name="Active learning", area="right")
    session, state = dock.controller, dock.controller.state
    settings = Settings(region_px=REGION_PX, regions=4, validation_regions=6)
    files = crops(work / "slides", slide)
    images = [NewImage(f, split="validation" if i == 1 else "train") for i, f in enumerate(files)]
    wanted = NewProject(images, "he-nuclei-fast", "lung biopsies", settings=settings)
    session.create_project(work / "lung biopsies", wanted)
    idle(state)
    session.new_round()
    idle(state)
    assert state.project is not None
    mend(state.project)
    session.look()
    wait(lambda: state.n_waiting == 0)
    session.train()
    idle(state)
    print(state.overview.sentence)
    session.new_round()
    idle(state)
    for is_last in (False, True):
        session.next_region()
        wait(lambda: is_open(viewer))
        settle(1.5)
        if not is_last:
            dock.form.done_button.click()
            settle(1.5)
    settle(3)
    viewer.screenshot(path, canvas_only=False, flash=False)
    print(path)
    desk = annotate_dock(viewer)
    if desk is not None:
        desk.controller.close()
    session.close()
    settle()
    viewer.close()


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


def mend(project: LearningProject) -> None:
    """What a person does in the Annotate panel: every outline right, every region done."""
    tools = real_tools("cpu")
    model = tools.load_model("he-nuclei")
    for path in sorted(project.work_path(1).glob("*.geojson")):
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


def settle(seconds: float = 0.5) -> None:
    """Let Qt and napari draw."""
    end = time.monotonic() + seconds
    wait(lambda: time.monotonic() > end)


def wait(done: Callable[[], bool], seconds: float = 600) -> None:
    """Run Qt's events until `done`."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise SystemExit(f"Nothing happened for {seconds:.0f} s.")
        QApplication.processEvents()
        time.sleep(0.01)


def main() -> None:
    """The picture, from today's code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slide", type=Path, default=SLIDE)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        learning_view(Path(work), options.slide, options.out / "learning-dock.png")


if __name__ == "__main__":
    main()
