"""Tiles that disagree are decided together."""

from __future__ import annotations

import numpy as np

from napari_histo.core import Box, Proposals, Thresholds, TileGrid
from napari_histo.pipeline.seams import choose
from support.lattice import LatticeSegmenter


def chain(n, *, step=2.0, radius=4.0):
    """Proposals in a row, each less likely than the one before: verdicts run along the chain."""
    points = np.stack([np.arange(n) * step, np.full(n, 8.0)], axis=1).astype(np.float32)
    prob = np.linspace(0.99, 0.6, n).astype(np.float32)
    return Proposals(points, prob, {"dist": np.full((n, 8), radius, np.float32)})


def test_a_chain_across_many_tiles_is_decided_as_a_whole():
    model, thresholds, proposals = LatticeSegmenter(), Thresholds(0.5, 0.3), chain(120)
    whole = model.select(proposals, thresholds)
    box = Box(0, 0, 240, 16)
    grid = TileGrid(box, box, tile_px=16)
    owner = grid.owner_of(proposals.points)
    rows_of = [np.flatnonzero(owner == i) for i in range(len(grid))]
    kept = choose(grid, [proposals.take(r) for r in rows_of], model, thresholds)
    merged = np.sort(np.concatenate([r[k] for r, k in zip(rows_of, kept, strict=True)]))
    assert merged.tolist() == whole.tolist()


def test_the_chain_makes_lone_tiles_err():
    """Without the neighbours' verdicts the answer would differ: the test above can fail."""
    model, thresholds, proposals = LatticeSegmenter(), Thresholds(0.5, 0.3), chain(120)
    whole = model.select(proposals, thresholds)
    halves = [np.arange(0, 8), np.arange(8, 120)]
    alone = np.concatenate([r[model.select(proposals.take(r), thresholds)] for r in halves])
    assert sorted(alone) != whole.tolist()


def test_no_proposals_at_all():
    box = Box(0, 0, 64, 64)
    grid = TileGrid(box, box, tile_px=16)
    empty = chain(0)
    kept = choose(grid, [empty] * len(grid), LatticeSegmenter(), Thresholds())
    assert [len(k) for k in kept] == [0] * 16
