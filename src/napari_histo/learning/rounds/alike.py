"""What the user pointed at, and regions like it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box
from napari_histo.core.learning import Pool, QueryStrategy
from napari_histo.errors import LearningError
from napari_histo.learning.project.folder import LearningProject

__all__ = ["ALIKE", "Spot", "alike", "check_spots"]

#: Name of the strategy, which alone needs to be told what to look for.
ALIKE = "alike"


@dataclass(frozen=True, slots=True)
class Spot:
    """A place that the user pointed at.

    Attributes
    ----------
    image : str
        Id of the image in its project.
    x, y : float
        Full-resolution px.
    """

    image: str
    x: float
    y: float

    @classmethod
    def parse(cls, text: str, project: LearningProject) -> Spot:
        """From ``NAME:X,Y``; the image by its name or id.

        Raises
        ------
        LearningError
            It is no place, or the project has no such image.
        """
        name, _, place = text.rpartition(":")
        try:
            x, y = (float(part) for part in place.split(","))
        except ValueError:
            raise LearningError(
                f"{text!r} is no place in an image. Write NAME:X,Y with X and Y in px of the full "
                "resolution, for example slide.svs:12000,8300."
            ) from None
        for image in project.facts.images:
            if name in (image.id, image.name):
                return cls(image.id, x, y)
        names = ", ".join(image.name for image in project.facts.images)
        raise LearningError(f"The project has no image {name!r}. It has: {names}.")

    def as_row(self) -> list[str | float]:
        """For JSON."""
        return [self.image, round(self.x, 2), round(self.y, 2)]


def check_spots(project: LearningProject, strategy: str, spots: Sequence[Spot]) -> None:
    """Look at places before anything is computed.

    Raises
    ------
    LearningError
        One lies in no image that the model may learn from, or places and strategy do not go
        together.
    """
    if (strategy == ALIKE) != bool(spots):
        raise LearningError(
            f"The strategy is {strategy!r} and {len(spots) or 'no'} place(s) are given to be like. "
            f"Give at least one place to the strategy {ALIKE!r}, and none to others."
        )
    for spot in spots:
        image = project.facts.image(spot.image)
        if image.split != "train":
            raise LearningError(
                f"{image.name} belongs to the images that judge, and nothing of it may decide what "
                "is learned. Point at a place in an image to learn from."
            )
        if not (0 <= spot.x < image.width and 0 <= spot.y < image.height):
            raise LearningError(
                f"x {spot.x:g}, y {spot.y:g} lies outside of {image.name}, which has "
                f"{image.width} x {image.height} px."
            )


def alike(pool: Pool, spots: Sequence[Spot]) -> QueryStrategy:
    """The strategy that looks for regions like those around places.

    Raises
    ------
    LearningError
        An image has no candidates: nothing on it shows tissue.
    """
    from napari_histo.learning.strategies.alike import Alike

    return Alike(_anchors(pool, spots))


def _anchors(pool: Pool, spots: Sequence[Spot]) -> NDArray[np.float32]:
    """Features of the candidate nearest to each place, looked at already or not.

    Returns
    -------
    (m, d) float32
    """
    known = (*pool.candidates, *pool.seen_candidates)
    features = np.concatenate([pool.features, pool.seen]) if len(pool.seen) else pool.features
    rows = []
    for spot in spots:
        near = [
            (_distance(c.region, spot), row) for row, c in enumerate(known) if c.image == spot.image
        ]
        if not near:
            raise LearningError(
                "The image that was pointed at shows no tissue, so nothing can be said to be like "
                "it. Point at a place in another image."
            )
        rows.append(min(near)[1])
    return np.asarray(features[rows], np.float32)


def _distance(region: Box, spot: Spot) -> float:
    """From the region's centre, px."""
    return float(
        np.hypot(region.x + region.width / 2 - spot.x, region.y + region.height / 2 - spot.y)
    )
