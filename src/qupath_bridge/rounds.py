# SPDX-License-Identifier: GPL-3.0-or-later
"""Rounds of active learning in a project: what is asked for goes in, what was done comes out.

Works with every :class:`napari_histo.core.bridge.ProjectBridge`: QuPath itself, a folder of
exchanged files, or a project in memory.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import numpy as np

from napari_histo.core import (
    CancelToken,
    CollectedRegion,
    ObjectTable,
    Progress,
    QueriedRegion,
    RoundFacts,
    collect_regions,
    region_facts,
    regions_in,
)
from napari_histo.core.bridge import ImageEntry, ProjectBridge
from napari_histo.errors import Cancelled
from qupath_bridge._align import is_in
from qupath_bridge._publish import PublishPlan, plan_publish
from qupath_bridge._sync_bridge import SyncBridge

__all__ = ["Collected", "Published", "collecting", "publishing"]


@dataclass(frozen=True, eq=False)
class Published:
    """What publishing did, or would do, to one image.

    Attributes
    ----------
    image : ImageEntry
    plan : PublishPlan
    facts : RoundFacts
        Of the image with the plan carried out.
    """

    image: ImageEntry
    plan: PublishPlan
    facts: RoundFacts


@dataclass(frozen=True, eq=False)
class Collected:
    """Regions of one image, and what the done ones teach."""

    image: ImageEntry
    regions: Sequence[QueriedRegion] = ()
    examples: Sequence[CollectedRegion] = field(default_factory=tuple)

    @property
    def facts(self) -> RoundFacts:
        """How far the image has come."""
        n_objects = sum(int(e.is_owned.sum()) for e in self.examples)
        return region_facts(self.regions, n_objects)

    @property
    def remarks(self) -> list[str]:
        """What somebody should look at, one sentence each."""
        return [text for e in self.examples for text in _remarks(e)] + _overlaps(self.examples)


def publishing(
    bridge: ProjectBridge,
    regions: Iterable[QueriedRegion],
    predictions: Mapping[str, ObjectTable] | None = None,
    *,
    model: str = "",
    dry_run: bool = False,
    cancel: CancelToken | None = None,
) -> Generator[Progress, None, list[Published]]:
    """Put regions and the predictions inside them into a project; see `plan_publish`.

    Parameters
    ----------
    bridge : ProjectBridge
    regions : iterable of QueriedRegion
        Of any images of the project.
    predictions : mapping of str to ObjectTable, optional
        By the image's id, in full-resolution px.
    model : str
        Who predicted; by default what the objects say themselves.
    dry_run : bool
        Only say what would be done.
    cancel : CancelToken, optional
        Looked at between images, and within them where the bridge does.

    Raises
    ------
    HistoError
        As of the bridge; images before the one concerned are done.
    """
    groups: dict[str, list[QueriedRegion]] = {}
    for region in regions:
        groups.setdefault(region.image.entry_id, []).append(region)
    done = []
    for i, (key, group) in enumerate(groups.items()):
        image = group[0].image
        yield from _step(i, len(groups), image, cancel)
        before = bridge.facts(image) if _has_steps(bridge) else None
        current = yield from _reading(bridge, image, cancel)
        plan = plan_publish(current, group, (predictions or {}).get(key), model=model)
        if not dry_run:
            yield from _writing(bridge, image, plan.upserts, before, cancel)
        done.append(Published(image, plan, _facts_with(image, current, plan)))
    return done


def collecting(
    bridge: ProjectBridge,
    images: Sequence[ImageEntry] | None = None,
    cancel: CancelToken | None = None,
) -> Generator[Progress, None, list[Collected]]:
    """Read regions and what was done in them; images without a region are left out.

    Parameters
    ----------
    bridge : ProjectBridge
    images : sequence of ImageEntry, optional
        All of the project by default.
    cancel : CancelToken, optional

    Raises
    ------
    HistoError
        As of the bridge.
    """
    entries = list(bridge.images() if images is None else images)
    found = []
    for i, image in enumerate(entries):
        yield from _step(i, len(entries), image, cancel)
        table = yield from _reading(bridge, image, cancel)
        regions = regions_in(image, table)
        if regions:
            found.append(Collected(image, regions, collect_regions(image, table, regions)))
    return found


# -- one image -----------------------------------------------------------------------------------


def _step(
    i: int, n: int, image: ImageEntry, cancel: CancelToken | None
) -> Generator[Progress, None, None]:
    if cancel is not None and cancel.is_cancelled:
        raise Cancelled(f"Cancelled before {image.name!r}; what was done before stays.")
    yield Progress(i, n, image.name)


def _reading(
    bridge: ProjectBridge, image: ImageEntry, cancel: CancelToken | None
) -> Generator[Progress, None, ObjectTable]:
    if _has_steps(bridge):
        return (yield from bridge.reading(image, cancel))
    return bridge.read_objects(image)


def _writing(
    bridge: ProjectBridge,
    image: ImageEntry,
    upserts: ObjectTable,
    before: Any,
    cancel: CancelToken | None,
) -> Generator[Progress, None, None]:
    """Refused where QuPath saved the image since it was read: the plan may not fit any more."""
    if not len(upserts):
        return
    if _has_steps(bridge):
        nothing = np.zeros((0, 16), np.uint8)
        yield from bridge.pushing(image, upserts, nothing, expected=before, cancel=cancel)
    else:
        bridge.write_objects(image, upserts, "merge")


def _has_steps(bridge: object) -> TypeGuard[SyncBridge]:
    """Whether a bridge tells its progress and refuses to write over what it has not read."""
    return all(hasattr(bridge, name) for name in ("facts", "reading", "pushing"))


def _facts_with(image: ImageEntry, current: ObjectTable, plan: PublishPlan) -> RoundFacts:
    kept = ~is_in(current.object_id, plan.upserts.object_id)
    table = ObjectTable.concat([current.select(kept), plan.upserts])
    return Collected(image, regions_in(image, table), collect_regions(image, table)).facts


# -- remarks -------------------------------------------------------------------------------------


def _remarks(example: CollectedRegion) -> list[str]:
    name = _name(example.query)
    found = []
    if not example.is_owned.any():
        found.append(
            f"{name} is done and holds no object: to a model that finds objects, all of it will "
            "be background."
        )
    if example.n_loose_points:
        found.append(
            f"{name}: {example.n_loose_points} points lie in no object. An object needs an "
            "outline; a point alone teaches nothing."
        )
    return found


def _name(region: QueriedRegion) -> str:
    return region.name or f"The region at x {region.box.x}, y {region.box.y}"


def _overlaps(examples: Sequence[CollectedRegion]) -> list[str]:
    """Pixels that both train and validate make the validation worthless."""
    sides = [
        [e.query for e in examples if e.query.split == split] for split in ("train", "validation")
    ]
    return [
        f"{_name(one)} (training) and {_name(other)} (validation) overlap: what is learnt in the "
        "first is no test in the second."
        for one in sides[0]
        for other in sides[1]
        if one.outline.intersection(other.outline).area > 0
    ]
