from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import shapely
from scipy import ndimage

from napari_histo.core import CancelToken, Contours, ModelInfo, Thresholds
from napari_histo.errors import Cancelled, LearningError
from napari_histo.learning.labels.quality import rank_labels
from napari_histo.learning.training import Example
from support.labelled import drive, example
from support.lattice import LatticeSegmenter

N = 20


class Blurs(LatticeSegmenter):
    """Its last layer sees the image, its blurs and their slopes."""

    info = ModelInfo("blurs", "test", 0.5, channels="rgb", thresholds=Thresholds())
    percentiles = (1.0, 99.0)

    def __init__(self) -> None:
        self.radius_px, self.calls = 4.0, 0

    def describe(self, images: np.ndarray) -> np.ndarray:
        gray = images.mean(axis=-1)
        seen = [ndimage.gaussian_filter(gray, (0, s, s)) for s in (1, 2, 4, 8)]
        seen += [ndimage.sobel(b, axis) for b in seen[1:] for axis in (1, 2)]
        return np.stack(seen, axis=-1)[:, ::2, ::2]


def damaged(good: Example, how: str) -> Example:
    """Half of the nuclei removed, moved by a radius, or merged with the next."""
    shapes = list(good.labels.objects.to_shapely())
    half = len(shapes) // 2
    if how == "removed":
        shapes = shapes[half:]
    elif how == "moved":
        moved = [shapely.affinity.translate(s, 7, -4) for s in shapes[:half]]
        shapes = moved + shapes[half:]
    else:
        pairs = zip(shapes[:half:2], shapes[1:half:2], strict=False)
        shapes = [shapely.union_all(p).convex_hull for p in pairs] + shapes[half:]
    table = good.labels.objects.select(np.arange(len(shapes)))
    table = table.with_columns(contours=Contours.from_shapely(shapes))
    return good._replace(labels=replace(good.labels, objects=table))


@pytest.mark.parametrize("how", ["removed", "moved", "merged"])
def test_damaged_regions_come_first(how: str) -> None:
    examples = [example(seed) for seed in range(N)]
    wrong = (3, 11, 16)
    for i in wrong:
        examples[i] = damaged(examples[i], how)
    ranked = drive(rank_labels(examples, Blurs(), with_model=False))[1]
    assert {s.labels.image for s in ranked[:4]} >= {f"i{i}" for i in wrong}
    assert ranked[0].score > 1
    assert ranked[0].reason
    assert len(ranked) == N


def test_the_model_s_own_answer_is_heard_too() -> None:
    ranked = drive(rank_labels([example(seed) for seed in range(6)], Blurs()))[1]
    assert all(0 <= s.disagreement <= 1 for s in ranked)


def test_the_same_seed_gives_the_same_ranking() -> None:
    examples = [example(seed) for seed in range(8)]
    one, again = (
        [s.labels.image for s in drive(rank_labels(examples, Blurs(), with_model=False, seed=4))[1]]
        for _ in range(2)
    )
    assert one == again


def test_too_few_regions_are_refused() -> None:
    with pytest.raises(LearningError, match="too few"):
        next(rank_labels([example(0)] * 5, Blurs()))


def test_it_can_be_cancelled_at_any_region() -> None:
    cancel = CancelToken()
    work = rank_labels([example(seed) for seed in range(6)], Blurs(), cancel=cancel)
    next(work)
    cancel.cancel()
    with pytest.raises(Cancelled):
        next(work)
