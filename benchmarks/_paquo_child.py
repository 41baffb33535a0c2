"""One way of QuPath's own to load objects; a process of its own, for it starts Java.

``python _paquo_child.py {paquo,pathio} PROJECT GEOJSON``: prints seconds, saves where it can.
``python _paquo_child.py {load,unload} PROJECT FOLDER``: ``0.geojson`` into the first image, and so
on; then, in a new process, ``back-0.geojson`` out of it; prints each one's error or null.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

ANSWER = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def by_paquo(project: str, geojson: str) -> tuple[float, float, float]:
    """Load and save through `load_geojson`; seconds of each, and of processors in all."""
    from paquo.projects import QuPathProject

    with QuPathProject(project, mode="r+") as opened:
        image = opened.images[0]
        with Path(geojson).open() as stream:
            features = json.load(stream)["features"]
        gc.collect()
        gc.freeze()
        gc.disable()
        start, cpu_s = time.perf_counter(), time.process_time()
        image.hierarchy.load_geojson(features)
        loaded = time.perf_counter()
        image.save()
        return loaded - start, time.perf_counter() - loaded, time.process_time() - cpu_s


def by_path_io(_: str, geojson: str) -> tuple[float, float, float]:
    """Only read, with QuPath's own reader."""
    from paquo import java

    backend: Any = java
    gc.disable()
    start, cpu_s = time.perf_counter(), time.process_time()
    backend.PathIO.readObjects(backend.File(geojson))
    return time.perf_counter() - start, 0.0, time.process_time() - cpu_s


def load(project: str, folder: str) -> list[str | None]:
    """Load a file into each image."""
    from paquo.projects import QuPathProject

    said: list[str | None] = []
    with QuPathProject(project, mode="r+") as opened:
        for i, image in enumerate(opened.images):
            features = json.loads(Path(folder, f"{i}.geojson").read_text())["features"]
            try:
                image.hierarchy.load_geojson(features)
                image.save()
                said.append(None)
            except Exception as error:  # Java's come in many classes
                said.append(f"raises {type(error).__name__.rpartition('.')[2]}")
    return said


def unload(project: str, folder: str) -> list[str | None]:
    """What each image hands out."""
    from paquo.projects import QuPathProject

    with QuPathProject(project, mode="r") as opened:
        for i, image in enumerate(opened.images):
            Path(folder, f"back-{i}.geojson").write_text(json.dumps(image.hierarchy.to_geojson()))
    return []


if __name__ == "__main__":
    if sys.argv[1] in ("load", "unload"):
        gc.disable()
        ANSWER.write(json.dumps({"load": load, "unload": unload}[sys.argv[1]](*sys.argv[2:])))
        ANSWER.flush()
        os._exit(0)
    way = {"paquo": by_paquo, "pathio": by_path_io}[sys.argv[1]]
    load_s, save_s, cpu_s = way(*sys.argv[2:])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    answer = {"load_s": load_s, "save_s": save_s, "cpu_s": cpu_s, "peak_mb": peak}
    ANSWER.write(json.dumps(answer))
    ANSWER.flush()
    os._exit(0)
