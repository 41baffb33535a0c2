"""What a round keeps of all that was annotated: each region once, and none that is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from napari_histo.core.learning import LabelledRegion
from napari_histo.core.rounds import CollectedRegion, QueriedRegion, QueryStatus
from napari_histo.errors import LearningError
from napari_histo.learning.labels.consensus import Method
from napari_histo.learning.project.facts import ProjectImage
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.rounds.labels import KeptRegion
from napari_histo.learning.rounds.several import Merging, merge_labels, merge_painted, told
from napari_histo.learning.rounds.work import Gathered
from napari_histo.learning.tissue.collecting import labelled_areas, origins_of

__all__ = ["Harvest", "skipped_in"]


@dataclass(frozen=True, eq=False)
class _Claim:
    """What was made of a region in one place."""

    example: CollectedRegion
    image: ProjectImage
    place: str

    @property
    def name(self) -> str:
        query = self.example.query
        return query.name or f"Region {query.region_id}"


class Harvest:
    """Regions to keep, each once, how their objects came about, and what to look at.

    Parameters
    ----------
    project : LearningProject
    number : int
        Of the round.
    annotator : str
        Of regions that do not say who annotated them.
    merging : {"majority", "staple", "first"}
        What becomes of a region that several people annotated.

    Raises
    ------
    LearningError
        Painted areas are to be merged by "staple", which knows outlines of objects alone.
    """

    def __init__(
        self,
        project: LearningProject,
        number: int,
        *,
        annotator: str = "",
        merging: Merging = "majority",
    ) -> None:
        self._project, self._number = project, number
        self._of_areas = project.facts.start.of_areas
        if self._of_areas and merging == "staple":
            raise LearningError(
                "Areas that several people painted are merged by 'majority', pixel by pixel; "
                "'staple' is for outlines of objects. Take 'majority', or 'first' for those of the "
                "first place alone."
            )
        self._annotator, self._merging = annotator, merging
        before = [row for r in project.kept_rounds for row in r.label_rows]
        self._known = {row["id"] for row in before}
        self._known |= {kept.region_id for kept in project.start_labels()}
        self._claims: dict[str, list[_Claim]] = {}
        self.remarks: list[str] = []
        self.origins: Counter[str] = Counter()

    def take(self, place: Gathered) -> None:
        """Take in done regions that no earlier round has."""
        for key, examples in place.examples.items():
            image = self._project.facts.image(key)
            for example in examples:
                name = str(example.query.region_id)
                if name not in self._known:
                    claim = _Claim(example, image, place.name)
                    self._claims.setdefault(name, []).append(claim)

    def settle(self) -> list[KeptRegion]:
        """Each region once, with the labels of all who annotated it."""
        return [self._kept(name, claims) for name, claims in self._claims.items()]

    def _kept(self, region_id: str, claims: Sequence[_Claim]) -> KeptRegion:
        claims = self._of_several(claims)
        first = claims[0]
        self._note(first)
        each = [self._labels(claim) for claim in claims]
        if len(each) == 1:
            return KeptRegion(region_id, first.image.split, each[0])
        each = _named(each, [claim.place for claim in claims])
        labels, words = self._merged(each, first.example.query.region_id)
        self.remarks.append(told(first.name, words))
        return KeptRegion(region_id, first.image.split, labels, tuple(each), words)

    def _merged(
        self, each: Sequence[LabelledRegion], region_id: UUID
    ) -> tuple[LabelledRegion, dict[str, Any]]:
        if self._of_areas:
            return merge_painted(each, region_id)
        method: Method = "staple" if self._merging == "staple" else "majority"
        return merge_labels(each, region_id, method)

    def _of_several(self, claims: Sequence[_Claim]) -> list[_Claim]:
        """The first claim, and those of other people on the same area."""
        kept = [claims[0]]
        for claim in claims[1:]:
            said = claim.example.query.annotator
            known = [k.example.query.annotator for k in kept]
            same_area = claim.example.query.box == claims[0].example.query.box
            if self._merging != "first" and same_area and not (said and said in known):
                kept.append(claim)
                continue
            why = "" if same_area else ", for its outline is another"
            self.remarks.append(f"{claim.name} is done in two places; the first was taken{why}.")
        return kept

    def _note(self, claim: _Claim) -> None:
        split, image = claim.example.query.split, claim.image
        if split not in (None, image.split):
            self.remarks.append(
                f"{claim.name} is marked for {split}, but its image {image.name} is for "
                f"{image.split}, and so is the region."
            )

    def _labels(self, claim: _Claim) -> LabelledRegion:
        labels, origins = self._told(claim)
        who = labels.annotator or self._annotator
        self.remarks += _remarks(claim, labels, of_areas=self._of_areas)
        self.origins.update(origins)
        ignored = labels.ignored.take(labels.ignored.areas_px > 0)
        return replace(labels, ignored=ignored, annotator=who, round=self._number)

    def _told(self, claim: _Claim) -> tuple[LabelledRegion, Mapping[str, int]]:
        """Labels, and how they came about."""
        if self._of_areas:
            labels = labelled_areas(claim.example, claim.image.id)
            return labels, origins_of(labels)
        return claim.example.labelled(claim.image.id), claim.example.counts


def _named(each: Sequence[LabelledRegion], places: Sequence[str]) -> list[LabelledRegion]:
    """Each under a name of its own: who it was, else the place, else a number."""
    names: list[str] = []
    for labels, place in zip(each, places, strict=True):
        wanted = (labels.annotator, place, f"annotator {len(names) + 1}")
        names.append(next(name for name in wanted if name and name not in names))
    return [replace(e, annotator=name) for e, name in zip(each, names, strict=True)]


def _remarks(claim: _Claim, labels: LabelledRegion, *, of_areas: bool) -> list[str]:
    example, found = claim.example, []
    if of_areas:
        if not len(labels.objects):
            found.append(f"{claim.name} is done and holds no area with a class: it says nothing.")
        return found
    if not example.is_owned.any():
        found.append(f"{claim.name} is done and holds no object: all of it counts as background.")
    if example.n_loose_points:
        found.append(f"{claim.name}: {example.n_loose_points} points lie in no object.")
    return found


def skipped_in(places: Sequence[Gathered]) -> list[str]:
    """Ids of regions that somebody skipped."""
    regions: list[QueriedRegion] = [r for place in places for r in place.regions]
    return sorted({str(r.region_id) for r in regions if r.status == QueryStatus.SKIPPED})
