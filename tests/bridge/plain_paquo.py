"""What plain paquo does where the bridge is careful: each trap once, on a project of its own.

Run as a child process, never imported: it starts a JVM. ``python plain_paquo.py FOLDER`` makes
``FOLDER/project`` with an image a trap and prints one JSON object: what was seen, by trap. Files
that it leaves are what the bridge is then asked to handle.
"""

from __future__ import annotations

import gc
import io
import json
import os
import sys
import threading
import time
import uuid
from pathlib import Path

ANSWER = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)

import shapely  # noqa: E402
from paquo import java  # noqa: E402  (starts the JVM)
from paquo.classes import QuPathPathClass  # noqa: E402
from paquo.images import QuPathImageType  # noqa: E402
from paquo.projects import QuPathProject  # noqa: E402
from PIL import Image  # noqa: E402

from qupath_bridge.worker import serve  # noqa: E402

System, ArrayList = java.JClass("java.lang.System"), java.JClass("java.util.ArrayList")

TRAPS = {}
MOST_LOOKS = 100


def trap(function):
    TRAPS[function.__name__] = function
    return function


def box(x):
    return shapely.box(x, 1, x + 9, 11)


def feature(shape, kind="annotation", **more):
    return {
        "type": "Feature",
        "id": str(uuid.uuid4()),
        "geometry": shapely.geometry.mapping(shape),
        "properties": {"objectType": kind, **more.pop("properties", {})},
        **more,
    }


class Opened:
    """One image of the project, opened as a user of paquo would."""

    def __init__(self, file, name, mode="r+"):
        self.project = QuPathProject(file, mode=mode)
        (self.image,) = [i for i in self.project.images if i.image_name == name]

    def __enter__(self):
        return self.image

    def __exit__(self, *_):
        pass

    @property
    def data(self):
        return self.project.path.parent / "data" / self.image.entry_id / "data.qpdata"


def with_boxes(file, name, n):
    """Save `n` annotations; the data file."""
    opened = Opened(file, name)
    for i in range(n):
        opened.image.hierarchy.add_annotation(box(20 * i))
    opened.image.save()
    return opened.data


def count(file, name):
    return len(Opened(file, name).image.hierarchy.annotations)


@trap
def damaged_data(file, name):
    data = with_boxes(file, name, 3)
    raw = data.read_bytes()
    data.write_bytes(raw[:-200])
    with Opened(file, name) as image:
        seen = len(image.hierarchy.annotations)
        image.hierarchy.add_annotation(box(200))
        image.save()
    left = count(file, name)
    data.write_bytes(raw[:-200])  # for the bridge to find
    return {"seen": seen, "left_of_4": left}


@trap
def last_save_wins(file, name):
    first, second = Opened(file, name), Opened(file, name)
    for opened, x in ((first, 0), (second, 50)):
        opened.image.hierarchy.add_annotation(box(x))
    first.image.save()
    second.image.save()
    return {"left_of_2": count(file, name)}


@trap
def loaded_twice(file, name):
    item = feature(box(0))
    with Opened(file, name) as image:
        for _ in range(2):
            image.hierarchy.load_geojson([item])
        ids = [str(a.java_object.getID()) for a in image.hierarchy.annotations]
    return {"n": len(ids), "n_ids": len(set(ids))}


@trap
def cell(file, name):
    item = feature(box(0), "cell", nucleusGeometry=shapely.geometry.mapping(box(0).buffer(-2)))
    try:
        with Opened(file, name) as image:
            image.hierarchy.load_geojson([item])
    except Exception as error:
        return {"raised": type(error).__name__.rpartition(".")[2]}
    return {"raised": None}


@trap
def to_geojson(file, name):
    with Opened(file, name) as image:
        image.hierarchy.add_annotation(box(0))
        image.hierarchy.add_detection(box(50))
        image.save()
        return {"of_2": len(image.hierarchy.to_geojson())}


@trap
def description_alone(file, name):
    with_boxes(file, name, 1)
    with Opened(file, name) as image:
        next(iter(image.hierarchy.annotations)).description = "seen"
        image.save()
    with Opened(file, name) as image:
        return {"description": next(iter(image.hierarchy.annotations)).description}


@trap
def missing_image(file, name):
    with_boxes(file, name, 1)
    opened = Opened(file, name)
    place = file.parent.parent / f"{name}.png"
    place.rename(place.with_suffix(".gone"))
    opened.image.hierarchy.add_annotation(box(50))
    raised = None
    try:
        opened.image.save()
    except Exception as error:
        raised = type(error).__name__
    place.with_suffix(".gone").rename(place)
    seen = count(file, name)
    place.rename(place.with_suffix(".gone"))  # for the bridge to find
    return {"raised": raised, "left_of_2": seen}


@trap
def known_class(file, name):
    QuPathPathClass("Known", color=(1, 2, 3))
    found = QuPathPathClass("Known", color=(200, 100, 50)).color
    return {"rgb": [found.red, found.green, found.blue]}


@trap
def coordinates(file, name):
    shape = shapely.Polygon([(1.23456, 2.34567), (30.98765, 3.1), (22.2, 33.33333), (4, 20.00001)])
    with Opened(file, name) as image:
        image.hierarchy.load_geojson([feature(shape)])
        image.save()
        back = shapely.geometry.shape(image.hierarchy.to_geojson()[0]["geometry"])
    return {"wkb": back.wkb_hex}


@trap
def order(file, name):
    items = [feature(box(20 * i), "detection") for i in range(100)]
    with Opened(file, name) as image:
        image.hierarchy.load_geojson(items)
        image.save()
    with Opened(file, name) as image:
        ids = [str(d.java_object.getID()) for d in image.hierarchy.detections]
    given = [item["id"] for item in items]
    return {"same_set": set(ids) == set(given), "same_order": ids == given}


@trap
def collections(file, name):
    """How many full collections of Python's come with five of Java's, plainly and in our worker.

    Java tells of its own later, from a thread: for each of them, plainly, one is waited for.
    """
    seen = []
    gc.callbacks.append(
        lambda phase, info: seen.append(phase == "stop" and info["generation"] == 2)
    )
    answer = {}
    for who, prepare in (
        ("plain", gc.enable),
        ("ours", lambda: serve(io.StringIO(), io.StringIO())),
    ):
        prepare()
        seen.clear()
        for n in range(1, 6):
            System.gc()
            for _ in range(MOST_LOOKS if who == "plain" else 1):
                for _ in range(500):
                    ArrayList()
                time.sleep(0.02)
                if sum(seen) >= n:
                    break
        answer[who] = sum(seen)
    gc.callbacks.clear()
    gc.enable()
    return answer


@trap
def truncated_for_reading(file, name):
    data = with_boxes(file, name, 3)
    data.write_bytes(data.read_bytes()[:-200])

    def read():
        with Opened(file, name, "r") as image:
            len(image.hierarchy.annotations)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(float(os.environ.get("PATIENCE_S", "5")))
    return {"still_reading": thread.is_alive()}


def main(folder):
    folder.mkdir(exist_ok=True)
    with QuPathProject(folder / "project", mode="x") as project:
        for name in TRAPS:
            place = folder / f"{name}.png"
            Image.new("RGB", (256, 256)).save(place)
            entry = project.add_image(place, image_type=QuPathImageType.BRIGHTFIELD_H_E)
            entry.image_name = name
        project.save()
    file = folder / "project" / "project.qpproj"
    seen = {}
    for name, function in TRAPS.items():
        start = time.perf_counter()
        try:
            seen[name] = function(file, name)
        except Exception as error:
            seen[name] = {"error": f"{type(error).__name__}: {error}"}
        seen[name]["s"] = round(time.perf_counter() - start, 2)
    ANSWER.write(json.dumps(seen))
    ANSWER.flush()
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
