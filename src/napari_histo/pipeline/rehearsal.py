"""A run in small, so that what it needs is there before the network's first tile."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from napari_histo.core import Box, ObjectTable, Proposals, Tile
from napari_histo.pipeline.proposing import Plan
from napari_histo.store.parquet import read_parquet, write_parquet

__all__ = ["rehearse"]


def rehearse(plan: Plan, tile: Tile, draw: Callable[[Proposals], ObjectTable]) -> None:
    """Take the smallest corner of a tile through all steps, and forget what comes of it.

    Libraries are loaded when they are first used. Those that come after the network (suppression,
    Parquet: about 100 MB) would otherwise be loaded while it is at work on the second tile, on top
    of its peak; of what is loaded before, the system knows before tile sizes are chosen by it.
    """
    side = plan.model.align_px
    corner = Box(tile.owned.x, tile.owned.y, side, side).intersect(tile.owned)
    # What fails here fails again with the first tile, where it is dealt with.
    with suppress(Exception), TemporaryDirectory() as folder:
        pixels = plan.pick.apply(plan.frame.read(corner))
        (found,) = plan.model.propose(plan.normalizer.apply(pixels)[np.newaxis], 0.0)
        plan.model.select(found, replace(plan.model.info.thresholds, prob=0.0))
        path = Path(folder) / "corner.parquet"
        write_parquet(path, draw(found))
        read_parquet(path)
