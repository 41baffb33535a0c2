"""One truth from several annotators of a region, object by object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, ClassScheme, Contours, ObjectState, ObjectTable, ObjectType
from napari_histo.errors import LearningError
from napari_histo.ops.metrics import Agreement, compare_labels
from napari_histo.store.labels import draw, labels_to_table, rasterise

__all__ = ["AGREEMENT", "Consensus", "Method", "merge_annotators"]

Method = Literal["majority", "staple"]

#: Measurement of a merged object: share of the annotators who outlined it.
AGREEMENT = "Annotator agreement"
_STEPS, _SURE = 50, 1e-4


@dataclass(frozen=True, eq=False)
class Consensus:
    """What several annotators agree on.

    Attributes
    ----------
    objects : ObjectTable
        Merged outlines, full-resolution px; `AGREEMENT` is among their measurements.
    disputed : (k,) int64
        Rows of `objects` that not all outlined or classified alike, the most disputed first.
    left_out : ObjectTable
        Outlines that too few had, for a second look.
    between : mapping of (str, str) to Agreement
        Each two annotators held against each other.
    kappa : float
        Mean Cohen's kappa of the classes of objects that both outlined and classified; NaN with
        one class.
    """

    objects: ObjectTable
    disputed: NDArray[np.int64]
    left_out: ObjectTable
    between: dict[tuple[str, str], Agreement]
    kappa: float

    @property
    def mean_pq(self) -> float:
        """Mean panoptic quality over all pairs of annotators; NaN where nobody outlined any."""
        known = [a.pq for a in self.between.values() if not np.isnan(a.pq)]
        return float(np.mean(known)) if known else float("nan")


def merge_annotators(
    annotations: Mapping[str, ObjectTable],
    region: Box,
    *,
    method: Method = "majority",
    quorum: float = 0.5,
) -> Consensus:
    """Merge the outlines of a region.

    Objects of two annotators are one where they share more than half of their union. A merged
    outline is where most of those who outlined it agree ("majority"; with an even split, where
    their mean distance to the edge lies inside, as in Rohlfing and Maurer, IEEE TITB 2007), or
    where it is likely by each annotator's estimated reliability ("staple"; Warfield, Zou and Wells,
    IEEE TMI 2004).

    Parameters
    ----------
    annotations : mapping of str to ObjectTable
        By annotator, two or more.
    region : Box
        Full-resolution px.
    quorum : float
        Least share of the annotators who must have outlined an object.

    Raises
    ------
    LearningError
        There are fewer than two annotators.
    """
    if len(annotations) < 2:
        raise LearningError(
            f"A consensus needs two annotators or more; the region has {len(annotations)}. Ask "
            "another person to annotate it."
        )
    classes = ClassScheme().union(c for t in annotations.values() for c in t.classes)
    drawn = [_Drawn.of(t, region) for t in annotations.values()]
    groups = _groups(drawn)
    groups.sort(key=lambda g: min(g.items()))
    kept = _agreed(drawn, groups, quorum)
    few = [g for g in groups if g not in kept]
    objects = _merged(drawn, kept, classes, region, method)
    names = list(annotations)
    between = {
        (names[i], names[j]): compare_labels(drawn[i].labels, drawn[j].labels)
        for i, j in combinations(range(len(drawn)), 2)
    }
    return Consensus(
        objects,
        _disputed(drawn, kept),
        _merged(drawn, few, classes, region, method),
        between,
        _kappa(drawn, groups),
    )


@dataclass(frozen=True, eq=False)
class _Drawn:
    """One annotator's objects: `labels` (h, w) hold rows + 1, `places` where each row lies."""

    table: ObjectTable
    labels: NDArray[np.uint32]
    places: list[tuple[slice, slice] | None]

    @classmethod
    def of(cls, table: ObjectTable, region: Box) -> _Drawn:
        from scipy.ndimage import find_objects

        labels = rasterise(table, region)
        return cls(table, labels, find_objects(labels.astype(np.int32)))


#: Row of an object by the number of its annotator.
_Group = dict[int, int]


def _groups(drawn: Sequence[_Drawn]) -> list[_Group]:
    """Objects that are the same; the surest matches are joined first, one object an annotator."""
    home = {
        (i, row): {i: row}
        for i, one in enumerate(drawn)
        for row, place in enumerate(one.places)
        if place is not None
    }
    matches = sorted(
        (match for i, j in combinations(range(len(drawn)), 2) for match in _matches(drawn, i, j)),
        key=lambda match: (-match[0], match[1:]),
    )
    for _, one, other in matches:
        a, b = home[one], home[other]
        if not a.keys() & b.keys():
            a |= b
            for member in b.items():
                home[member] = a
    return [group for member, group in home.items() if min(group.items()) == member]


def _agreed(drawn: Sequence[_Drawn], groups: Sequence[_Group], quorum: float) -> list[_Group]:
    """Groups that enough annotators outlined, without those that a surer one covers by half."""
    enough = [g for g in groups if len(g) / len(drawn) >= quorum]
    place: tuple[slice, slice] | None
    taken = np.zeros(drawn[0].labels.shape, bool)
    agreed: list[_Group] = []
    for group in sorted(enough, key=lambda g: -len(g)):
        first = min(group)
        place = drawn[first].places[group[first]]
        own = drawn[first].labels[place] == group[first] + 1
        if 2 * np.count_nonzero(taken[place] & own) <= np.count_nonzero(own):
            agreed.append(group)
            for i, row in group.items():
                place = drawn[i].places[row]
                taken[place] |= drawn[i].labels[place] == row + 1
    return [g for g in groups if g in agreed]


def _matches(
    drawn: Sequence[_Drawn], i: int, j: int
) -> list[tuple[float, tuple[int, int], tuple[int, int]]]:
    """(IoU, object of i, object of j) of the pairs that share more than half of their union."""
    a, b = drawn[i].labels, drawn[j].labels
    pairs, common = np.unique(
        np.stack([a[(a > 0) & (b > 0)], b[(a > 0) & (b > 0)]]), axis=1, return_counts=True
    )
    sizes_a, sizes_b = np.bincount(a.ravel()), np.bincount(b.ravel())
    iou = common / (sizes_a[pairs[0]] + sizes_b[pairs[1]] - common)
    return [
        (float(v), (i, int(p) - 1), (j, int(q) - 1))
        for v, p, q in zip(iou, *pairs, strict=True)
        if v > 0.5
    ]


def _merged(
    drawn: Sequence[_Drawn],
    groups: Sequence[_Group],
    classes: ClassScheme,
    region: Box,
    method: Method,
) -> ObjectTable:
    outlines = [_outline(drawn, group, region, method) for group in groups]
    class_id = [classes.index(_class_of(drawn, group)) for group in groups]
    return ObjectTable.build(
        Contours.concat(outlines) if outlines else Contours.empty(),
        class_id=np.array(class_id, np.int32),
        classes=classes,
        state=ObjectState.DRAWN,
        object_type=ObjectType.ANNOTATION,
        source="consensus",
        measurements={AGREEMENT: np.array([len(g) / len(drawn) for g in groups], np.float64)},
    )


def _outline(drawn: Sequence[_Drawn], group: _Group, region: Box, method: Method) -> Contours:
    """The merged outline, one row."""
    bounds = np.stack([drawn[i].table.contours.bounds[row] for i, row in group.items()])
    left, top = np.floor(bounds[:, :2].min(axis=0)).astype(int) - 2
    right, bottom = np.ceil(bounds[:, 2:].max(axis=0)).astype(int) + 2
    box = Box.from_edges(left, top, right, bottom)
    one = np.ones(1, np.uint8)
    votes = np.stack(
        [draw(drawn[i].table.contours.take([row]), one, box, 1) > 0 for i, row in group.items()]
    )
    if (votes == votes[0]).all():
        # The outline as it was drawn is finer than any that is made from pixels.
        return drawn[min(group)].table.contours.take([group[min(group)]])
    mask = _staple(votes) if method == "staple" and len(votes) > 1 else _majority(votes)
    found = labels_to_table(_largest(mask), offset=(box.x, box.y)).contours
    return found if len(found) else drawn[min(group)].table.contours.take([group[min(group)]])


def _majority(votes: NDArray[np.bool_]) -> NDArray[np.bool_]:
    from scipy.ndimage import distance_transform_edt as distance

    n = votes.sum(axis=0)
    most: NDArray[np.bool_] = 2 * n > len(votes)
    split = 2 * n == len(votes)
    if split.any():
        inside = np.mean([distance(v) - distance(~v) for v in votes], axis=0) > 0
        most |= split & inside
    return most


def _staple(votes: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Expectation maximisation of sensitivity p, specificity q and the hidden truth w."""
    said = votes.reshape(len(votes), -1)
    prior = said.mean()
    p, q = np.full(len(said), 0.99), np.full(len(said), 0.99)
    truth = said.mean(axis=0)
    for _ in range(_STEPS):
        yes = prior * np.prod(np.where(said, p[:, None], 1 - p[:, None]), axis=0)
        no = (1 - prior) * np.prod(np.where(said, 1 - q[:, None], q[:, None]), axis=0)
        new = yes / np.maximum(yes + no, 1e-12)
        moved, truth = np.abs(new - truth).max(), new
        # Kept off 0 and 1, where a rater could never be outvoted again.
        p = np.clip((said * truth).sum(1) / max(truth.sum(), 1e-12), 0.01, 0.99)
        q = np.clip((~said * (1 - truth)).sum(1) / max((1 - truth).sum(), 1e-12), 0.01, 0.99)
        if moved < _SURE:
            break
    likely: NDArray[np.bool_] = (truth > 0.5).reshape(votes.shape[1:])
    return likely


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The largest connected piece, filled."""
    from scipy.ndimage import binary_fill_holes, label

    pieces, n = label(mask)
    if n > 1:
        mask = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    return np.asarray(binary_fill_holes(mask), np.uint8)


def _class_of(drawn: Sequence[_Drawn], group: _Group) -> str | None:
    """What most called it; None where nobody did, or as many called it something else."""
    votes = Counter(_names(drawn, group)).most_common(2)
    tied = len(votes) == 2 and votes[0][1] == votes[1][1]
    return None if tied or not votes else votes[0][0]


def _names(drawn: Sequence[_Drawn], group: _Group) -> list[str]:
    """Classes that were given; one who gave none does not contradict."""
    names = [drawn[i].table.class_names[row] for i, row in group.items()]
    return [name for name in names if name is not None]


def _disputed(drawn: Sequence[_Drawn], groups: Sequence[_Group]) -> NDArray[np.int64]:
    def alike(group: _Group) -> float:
        names = _names(drawn, group)
        against = len(names) - max(Counter(names).values(), default=0)
        return (len(group) - against) / len(drawn)

    shares = np.array([alike(g) for g in groups])
    order = np.argsort(shares, kind="stable")
    return order[shares[order] < 1].astype(np.int64)


def _kappa(drawn: Sequence[_Drawn], groups: Sequence[_Group]) -> float:
    from sklearn.metrics import cohen_kappa_score

    found = []
    for i, j in combinations(range(len(drawn)), 2):
        both = [_names(drawn, {k: g[k] for k in (i, j)}) for g in groups if i in g and j in g]
        one, other = ([names[k] for names in both if len(names) == 2] for k in (0, 1))
        if len({*one, *other}) > 1:
            found.append(float(cohen_kappa_score(one, other)))
    return float(np.mean(found)) if found else float("nan")
