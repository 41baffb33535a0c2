"""What a round of active learning asks a person for, and what came back.

These are regions to annotate. Regions of tissue, a class for every pixel, are another thing: see
`napari_histo.core.regions`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from math import ceil, floor
from typing import TYPE_CHECKING, Literal
from uuid import UUID, uuid4

import numpy as np
from numpy.typing import NDArray

from napari_histo.core.box import Box
from napari_histo.core.bridge import ImageEntry
from napari_histo.core.contours import Contours
from napari_histo.core.learning import LabelledRegion
from napari_histo.core.objects import ObjectTable

if TYPE_CHECKING:
    from shapely import MultiPolygon, Polygon
    from shapely.geometry.base import BaseGeometry

__all__ = ["CollectedRegion", "Origin", "QueriedRegion", "QueryStatus", "RoundFacts", "Split"]

Split = Literal["train", "validation"]


class QueryStatus(StrEnum):
    """How far a queried region has come."""

    TO_ANNOTATE = "to annotate"
    DONE = "done"  #: all its objects are right: what is outlined is one, what is not is none
    SKIPPED = "skipped"


class Origin(IntEnum):
    """How an object of a done region came about."""

    DRAWN = 0  #: by a person
    CORRECTED = 1  #: drawn over a prediction, or a prediction whose outline was changed
    CLASSIFIED = 2  #: a prediction whose outline stood and whose class a person chose
    ACCEPTED = 3  #: a prediction left as it was in a region that a person declared done


@dataclass(frozen=True)
class QueriedRegion:
    """A region that somebody is asked to annotate.

    Attributes
    ----------
    region_id : UUID
        Stable for ever; in a QuPath project the id of the annotation.
    image : ImageEntry
    outline : shapely.Polygon or MultiPolygon
        (x, y) in full-resolution px.
    status : QueryStatus
    round_number : int
        From 1; 0 where no round asked for it, but a person chose it.
    rank : int
        Place in its round, 1 the most wanted; 0 without a round.
    score : float or None
        The strategy's figure behind the rank.
    reason : str
        Why, in the user's words.
    annotator : str
        Whose task it is or was; empty for anyone's.
    split : {"train", "validation"} or None
        Where the annotator decided it; None leaves it to the learning project.
    n_predictions : int
        Objects that were published with it.
    """

    region_id: UUID
    image: ImageEntry
    outline: Polygon | MultiPolygon
    status: QueryStatus = QueryStatus.TO_ANNOTATE
    round_number: int = 0
    rank: int = 0
    score: float | None = None
    reason: str = ""
    annotator: str = ""
    split: Split | None = None
    n_predictions: int = 0

    @classmethod
    def of_box(
        cls, image: ImageEntry, box: Box, *, region_id: UUID | None = None, **rest: object
    ) -> QueriedRegion:
        """A rectangle, with a fresh id where none is given; `rest` are the other attributes."""
        import shapely

        outline = shapely.box(box.x, box.y, box.right, box.bottom)
        return cls(region_id or uuid4(), image, outline, **rest)  # type: ignore[arg-type]

    @property
    def box(self) -> Box:
        """Smallest box of whole pixels around it."""
        left, top, right, bottom = self.outline.bounds
        return Box.from_edges(floor(left), floor(top), ceil(right), ceil(bottom))

    @property
    def name(self) -> str:
        """As shown to people: "Round 3, region 1"; empty without a round."""
        return f"Round {self.round_number}, region {self.rank}" if self.round_number else ""


@dataclass(frozen=True, slots=True)
class RoundFacts:
    """How far the regions of one image have come.

    Attributes
    ----------
    round_number : int
        The latest round that asked for a region here; 0 for none.
    n_to_annotate, n_done, n_skipped : int
        Regions, of all rounds.
    n_objects : int
        Objects whose centroids lie in done regions.
    """

    round_number: int
    n_to_annotate: int
    n_done: int
    n_skipped: int
    n_objects: int

    @property
    def status(self) -> str:
        """ "to annotate", "in work" or "done"; empty without regions."""
        if self.n_to_annotate:
            return "in work" if self.n_done or self.n_skipped else "to annotate"
        return "done" if self.n_done or self.n_skipped else ""


@dataclass(frozen=True, eq=False)
class CollectedRegion:
    """What a done region teaches: the loss counts inside it and outside of `ignored`.

    Attributes
    ----------
    query : QueriedRegion
        The region, its split, round and annotator.
    objects : ObjectTable
        n objects that lie in the region or reach into it, whole: a target is made from the whole
        outline, then cut to the region.
    is_owned : (n,) bool
        Whose centroid lies in the region. Only these are counted, so that an object on the edge of
        two regions is one; the others are still no background.
    origin : (n,) uint8
        `Origin` of each.
    ignored : Contours
        Areas of a class ``Ignore*``: nothing is known there, and no object is taken from there.
    areas : ObjectTable
        Outlines that hold objects or the region itself: tissue, glands.
    painted : ObjectTable
        All areas with a class that share something with the region, ``Ignore*`` among them, as
        they are: what teaches a region model.
    n_removed : int
        Predictions published with the region that are gone: no objects, said a person.
    n_loose_points : int
        Points with a class that lie in no object: centres without an outline.
    """

    query: QueriedRegion
    objects: ObjectTable
    is_owned: NDArray[np.bool_]
    origin: NDArray[np.uint8]
    ignored: Contours
    areas: ObjectTable
    painted: ObjectTable = field(default_factory=ObjectTable.empty)
    n_removed: int = 0
    n_loose_points: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """Owned objects by origin: ``{"drawn": 3, "corrected": 0, …}``."""
        found = np.bincount(self.origin[self.is_owned], minlength=len(Origin))
        return {origin.name.lower(): int(found[origin]) for origin in Origin}

    @property
    def known(self) -> BaseGeometry:
        """Where the loss counts: the region without what is ignored."""
        import shapely

        return self.query.outline - shapely.union_all(self.ignored.to_shapely())

    def labelled(self, image: str) -> LabelledRegion:
        """The same for a trainer that knows boxes: the corners around a polygon are ignored.

        Parameters
        ----------
        image : str
            Id of the image in the learning project.
        """
        import shapely

        box = self.query.box
        unknown = shapely.box(box.x, box.y, box.right, box.bottom) - self.known
        parts = shapely.get_parts(unknown)
        parts = parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON]
        return LabelledRegion(
            image=image,
            region=box,
            objects=self.objects,
            ignored=Contours.from_shapely(parts),
            annotator=self.query.annotator,
            round=self.query.round_number,
        )
