"""A learning project whose annotator knows the truth, and may hand over nonsense instead.

The rounds are real ones: their query, files of work, labels, training and gate are those of a
user's project. Only what a person would draw comes from `TruthImage`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path

import numpy as np

from napari_histo.core import Box, Contours, ObjectState, ObjectTable, new_ids
from napari_histo.core.round_regions import REGION_CLASSES, region_rows, status_class
from napari_histo.core.rounds import QueryStatus
from napari_histo.errors import LearningError
from napari_histo.learning.project.facts import Settings
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.project.making import NewImage, NewProject, create_project
from napari_histo.learning.rounds.folder import RoundFolder
from napari_histo.learning.rounds.work import work_file
from napari_histo.learning.simulation.truth import TruthImage
from napari_histo.store.geojson import read_geojson, write_geojson

__all__ = ["Drawn", "annotate_round", "project_on_truth"]

_TURN = np.linspace(0, 2 * np.pi, 24, endpoint=False)
_UNIT_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)


class Drawn(StrEnum):
    """What the annotator draws in regions that teach."""

    TRUTH = "truth"
    #: Outlines of another region of the round: right nuclei in wrong places.
    SHUFFLED = "shuffled"
    #: As many discs, as large as the nuclei, anywhere.
    BLOBS = "blobs"
    #: No outline at all: all is said to be background.
    NOTHING = "nothing"


def project_on_truth(
    images: Sequence[TruthImage],
    folder: Path | str,
    *,
    model: str,
    settings: Settings,
    seed: int = 0,
) -> LearningProject:
    """Make a project, or go on with the one that is there.

    Images of the split ``train`` teach, those of ``judge`` judge; the others stay out of it. Their
    ids in the project are their names, which are to be unlike each other and fit for files.

    Raises
    ------
    LearningError, ImageError, ModelError, WriteError
    """
    if (Path(folder) / "project.json").is_file():
        return LearningProject(folder)
    splits = {"train": "train", "judge": "validation"}
    new = [
        NewImage(
            Path(image.reader.info.path),
            id=image.name,
            group=image.group,
            split="validation" if image.split == "judge" else "train",
            pixel_size=image.pixel_size,
        )
        for image in images
        if image.split in splits
    ]
    return create_project(folder, NewProject(new, model, seed=seed, settings=settings))


def annotate_round(
    project: LearningProject,
    found: RoundFolder,
    truth: Mapping[str, ObjectTable],
    drawn: Drawn = Drawn.TRUTH,
) -> None:
    """Declare all regions of a round done, with new outlines in the place of the predictions.

    Regions that judge always get the truth. The same round gets the same outlines each time.

    Parameters
    ----------
    project, found
    truth : mapping of str to ObjectTable
        All objects of an image by its id, full-resolution px.
    drawn : Drawn

    Raises
    ------
    LearningError
        Outlines are to be shuffled among fewer than two regions.
    """
    rows = found.query["regions"]
    rng = np.random.default_rng([project.facts.seed, found.number])
    teaching = [(row["image"], Box(*row["box"])) for row in rows if row["split"] == "train"]
    outlines: dict[str, list[Contours]] = {row["image"]: [] for row in rows}
    for image in outlines:
        boxes = [Box(*row["box"]) for row in rows if row["image"] == image]
        if drawn is Drawn.TRUTH or project.facts.image(image).split == "validation":
            touched = np.unique(np.concatenate([truth[image].query(box) for box in boxes]))
            outlines[image] = [truth[image].select(touched).contours]
    if drawn is Drawn.SHUFFLED and len(teaching) < 2:
        raise LearningError("Outlines of one region cannot be shuffled; ask for two or more.")
    for place, (image, box) in enumerate(teaching):
        if drawn is Drawn.SHUFFLED:
            other, its_box = teaching[place - 1]
            outlines[image].append(_moved(_owned(truth[other], its_box), its_box, box))
        elif drawn is Drawn.BLOBS:
            outlines[image].append(_blobs(_owned(truth[image], box), box, rng))
    for image in sorted(outlines):
        contours = Contours.concat([Contours.empty(), *outlines[image]])
        _draw(project, work_file(project, found.number, image), contours, rng)


def _draw(
    project: LearningProject, path: Path, contours: Contours, rng: np.random.Generator
) -> None:
    table = read_geojson(path)
    names = table.classes.union(REGION_CLASSES)
    regions = table.with_columns(classes=names).select(region_rows(table))
    done = names.names.index(status_class(QueryStatus.DONE))
    regions = regions.with_columns(class_id=np.full(len(regions), done, np.int32))
    classes = project.facts.classes
    objects = ObjectTable.build(
        contours,
        object_id=new_ids(len(contours), rng),
        class_id=0 if len(classes) else -1,
        classes=classes,
        state=ObjectState.DRAWN,
    )
    write_geojson(path, ObjectTable.concat([regions, objects]))


def _owned(truth: ObjectTable, box: Box) -> Contours:
    near = truth.select(truth.query(box))
    return near.contours.take(np.flatnonzero(box.holds(near.centroids)))


def _moved(contours: Contours, source: Box, target: Box) -> Contours:
    """Outlines of one region as if they lay in another."""
    scale = (target.width / source.width, target.height / source.height)
    offset = (target.x - scale[0] * source.x, target.y - scale[1] * source.y)
    return contours.transform(scale, offset)


def _blobs(contours: Contours, box: Box, rng: np.random.Generator) -> Contours:
    """A disc somewhere for each outline, of its area."""
    radii = np.sqrt(contours.areas_px / np.pi)
    centres = rng.uniform((box.x, box.y), (box.x + box.width, box.y + box.height), (len(radii), 2))
    return Contours.from_star(centres[:, None] + radii[:, None, None] * _UNIT_CIRCLE)
