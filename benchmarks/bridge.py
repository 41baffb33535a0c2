"""Objects into a QuPath project and back, beside paquo's and QuPath's own ways.

    python benchmarks/bridge.py [--objects N] [--peers] [--heap-mb N] [--losses]

Makes a project with plain paquo, pushes N detections (32 vertices, a class, a probability and two
measurements), and pulls them again: seconds of each phase, objects a second into the saved entry,
with the check in a second process and without, and the peak memory of the Java process. Seconds of
processors stand beside those of the clock, for a busy machine stretches the latter. `--peers`
adds paquo's `load_geojson` (with `gc.freeze()`) and QuPath's GeoJSON reader on the same objects,
each in a process of its own. `--losses` instead prints what is left of objects of every kind after
a round trip, by plain paquo and by the bridge. Needs QuPath.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np

import _losses
from napari_histo.core import ClassScheme, Contours, ObjectTable, Progress
from napari_histo.store.geojson import write_geojson
from qupath_bridge.bridge import QuPathBridge
from qupath_bridge.client import Limits, WorkerClient

CHILD = Path(__file__).with_name("_paquo_child.py")
MAKE = Path(__file__).parents[1] / "tests" / "bridge" / "make_project.py"


def nuclei(n: int, rng: np.random.Generator) -> ObjectTable:
    """`n` stars of 32 vertices on a lattice."""
    side = int(np.ceil(n**0.5))
    centres = np.stack(np.divmod(np.arange(n), side), 1)[:, None] * 30.0 + 15
    angle = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    radius = rng.uniform(6, 12, (n, 32, 1))
    xy = centres + radius * np.stack([np.cos(angle), np.sin(angle)], 1)
    return ObjectTable.build(
        Contours.from_star(xy),
        class_id=rng.integers(0, 3, n),
        classes=ClassScheme.of("Tumor", "Stroma", "Immune cells"),
        det_prob=rng.uniform(0.5, 1, n).astype(np.float32),
        measurements={
            "Nucleus: Area µm^2": rng.uniform(10, 90, n),
            "Nucleus: Circularity": rng.uniform(0.5, 1, n),
        },
    )


class PeakWatch:
    """Peak resident memory, MB, of whatever process a client runs."""

    def __init__(self, client: WorkerClient) -> None:
        self.peak_mb, self._client, self._done = 0.0, client, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.wait(0.2):
            try:
                text = Path(f"/proc/{self._client.pid}/status").read_text()
            except OSError:
                continue
            line = next((x for x in text.splitlines() if x.startswith("VmHWM")), "x 0")
            self.peak_mb = max(self.peak_mb, int(line.split()[1]) / 1024)

    def cpu_s(self) -> float:
        """Seconds of processors that the process and this one took so far."""
        fields = Path(f"/proc/{self._client.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK") + time.process_time()

    def stop(self) -> float:
        self._done.set()
        self._thread.join()
        return self.peak_mb


def timed(work: Generator[Progress, None, Any]) -> tuple[dict[str, float], Any]:
    """Seconds that each message stood, and the result."""
    phases: dict[str, float] = {}
    message, since = "Beginning", time.perf_counter()
    while True:
        try:
            step = next(work)
        except StopIteration as end:
            phases[message] = phases.get(message, 0) + time.perf_counter() - since
            return phases, end.value
        now = time.perf_counter()
        phases[message] = phases.get(message, 0) + now - since
        message, since = step.message, now


def through_bridge(project: Path, table: ObjectTable, heap_mb: int | None) -> dict[str, Any]:
    limits = Limits(heap_mb=heap_mb)
    client = WorkerClient(limits=limits)
    with QuPathBridge(project, client=client, limits=limits) as bridge:
        entry = bridge.images()[0]
        bridge.read_objects(entry)  # starts Java
        watch = PeakWatch(client)
        start, cpu_s = time.perf_counter(), watch.cpu_s()
        phases, report = timed(bridge.writing(entry, table))
        push_s, cpu_s = time.perf_counter() - start, watch.cpu_s() - cpu_s
        start = time.perf_counter()
        back = bridge.read_objects(entry)
        pull_s = time.perf_counter() - start
        peak = watch.stop()
    assert report.added == len(back) == len(table)
    check_s = phases.get("Starting QuPath's Java", 0) + phases.get("Counting objects", 0)
    size = project / "data" / entry.entry_id / "data.qpdata"
    return {
        "objects": len(table),
        "push_s": push_s,
        "of_which_check_s": check_s,
        "cpu_s_without_check": cpu_s,
        "objects_per_s_pushed_and_checked": len(table) / push_s,
        "objects_per_s_into_the_saved_entry": len(table) / (push_s - check_s),
        "pull_s": pull_s,
        "objects_per_s_pulled": len(table) / pull_s,
        "java_peak_mb": peak,
        "file_mb": size.stat().st_size / 1e6,
        "phases_s": phases,
    }


def peer(way: str, project: Path, geojson: Path) -> Any:
    command = [sys.executable, str(CHILD), way, str(project), str(geojson)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def make(folder: Path, n_images: int = 1) -> Path:
    command = [sys.executable, str(MAKE), str(folder), "--images", str(n_images)]
    subprocess.run(command, capture_output=True, check=True)
    return folder / "project"


def losses(folder: Path) -> str:
    def by_paquo(project: Path, files: Path) -> Any:
        said = peer("load", project, files)
        peer("unload", project, files)
        return said

    ways = {
        "plain paquo": _losses.through_paquo(lambda n: make(folder / "p", n), by_paquo, folder),
        "the bridge": _losses.through_bridge(lambda n: make(folder / "b", n)),
    }
    return _losses.as_table(ways)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--heap-mb", type=int)
    parser.add_argument("--losses", action="store_true")
    asked = parser.parse_args()
    if asked.losses:
        with tempfile.TemporaryDirectory() as name:
            print(losses(Path(name)))
        return
    table = nuclei(asked.objects, np.random.default_rng(0))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found: dict[str, Any] = {
            "bridge": through_bridge(make(folder / "ours"), table, asked.heap_mb)
        }
        if asked.peers:
            geojson = folder / "objects.geojson"
            write_geojson(geojson, table)
            for way in ("paquo", "pathio"):
                found[way] = peer(way, make(folder / way), geojson)
                found[way]["objects_per_s"] = asked.objects / found[way]["load_s"]
                ours = found["bridge"]["cpu_s_without_check"]
                found[way]["times_our_cpu"] = found[way]["cpu_s"] / ours
                building_s = found["bridge"]["phases_s"]["Building objects"]
                found[way]["times_our_loading"] = found[way]["load_s"] / building_s
    print(json.dumps(found, indent=1, default=lambda x: x))


if __name__ == "__main__":
    main()
