"""What a growing whole slide costs the window: parts that come while somebody looks.

    xvfb-run -a python benchmarks/growing.py [--tiles N] [--rate PARTS_A_SECOND] [--seconds S]

A real viewer over a blank slide; a thread hands over tiles of 700 outlines each, as a run on a fast
device would. Prints, at four zooms, the time in the window's thread for a refresh, and the longest
time that the window heard no events.
"""

from __future__ import annotations

import argparse
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from objects import Window

TILE_PX = 1024
OBJECTS = 700


class Run:
    """Tiles of a run that never computes anything."""

    def __init__(self, side_px: int) -> None:
        from napari_histo.core import ClassScheme, ModelInfo, PixelSize, SlideInfo
        from napari_histo.session import Growing

        classes = ClassScheme.of("Tumor", "Stroma", "Immune cells")
        info = SlideInfo(
            name="blank",
            path="",
            level_shapes=((side_px, side_px),),
            level_downsamples=(1.0,),
            dtype=np.dtype(np.uint8),
            channel_names=("gray",),
            is_rgb=False,
            pixel_size=PixelSize.square(0.25),
        )
        model = ModelInfo("none", "benchmark", classes=classes)
        self.growing = Growing(1, "slide", info, model, Path("run"))
        self.columns = side_px // TILE_PX
        self.done = 0
        self._rng = np.random.default_rng(0)
        self._tables = [self._table(classes) for _ in range(8)]

    def _table(self, classes: Any) -> Any:
        from napari_histo.core import Contours, ObjectTable

        rng, angle = self._rng, np.linspace(0, 2 * np.pi, 32, endpoint=False)
        at = rng.uniform(0, TILE_PX, (OBJECTS, 2))
        wave = np.sin(3 * angle + rng.uniform(0, 6, (OBJECTS, 1)))
        radius = rng.uniform(10, 18, (OBJECTS, 1)) * (1 + 0.15 * wave)
        xy = at[:, None] + radius[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        class_id = rng.integers(0, 3, OBJECTS).astype(np.int32)
        contours = Contours.from_star(xy.astype(np.float32))
        return ObjectTable.build(contours, class_id=class_id, classes=classes)

    def next_part(self) -> Any:
        """As `SlideOrder` makes it, in the thread of the run."""
        from napari_histo.session.segment.growing import Part

        tile, table = self.done, self._tables[self.done % 8]
        offset = (tile % self.columns * TILE_PX, tile // self.columns * TILE_PX)
        ids = self._rng.integers(0, 256, (len(table), 16)).astype(np.uint8)
        moved = table.with_columns(contours=table.contours.transform(1, offset), object_id=ids)
        self.done += 1
        return Part.of(tile, moved, self.growing.heat)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiles", type=int, default=1450, help="there before")
    parser.add_argument("--rate", type=float, default=20, help="parts a second")
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--side", type=int, default=60_000, help="of the slide, px")
    options = parser.parse_args()

    from napari_histo.plugin.slide_view import SlideView
    from napari_histo.plugin.threads import Mailbox

    window, run = Window(options.side), Run(options.side)
    viewer = window.viewer
    viewer.window.show()
    mailbox = Mailbox(viewer.window._qt_window)
    view = SlideView(viewer, window.image, run.growing, mailbox)
    refreshes = timed(view, "_show")
    puts = timed(run.growing, "put")
    for _ in range(options.tiles):
        run.growing.put(run.next_part())
    print(f"{run.growing.n_objects:,} objects in {options.tiles} tiles are there")
    listen(3.0)
    fit = viewer.scene.camera.zoom
    for name, zoom in (("all", 1), ("6 x", 6), ("20 x", 20), ("150 x", 150)):
        viewer.scene.camera.zoom = fit * zoom
        if zoom > 1:
            row, column = divmod(run.done, run.columns)
            viewer.scene.camera.center = ((row + 0.5) * TILE_PX, (column + 8) * TILE_PX)
        listen(1.5)
        refreshes.clear()
        puts.clear()
        gaps = feed(run, mailbox, options)
        print(
            f"{name:>5}: level {view.layer.data_level}, {len(puts)} parts, "
            f"put {1000 * np.median(puts):.1f} ms, "
            f"refresh {1000 * np.median(refreshes):.0f} ms (max {1000 * max(refreshes):.0f}), "
            f"no events for {1000 * max(gaps):.0f} ms at most"
        )
    view.close()
    viewer.close()


def timed(owner: Any, name: str) -> list[float]:
    """Seconds of each call of a method from now on."""
    spent: list[float] = []
    method = getattr(owner, name)

    def call(*args: Any) -> None:
        start = time.perf_counter()
        method(*args)
        spent.append(time.perf_counter() - start)

    setattr(owner, name, call)
    return spent


def feed(run: Run, mailbox: Any, options: argparse.Namespace) -> list[float]:
    """Parts come from a thread for a while; how long the window heard nothing, each time."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(1 / options.rate):
            part = run.next_part()
            mailbox.post(lambda part=part: run.growing.put(part))

    thread = threading.Thread(target=work)
    thread.start()
    gaps = listen(options.seconds)
    stop.set()
    thread.join()
    return gaps


def listen(seconds: float) -> list[float]:
    """Run Qt's events; the time between one look at them and the next."""
    from qtpy.QtWidgets import QApplication

    gaps, last = [], time.perf_counter()
    end = last + seconds
    while last < end:
        QApplication.processEvents()
        time.sleep(0.002)
        now = time.perf_counter()
        gaps.append(now - last)
        last = now
    return gaps


if __name__ == "__main__":
    main()
