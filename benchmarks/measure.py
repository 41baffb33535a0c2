"""What measurements cost: a million shapes beside shapely, neighbours, cells, pixels.

    python benchmarks/measure.py [--objects N] [--cells N]

CPU seconds of this process, which a busy machine does not change much, and peak memory. Cells and
pixels are measured on noise that is full of nuclei, the worst case.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import shapely

from napari_histo.core import Contours, PixelSize
from napari_histo.ops.measure_shape import measure_shape
from napari_histo.ops.neighbours import neighbours
from napari_histo.pipeline.measure import MeasureRequest, measure
from napari_histo.slides import ArrayReader
from objects import nuclei

_SIZE = PixelSize.square(0.25)
_SOME = 20_000


def timed(what: str, n: int, work: Callable[[], Any]) -> Any:
    """Run, and print CPU seconds for a million objects."""
    started = time.process_time()
    result = work()
    seconds = (time.process_time() - started) / n * 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{what:44s} {seconds:7.0f} s a million, peak {peak:.2f} GB", flush=True)
    return result


def by_shapely(contours: Contours) -> None:
    """The same measurements but the least diameter, which shapely lacks."""
    shapes = contours.to_shapely()
    shapely.area(shapes), shapely.length(shapes), shapely.area(shapely.convex_hull(shapes))
    shapely.minimum_bounding_radius(shapes)


def finish(work: Any) -> Any:
    """The result of a generator."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--cells", type=int, default=_SOME)
    arguments = parser.parse_args()
    table = nuclei(arguments.objects)
    n, some = len(table), table.contours.take(range(min(_SOME, len(table))))
    timed("shapes", n, lambda: measure_shape(table.contours, _SIZE))
    timed(f"shapes by shapely ({len(some):,} objects)", len(some), lambda: by_shapely(some))
    timed("nearest, and within 50 µm", n, lambda: neighbours(table.centroids, _SIZE, 50))
    table = nuclei(arguments.cells)
    width, height = table.contours.bounds[:, 2:].max(axis=0).astype(int).tolist()
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    reader = ArrayReader(pixels, name="noise", is_rgb=True, pixel_size=_SIZE)
    m = len(table)
    without = {"neighbours": False, "intensity": False}
    grow = MeasureRequest(expand_um=5, **without)
    cells = timed(
        "nuclei grown into cells, and their shapes", m, lambda: finish(measure(reader, table, grow))
    ).table
    stains = MeasureRequest(neighbours=False)
    timed(
        "shapes and 2 stains x 4 compartments x 5",
        m,
        lambda: finish(measure(reader, cells, stains)),
    )


if __name__ == "__main__":
    main()
