"""Learning projects of small images, and tools that answer at once and are foreseeable.

A model is a folder with a number in it, the share of objects that it finds; training adds to it
what the labels are worth, which is the share of squares among their objects that are not tiny.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import tifffile

from napari_histo.core import Box, Contours, ObjectTable, Progress, new_ids
from napari_histo.core.learning import Candidate, LabelledRegion, Pool
from napari_histo.core.round_regions import REGION_CLASSES, region_rows
from napari_histo.learning.project.checks import verify_project
from napari_histo.learning.project.facts import Settings
from napari_histo.learning.project.making import NewImage, NewProject, create_project
from napari_histo.learning.rounds.promotion import Gate
from napari_histo.learning.rounds.query import QueryWish, query
from napari_histo.learning.rounds.steps import TrainWish, collect, evaluate, train
from napari_histo.learning.rounds.tools import Tools
from napari_histo.learning.strategies import strategy
from napari_histo.models.encoder.card import EncoderCard
from napari_histo.store.geojson import read_geojson, write_geojson
from napari_histo.store.replacing import beside
from napari_histo.store.write import atomic_path

SIDE, REGION = 128, 32
SETTINGS = Settings(region_px=REGION, regions=3, validation_regions=8, gate=Gate(draws=2000))


def drive(work):
    """Run a generator to its end."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def make_images(folder: Path, n: int = 4, side: int = SIDE) -> list[Path]:
    """Small pink images, at 0.5 µm per px."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(n):
        rng = np.random.default_rng(number)
        pixels = rng.integers(200, 230, (side, side, 3)).astype(np.uint8)
        paths.append(folder / f"slide {number}.tif")
        tifffile.imwrite(
            paths[-1],
            pixels,
            photometric="rgb",
            resolution=(20000, 20000),
            resolutionunit="CENTIMETER",
        )
    return paths


def make_project(folder: Path, n: int = 4, **rest):
    """A project in ``folder/project`` on images in ``folder/images``."""
    images = make_images(folder / "images", n)
    wanted = {"model": "classical", "settings": SETTINGS, "name": "test", "seed": 3, **rest}
    return create_project(
        folder / "project", NewProject([NewImage(path) for path in images], **wanted)
    )


def make_encoder(folder: Path, **words) -> Path:
    """A folder that says it is an encoder; its weights are never read."""
    folder.mkdir(parents=True)
    told = {"name": "Means", "weights": "net.pt", "licence": "CC0-1.0", **words}
    (folder / "encoder.json").write_text(json.dumps(told))
    (folder / "net.pt").write_bytes(b"weights")
    return folder


# -- tools ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FakeModel:
    """Finds a share of all objects."""

    share: float


def _load(name):
    path = Path(name) / "share.txt"
    return FakeModel(float(path.read_text()) if path.is_file() else 0.5)


def _score(readers, model, region_px, seed, cancel):
    candidates = []
    for name in readers:
        cancel.raise_if_cancelled()
        yield Progress(len(candidates), 0, name)
        cells = range(0, SIDE, region_px)
        candidates += [
            Candidate(name, Box(x, y, region_px, region_px)) for y in cells for x in cells
        ]
    rng = np.random.default_rng(seed)
    features = rng.random((len(candidates), 4)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    ones = np.ones(len(candidates), np.float32)
    return Pool(tuple(candidates), features, {"tissue": ones, "objects": ones})


def squares(box: Box, n: int = 3, side: float = 6.0) -> Contours:
    """A row of squares in a box."""
    left = box.x + 3 + 9.0 * np.arange(n)
    ring = np.array([(0, 0), (side, 0), (side, side), (0, side)], np.float32)
    corners = np.stack([left, np.full(n, box.y + 5.0)], axis=1)
    return Contours.from_star(corners[:, None] + ring[None])


def _predict(reader, model, box, seed):
    contours = squares(box)
    text = f"{seed} {box}".encode()
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(text).digest()[:8]))
    return ObjectTable.build(contours, object_id=new_ids(3, rng), det_prob=0.9)


def _train(job, cancel):
    before = _load(job.parent).share
    for step in range(3):
        cancel.raise_if_cancelled()
        yield Progress(step, 3, "Learning")
    areas = np.concatenate([e.labels.objects.areas_px for e in job.regions])
    worth = float((areas > 9).mean()) if len(areas) else 0.0
    share = float(np.clip(before + 0.2 * (2 * worth - 1), 0, 1))
    with atomic_path(job.folder, folder=True, strangers=beside(["share.txt"])) as work:
        (work / "share.txt").write_text(f"{share:.3f}")
    return {"settings": dict(job.settings), "curve": [{"step": 3, "loss": 1 - share}]}


def _evaluate(model, examples, cancel):
    for number, _ in enumerate(examples):
        cancel.raise_if_cancelled()
        found = round(40 * model.share) - number % 2
        yield SimpleNamespace(tp=found, fp=2, fn=40 - found, iou_sum=0.8 * found)


FAKES = Tools(_load, strategy, _score, _predict, _train, _evaluate)


def making(tools):
    """What makes these tools, with an encoder of the user's where one is named."""

    def make(encoder=None):
        return (
            tools if encoder is None else replace(tools, encoder=EncoderCard.read(encoder).words())
        )

    return make


# -- a person ------------------------------------------------------------------------------------


def annotate(project, *, number=None, status="Region: done", only=None, spoil=False):
    """Declare the regions of a round done, all or the first `only` of each image.

    With `spoil` the outlines are made tiny first: labels from which a model learns nonsense.
    """
    found = project.open_round if number is None else project.round(number)
    for path in sorted(project.work_path(found.number).glob("*.geojson")):
        table = read_geojson(path)
        names = list(table.classes.union(REGION_CLASSES).names)
        class_id = table.class_id.copy()
        class_id[region_rows(table)[:only]] = names.index(status)
        table = table.with_columns(classes=table.classes.union(REGION_CLASSES), class_id=class_id)
        if spoil:
            rows = np.setdiff1d(np.arange(len(table)), region_rows(table))
            tiny = table.select(rows)
            centre = np.repeat(tiny.centroids, np.diff(tiny.contours.ring_offsets), axis=0)
            xy = (centre + (tiny.contours.xy - centre) / 4).astype(np.float32)
            tiny = tiny.with_columns(contours=replace(tiny.contours, xy=xy))
            table = ObjectTable.concat([table.select(region_rows(table)), tiny])
        write_geojson(path, table)


def run_round(project, *, tools=FAKES, spoil=False, force=False):
    """A whole round; the folder that it left."""
    drive(query(project, QueryWish(strategy="random"), tools))
    annotate(project, spoil=spoil)
    collect(project)
    drive(train(project, TrainWish(), tools))
    return drive(evaluate(project, tools, force=force))


def contents(project: Path) -> dict[str, bytes]:
    """Bytes of all files of the record, by path."""
    skipped = {"when.json", "log.txt", "local.json", ".lock"}
    files = (p for p in sorted(project.rglob("*")) if p.is_file() and p.name not in skipped)
    return {p.relative_to(project).as_posix(): p.read_bytes() for p in files}


def errors_of(project):
    """What is wrong with a project, in sentences."""
    return [f.text for f in verify_project(project) if f.is_error]


def label():
    """A square region of the first image with its objects."""
    box = Box(0, 0, 32, 32)
    return LabelledRegion("slide 0", box, ObjectTable.build(squares(box)), Contours.empty())
