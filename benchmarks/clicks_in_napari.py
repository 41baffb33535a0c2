"""From the finger on the mouse to the outline: clicks in a real napari window.

    xvfb-run -a python benchmarks/clicks_in_napari.py [--clicks N] [--objects N]

Real Qt mouse events on the canvas of a viewer of 1400 x 900 with the H&E sample slide and the
Annotate panel. Times run from the press of the button to the edit in the object store (the journal
has it by then), and to the next drawn frame of the canvas. `--objects` puts that many outlines on
the slide first. Prints medians, the 95th percentile, and ratios to the bare network and to a frame
of 1/60 s.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

FRAME_MS = 1000 / 60
_PATIENCE_S = 30.0
_PAUSE_MS = 300


class Desk:
    """The panel, open on the sample slide; `edited` and `drawn` tell when it happened."""

    def __init__(self, work: Path, n_objects: int) -> None:
        import napari
        from qtpy.QtCore import QEvent
        from qtpy.QtTest import QTest
        from qtpy.QtWidgets import QApplication

        from napari_histo.cli.demo import sample_folder
        from napari_histo.plugin.annotate.dock import AnnotateDock
        from napari_histo.plugin.readers import read_slide
        from napari_histo.slides import open_slide
        from napari_histo.store import load_objects

        slide = sample_folder() / "he_tile.ome.tif"
        self.centres = load_objects(sample_folder() / "he_tile.geojson").centroids
        self.viewer = napari.Viewer()
        self.viewer.window.resize(1400, 900)
        with open_slide(slide) as reader:
            info = reader.info
        for data, options, kind in read_slide(slide):
            self.viewer._add_layer_from_data(data, options, kind)
        self.image = self.viewer.layers[0]
        self.dock = AnnotateDock(self.viewer)
        self.viewer.window.add_dock_widget(self.dock, name="Annotate")
        self.controller = self.dock.controller
        self.wait = QTest.qWait
        self._start(work, info, n_objects)
        self.canvas = self.viewer.window._qt_viewer.canvas
        self.edited = self.drawn = 0.0
        QApplication.sendEvent(self.canvas.native, QEvent(QEvent.Type.Enter))
        self.viewer.reset_view()
        self.wait(50)
        # Before the view hears of it.
        self.controller.objects.changed.connect(self._on_edit, priority=100)
        self.canvas._scene_canvas.events.draw.connect(self._on_draw, position="last")

    def _start(self, work: Path, info: Any, n_objects: int) -> None:
        from napari_histo.plugin.layers import reader_of
        from napari_histo.session import ImageChoice

        table = None
        if n_objects:
            from objects import nuclei

            table = nuclei(n_objects)
            far = table.contours.transform(1.0, (info.width + 200.0, 0.0))
            table = table.with_columns(contours=far)
        choice = ImageChoice(self.image.unique_id, reader_of(self.image))
        self.controller.open(choice, target=work / "objects.geojson", table=table)
        self.until(lambda: self.controller.state.is_open)

    def _on_edit(self, _: Any) -> None:
        self.edited = time.perf_counter()

    def _on_draw(self, _: Any) -> None:
        if self.edited:
            self.drawn = self.drawn or time.perf_counter()

    def until(self, done: Callable[[], bool]) -> None:
        end = time.perf_counter() + _PATIENCE_S
        while not done():
            if time.perf_counter() > end:
                raise SystemExit(f"Nothing came: {self.controller.state.error or 'no answer'}")
            self.wait(1)  # a loop that never sleeps would take the interpreter from the model

    def click(self, x: float, y: float) -> tuple[float, float] | None:
        """Milliseconds to the store and to the canvas; None where nothing was found."""
        from qtpy.QtCore import QPoint, Qt
        from qtpy.QtTest import QTest

        at = self._screen(x, y)
        self.wait(_PAUSE_MS)  # nobody clicks faster than three times a second
        self.edited = self.drawn = 0.0
        state = self.controller.state
        start = time.perf_counter()
        QTest.mouseClick(
            self.canvas.native,
            Qt.MouseButton.LeftButton,
            Qt.KeyboardModifier.NoModifier,
            QPoint(*[round(float(v)) for v in at]),
        )
        self.until(lambda: bool(self.edited) or (not state.in_flight and bool(state.notice)))
        if not self.edited:
            return None
        self.until(lambda: bool(self.drawn))
        return 1000 * (self.edited - start), 1000 * (self.drawn - start)

    def _screen(self, x: float, y: float) -> Any:
        world = np.array(self.image.data_to_world((y - 0.5, x - 0.5)))[-2:]
        camera = self.viewer.scene.camera
        height, width = self.viewer.canvas.size
        offset = (world - np.array(camera.center[-2:])) * camera.zoom
        return np.array([width / 2 + offset[1], height / 2 + offset[0]])


def bare_network_ms(rounds: int) -> list[float]:
    """One patch through the network alone."""
    import torch

    from napari_histo.models import load_prompt_model

    model: Any = load_prompt_model()
    x = torch.rand(1, 6, 128, 128).to(model.device, model._dtype)
    x = x.contiguous(memory_format=torch.channels_last)
    spent = []
    with torch.inference_mode():
        for _ in range(rounds + 3):
            start = time.perf_counter()
            model._run(x)
            spent.append(1000 * (time.perf_counter() - start))
    return spent[3:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clicks", type=int, default=60)
    parser.add_argument("--objects", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        desk = Desk(Path(work), args.objects)
        rng = np.random.default_rng(0)
        centres = desk.centres[rng.permutation(len(desk.centres))]
        centres = centres[((centres > 40) & (centres < 980)).all(axis=1)]
        for x, y in centres[:4]:  # the first click loads the model
            desk.click(x, y)
        found = [desk.click(x, y) for x, y in centres[4 : 4 + args.clicks]]
        desk.controller.close()
        bare = bare_network_ms(args.clicks)
    times = np.array([f for f in found if f is not None])
    rows = {
        "bare network": np.array(bare),
        "to the store": times[:, 0],
        "to the canvas": times[:, 1],
    }
    print("| | median [ms] | 95 % [ms] | to the bare network | to a frame |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, values in rows.items():
        median, high = np.median(values), np.percentile(values, 95)
        ratios = f"{median / np.median(bare):.1f} | {median / FRAME_MS:.1f}"
        print(f"| {name} | {median:.1f} | {high:.1f} | {ratios} |")
    print(
        f"\n{len(times)} of {len(found)} clicks found something; {args.objects:,} objects before."
    )


if __name__ == "__main__":
    main()
