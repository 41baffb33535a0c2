"""How long it takes to match nuclei and cells: ``python benchmarks/cells.py [N …]``.

Stars of 32 vertices on a lattice, moved at random, so that about two nuclei in three reach beyond
their cell and many meet two or three. Prints a line for each number of nuclei (by default 20,000
and 200,000), with as many cells.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from napari_histo.core import ClassScheme, Contours, ObjectTable, result_of
from napari_histo.pipeline.cells import join_cells

_STEP_PX, _JITTER_PX, _VERTICES = 30.0, 3.0, 32


def main() -> None:
    """Make, join, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("numbers", nargs="*", type=int, default=[20_000, 200_000])
    for n in parser.parse_args().numbers:
        rng = np.random.default_rng(0)
        nuclei = stars(n, 8.0, "Nucleus", rng)
        cells = stars(n, 15.0, "Cell", rng)
        start = time.perf_counter()
        found = result_of(join_cells(nuclei, cells))
        seconds = time.perf_counter() - start
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(
            f"{n:,} nuclei and cells: {found.n_pairs:,} pairs in {seconds:.1f} s, peak {memory} MB"
        )


def stars(n: int, radius: float, name: str, rng: np.random.Generator) -> ObjectTable:
    """Objects around the points of a lattice."""
    side = int(np.ceil(np.sqrt(n)))
    lattice = np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1).reshape(-1, 2)[:n]
    centres = 50 + _STEP_PX * lattice + rng.normal(0, _JITTER_PX, (n, 2))
    angles = np.linspace(0, 2 * np.pi, _VERTICES, endpoint=False)
    rays = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    radii = radius * rng.uniform(0.8, 1.2, (n, _VERTICES))
    xy = centres[:, None] + radii[..., None] * rays
    return ObjectTable.build(Contours.from_star(xy), classes=ClassScheme.of(name))


if __name__ == "__main__":
    main()
