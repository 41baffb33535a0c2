"""What a round keeps of all that was annotated: each region once, and none that is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from napari_histo.core.rounds import CollectedRegion, QueriedRegion, QueryStatus
from napari_histo.learning.project.facts import ProjectImage
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.rounds.labels import KeptRegion
from napari_histo.learning.rounds.work import Gathered

__all__ = ["Harvest", "skipped_in"]


class Harvest:
    """Regions to keep, each once, how their objects came about, and what to look at."""

    def __init__(self, project: LearningProject, number: int, annotator: str) -> None:
        self._project, self._number, self._annotator = project, number, annotator
        before = [row for r in project.kept_rounds for row in r.label_rows]
        self._known = {row["id"] for row in before}
        self._known |= {kept.region_id for kept in project.start_labels()}
        self.kept: dict[str, KeptRegion] = {}
        self.remarks: list[str] = []
        self.origins: Counter[str] = Counter()

    def take(self, place: Gathered) -> None:
        """Take in done regions that no earlier round has."""
        for key, examples in place.examples.items():
            image = self._project.facts.image(key)
            for example in examples:
                if str(example.query.region_id) not in self._known:
                    self._take(example, image)

    def _take(self, example: CollectedRegion, image: ProjectImage) -> None:
        name = str(example.query.region_id)
        if name in self.kept:
            self.remarks.append(f"Region {name} is done in two places; the first was taken.")
            return
        if example.query.split not in (None, image.split):
            self.remarks.append(
                f"Region {name} is marked for {example.query.split}, but its image {image.name} "
                f"is for {image.split}, and so is the region."
            )
        labels = example.labelled(image.id)
        who = labels.annotator or self._annotator
        ignored = labels.ignored.take(labels.ignored.areas_px > 0)
        labels = replace(labels, ignored=ignored, annotator=who, round=self._number)
        self.kept[name] = KeptRegion(name, image.split, labels)
        self.remarks += _remarks(example)
        self.origins.update(example.counts)


def _remarks(example: CollectedRegion) -> list[str]:
    name = example.query.name or f"Region {example.query.region_id}"
    found = []
    if not example.is_owned.any():
        found.append(f"{name} is done and holds no object: all of it counts as background.")
    if example.n_loose_points:
        found.append(f"{name}: {example.n_loose_points} points lie in no object.")
    return found


def skipped_in(places: Sequence[Gathered]) -> list[str]:
    regions: list[QueriedRegion] = [r for place in places for r in place.regions]
    return sorted({str(r.region_id) for r in regions if r.status == QueryStatus.SKIPPED})
