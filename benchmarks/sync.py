"""What a sync of many objects costs: a three-way merge, in seconds and memory.

    python benchmarks/sync.py [--objects N] [--share S]

Outlines of 32 vertices with a class and two measurements. On each side a share of them was changed,
a tenth of that deleted and as many added; their side went through a file: coordinates rounded,
rows in another order, rings that begin at another vertex.
"""

from __future__ import annotations

import argparse
import resource
import time
from typing import Any

import numpy as np

from objects import nuclei


def measured(n: int) -> Any:
    """A table as a whole-slide run leaves it."""
    rng = np.random.default_rng(1)
    values = {"Area µm^2": rng.uniform(20, 90, n), "Hematoxylin: Mean": rng.random(n)}
    return nuclei(n).with_columns(measurements=values)


def edited(table: Any, share: float, seed: int) -> Any:
    """A share of the objects moved or relabelled, a tenth of it deleted, and as many new."""
    from napari_histo.core import ObjectTable, new_ids

    rng = np.random.default_rng(seed)
    n, rows = len(table), rng.permutation(len(table))
    k = int(n * share / 2)
    class_id, xy = table.class_id.copy(), table.contours.xy.copy()
    class_id[rows[:k]] = rng.integers(-1, 4, k)
    xy.reshape(n, -1, 2)[rows[k : 2 * k]] += 1.5
    table = table.with_columns(class_id=class_id, contours=_with(table.contours, xy))
    gone = rows[: k // 5]
    kept = np.ones(n, bool)
    kept[gone] = False
    fresh = table.select(gone).with_columns(object_id=new_ids(len(gone), rng))
    return ObjectTable.concat([table.select(kept), fresh])


def through_a_file(table: Any) -> Any:
    """Rounded, turned, and in another order."""
    rings = table.contours.xy.reshape(len(table), -1, 2)
    open_ = np.roll(np.round(rings[:, :-1], 2), 5, axis=1)[:, ::-1]
    xy = np.concatenate([open_, open_[:, :1]], axis=1).reshape(-1, 2)
    order = np.random.default_rng(3).permutation(len(table))
    return table.with_columns(contours=_with(table.contours, xy)).select(order)


def _with(contours: Any, xy: Any) -> Any:
    from dataclasses import replace

    return replace(contours, xy=np.ascontiguousarray(xy, np.float32))


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    from qupath_bridge.sync import dry_run_table, merge

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--share", type=float, default=0.01)
    options = parser.parse_args()
    base = measured(options.objects)
    ours = edited(base, options.share, 10)
    theirs = through_a_file(edited(base, options.share, 20))
    before = peak_mb()
    tables_mb = sum(t.nbytes for t in (base, ours, theirs)) / 2**20
    start = time.perf_counter()
    done = merge(base, ours, theirs, "copy")
    merged_s = time.perf_counter() - start
    start = time.perf_counter()
    theirs_now = done.to_theirs.apply(theirs)
    applied_s = time.perf_counter() - start
    print(dry_run_table(done))
    print(f"{options.objects:,} objects, {options.share:.0%} changed on each side")
    print(f"merge            {merged_s:8.2f} s")
    print(f"apply to theirs  {applied_s:8.2f} s  ({len(theirs_now):,} objects)")
    print(f"three tables     {tables_mb:8.0f} MB")
    print(f"peak             {peak_mb():8.0f} MB  (before the merge {before:.0f} MB)")


if __name__ == "__main__":
    main()
