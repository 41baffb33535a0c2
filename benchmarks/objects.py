"""What a million objects cost in napari: first picture, pan, zoom, an edit; beside Shapes.

    xvfb-run -a python benchmarks/objects.py [--objects N] [--shapes N]

A real viewer, 1400 x 900. A frame is from the change of the camera to the pixels of the canvas;
an empty viewer's own frame is the yardstick, and 1/60 s. napari's Shapes layer is measured in a
process of its own, for it may take minutes. Prints times, ratios and memory.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

FRAME_MS = 1000 / 60
_PITCH_PX = 40.0


def nuclei(n: int, seed: int = 0) -> Any:
    """A table of `n` outlines of 32 vertices on a jittered lattice, of four classes."""
    from napari_histo.core import ClassScheme, Contours, ObjectTable

    rng = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(n)))
    at = np.stack([np.arange(n) % side, np.arange(n) // side], axis=1) * _PITCH_PX + _PITCH_PX / 2
    at += rng.uniform(-8, 8, at.shape)
    angle = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    radius = rng.uniform(8, 15, (n, 1)) * (1 + 0.15 * np.sin(3 * angle + rng.uniform(0, 6, (n, 1))))
    xy = at[:, None] + radius[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return ObjectTable.build(
        Contours.from_star(np.round(xy, 2).astype(np.float32)),
        class_id=rng.integers(0, 4, n).astype(np.int32),
        classes=ClassScheme.of("Tumor", "Stroma", "Immune cells", "Necrosis"),
    )


class Window:
    """A viewer with a blank slide."""

    def __init__(self, side_px: int) -> None:
        import dask.array as da
        import napari

        self.viewer = napari.Viewer(show=False)
        self.viewer.window.resize(1400, 900)
        levels = [
            da.zeros((max(side_px >> k, 2),) * 2, np.uint8, chunks=1024)
            for k in range(max(2, side_px.bit_length() - 8))
        ]
        self.image = self.viewer.add_image(levels, multiscale=True, name="slide", cache=False)
        self.frame()

    def frame(self) -> None:
        """Until the pixels are there."""
        from qtpy.QtWidgets import QApplication

        QApplication.processEvents()
        self.viewer.screenshot(canvas_only=True, flash=False)

    def look(self, x: float, y: float, zoom: float) -> None:
        self.viewer.scene.camera.center = (0, y, x)
        self.viewer.scene.camera.zoom = zoom
        self.frame()


def timed(work: Callable[[], object], rounds: int = 1) -> list[float]:
    """Milliseconds of each round."""
    spent = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        spent.append(1000 * (time.perf_counter() - start))
    return spent


def walks(window: Window, side_px: int, rounds: int) -> dict[str, list[float]]:
    """Frames while panning at full resolution, panning far out, and zooming in."""
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0.3, 0.7, 2) * side_px

    def pan(zoom: float, step_px: float) -> list[float]:
        window.look(x, y, zoom)
        return [
            timed(lambda k=k: window.look(x + k * step_px, y + k * step_px / 3, zoom))[0]
            for k in range(1, rounds + 1)
        ]

    zooms = np.geomspace(900 / side_px, 4, rounds)
    return {
        "pan, each nucleus seen": pan(1.0, 120),
        "pan, sixteen times coarser": pan(1 / 16, 1500),
        "zoom from the whole slide in": [timed(lambda z=z: window.look(x, y, z))[0] for z in zooms],
    }


def edits(window: Window, objects: Any, side_px: int, rounds: int) -> list[float]:
    """From the gesture to its pixels: one object under the view gets another class."""
    from napari_histo.core import Box, Edit

    window.look(side_px / 2, side_px / 2, 1.0)
    here = objects.ids_in(Box(side_px // 2 - 300, side_px // 2 - 300, 600, 600))[:rounds]

    def relabel(object_id: Any) -> None:
        before = objects.get([object_id])
        after = before.with_columns(class_id=(before.class_id + 1) % 4)
        objects.apply(Edit("Relabel", before, after))
        window.frame()

    return [timed(lambda i=i: relabel(i))[0] for i in here]


def resident_mb() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(x for x in status.splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def ours(n: int, rounds: int) -> dict[str, Any]:
    from napari_histo.plugin.objects_view import ObjectsView
    from napari_histo.session import EditableObjects

    side_px = int(np.ceil(np.sqrt(n)) * _PITCH_PX)
    window = Window(side_px)
    window.look(side_px / 2, side_px / 2, 1.0)
    empty = walks(window, side_px, rounds)
    before = resident_mb()
    table = nuclei(n)
    table_mb = table.nbytes / 2**20
    window.look(side_px / 2, side_px / 2, 1.0)
    spent: dict[str, Any] = {}
    made: list[Any] = []

    def first_picture() -> None:
        made.append(EditableObjects(table))
        made.append(ObjectsView(window.viewer, window.image, made[0]))
        window.frame()

    spent["first picture"] = timed(first_picture)
    spent |= walks(window, side_px, rounds)
    spent["an edit, to its pixels"] = edits(window, made[0], side_px, rounds)
    memory = {"table": table_mb, "all that came on top of the viewer": resident_mb() - before}
    return {"empty": empty, "spent": spent, "memory_mb": memory}


def shapes(n: int, rounds: int) -> dict[str, Any]:
    """The same outlines in napari's Shapes layer."""
    table = nuclei(n)
    side_px = int(np.ceil(np.sqrt(n)) * _PITCH_PX)
    window = Window(side_px)
    window.look(side_px / 2, side_px / 2, 1.0)
    before = resident_mb()
    rings = [table.contours.ring(row)[:-1, ::-1] for row in range(n)]
    layer: list[Any] = []

    def first_picture() -> None:
        layer.append(window.viewer.add_shapes(rings, shape_type="polygon", edge_width=1))
        window.frame()

    spent: dict[str, Any] = {"first picture": timed(first_picture)}
    spent |= walks(window, side_px, rounds)

    def recolour() -> None:
        layer[0].selected_data = {n // 2}
        layer[0].current_face_color = "red"
        window.frame()

    spent["an edit, to its pixels"] = timed(recolour, 3)
    return {"spent": spent, "memory_mb": {"all": resident_mb() - before}}


def report(title: str, found: dict[str, Any], yardstick: dict[str, list[float]]) -> None:
    print(f"\n### {title}\n")
    print("| | median [ms] | 95 % [ms] | to a frame | to an empty viewer |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, values in found["spent"].items():
        median, high = np.median(values), np.percentile(values, 95)
        base = yardstick.get(name)
        ratio = f"{median / np.median(base):.1f}" if base else ""
        print(f"| {name} | {median:.0f} | {high:.0f} | {median / FRAME_MS:.1f} | {ratio} |")
    words = ", ".join(f"{k} {v:.0f} MB" for k, v in found["memory_mb"].items())
    print(f"\nMemory: {words}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--shapes", type=int, default=100_000, help="0 leaves Shapes out")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--timeout", type=float, default=600, help="seconds for Shapes")
    parser.add_argument("--only-shapes", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only_shapes:
        print(json.dumps(shapes(args.shapes, args.rounds)))
        return
    found = ours(args.objects, args.rounds)
    report(f"{args.objects:,} objects, ours", found, found["empty"])
    if args.shapes:
        command = [sys.executable, __file__, "--only-shapes", "--shapes", str(args.shapes)]
        command += ["--rounds", "5"]
        try:
            run = subprocess.run(
                command, capture_output=True, text=True, timeout=args.timeout, check=True
            )
        except subprocess.TimeoutExpired:
            print(f"\nnapari's Shapes: {args.shapes:,} outlines took over {args.timeout:.0f} s.")
            return
        there = json.loads(run.stdout.splitlines()[-1])
        report(f"{args.shapes:,} objects, napari's Shapes", there, found["empty"])


if __name__ == "__main__":
    main()
