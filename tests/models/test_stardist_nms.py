"""StarDist's suppression in batches is StarDist's suppression."""

from __future__ import annotations

import numpy as np
import pytest
from stardist.nms import non_maximum_suppression_inds

from napari_histo.models.stardist import nms as _stardist_nms
from napari_histo.models.stardist.nms import suppress


def stars(n, seed):
    """Crowded wobbly polygons; some are equally likely."""
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 120, (n, 2)).astype(np.float32)
    points = np.unique(points, axis=0)
    dist = rng.uniform(3, 9, (len(points), 32)).astype(np.float32)
    prob = rng.integers(1, 60, len(points)).astype(np.float32) / 64
    return points, dist, prob


@pytest.mark.parametrize("overlap", [0.0, 0.15, 0.5])
@pytest.mark.parametrize("batch", [1, 7, 100, 10_000])
def test_any_batch_gives_the_package_s_answer(monkeypatch, batch, overlap):
    points, dist, prob = stars(500, seed=3)
    order = np.lexsort((points[:, 0], points[:, 1], -prob))
    stays = non_maximum_suppression_inds(
        dist[order],
        np.ascontiguousarray(points[order, ::-1]),
        scores=prob[order],
        thresh=overlap,
        verbose=False,
    )
    monkeypatch.setattr(_stardist_nms, "_BATCH", batch)
    kept = suppress(points, dist, prob, overlap)
    assert kept.tolist() == sorted(order[stays].tolist())
    assert 0 < len(kept) < len(points)


def test_nothing_to_suppress():
    points, dist, prob = stars(5, seed=0)
    assert suppress(points[:0], dist[:0], prob[:0], 0.5).tolist() == []


def test_it_runs_in_one_thread_and_gives_the_others_back(monkeypatch):
    from threadpoolctl import threadpool_info, threadpool_limits

    def openmp():
        return {p["filepath"]: p["num_threads"] for p in threadpool_info() if "omp" in p["prefix"]}

    seen = []

    def spying(*arguments, **options):
        seen.append(openmp())
        return non_maximum_suppression_inds(*arguments, **options)

    monkeypatch.setattr(_stardist_nms, "_stardist_nms", lambda: spying)
    _stardist_nms._thread_pools.cache_clear()  # torch may have come since
    with threadpool_limits(limits=2, user_api="openmp"):
        before = openmp()
        suppress(*stars(50, seed=1), 0.5)
        assert openmp() == before
    assert seen
    assert set(seen[0].values()) <= {1}
