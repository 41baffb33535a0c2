"""The models of two rounds held against each other on a part of one image."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from napari_histo.core import Box, CancelToken, ObjectTable, Progress
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.rounds.tools import Tools
from napari_histo.ops.changes import Changes, find_changes

__all__ = ["MOST_PX", "Comparison", "Place", "comparing"]

#: Side of the largest part that is compared, full-resolution px; and of a step on the way.
MOST_PX, _STEP_PX = 2048, 1024


@dataclass(frozen=True)
class Place:
    """What is compared.

    Attributes
    ----------
    image : str
        Id in the project.
    box : Box
        Full-resolution px.
    earlier, later : int
        Rounds; 0 for the start model.
    """

    image: str
    box: Box
    earlier: int
    later: int

    @classmethod
    def within(cls, image: str, box: Box, earlier: int, later: int) -> Place:
        """The middle of a box that is too large to wait for."""
        width, height = min(box.width, MOST_PX), min(box.height, MOST_PX)
        left, top = box.x + (box.width - width) // 2, box.y + (box.height - height) // 2
        return cls(image, Box(left, top, width, height), earlier, later)


@dataclass(frozen=True, eq=False)
class Comparison:
    """What two models find in one place, and how it differs.

    Attributes
    ----------
    place : Place
    before, after : ObjectTable
        Of the earlier and the later round's model, full-resolution px.
    changes : Changes
    """

    place: Place
    before: ObjectTable
    after: ObjectTable
    changes: Changes

    @property
    def tables(self) -> dict[str, ObjectTable]:
        """Objects that were gained, lost, and changed (as the later model outlines them)."""
        found = self.changes
        return {
            "gained": self.after.select(found.gained),
            "lost": self.before.select(found.lost),
            "changed": self.after.select(found.changed[:, 1]),
        }

    @property
    def title(self) -> str:
        """ "start → round 2"."""
        names = (f"round {n}" if n else "start" for n in (self.place.earlier, self.place.later))
        return " → ".join(names)


def comparing(
    project: LearningProject, tools: Tools, place: Place, cancel: CancelToken
) -> Generator[Progress, None, Comparison]:
    """Segment a place with both models and match the objects.

    Raises
    ------
    ImageError, ModelError, Cancelled
    """
    steps = list(_steps(place.box))
    tables: list[ObjectTable] = []
    with project.open_image(project.facts.image(place.image)) as reader:
        for number in (place.earlier, place.later):
            name = f"round {number}" if number else "the start model"
            yield Progress(len(tables) * len(steps), 2 * len(steps), f"Loading {name}")
            model = tools.load_model(project.model(number))
            found = []
            for box in steps:
                cancel.raise_if_cancelled()
                found.append(tools.predict(reader, model, box, 0))
                done = len(tables) * len(steps) + len(found)
                yield Progress(done, 2 * len(steps), f"Segmenting with {name}")
            tables.append(ObjectTable.concat(found))
    cancel.raise_if_cancelled()
    before, after = tables
    return Comparison(place, before, after, find_changes(before, after))


def _steps(box: Box) -> Generator[Box]:
    """Parts of a box; an object belongs to the one that holds its centroid."""
    for top in range(box.y, box.bottom, _STEP_PX):
        for left in range(box.x, box.right, _STEP_PX):
            right, bottom = min(left + _STEP_PX, box.right), min(top + _STEP_PX, box.bottom)
            yield Box.from_edges(left, top, right, bottom)
