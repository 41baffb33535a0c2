"""A drawn slide in three grids of tiles: is every nucleus there, once, and the same in all three?

    python benchmarks/grids.py [--side PX] [--tiles PX PX PX] [--folder DIR]

40,000 x 40,000 px take half an hour to an hour on two cores. With `--folder` the runs are kept, and
the same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from napari_histo.core import ObjectTable
from napari_histo.models import load_model
from napari_histo.pipeline import RunRequest, SegmentRequest, segment_slide
from napari_histo.pipeline.tissue import find_tissue
from napari_histo.slides import open_slide
from napari_histo.store import load_objects
from napari_histo.testing.synthetic import write_slide

#: Of what is found and what is true, full-resolution px.
_NEAR_PX = 6


def segmented(path: Path, run: Path, tile_px: int, model_name: str) -> tuple[ObjectTable, int]:
    """Objects and the number of tiles."""
    with open_slide(path) as reader:
        request = RunRequest(
            SegmentRequest(tile_px=tile_px, seed=1), find_tissue(reader), resume=run.exists()
        )
        work = segment_slide(reader, load_model(model_name), run, request)
        try:
            while True:
                next(work)
        except StopIteration as done:
            return load_objects(done.value.objects), done.value.n_tiles


def compare(side: int, tiles: list[int], folder: Path, model: str) -> None:
    """Print a line for each grid."""
    slide = write_slide(folder / "slide.ome.tif", side, side, seed=4, tissue=0.12)
    truth = slide.nuclei.centroids
    print("| tile [px] | tiles | nuclei | found | missed | double | same outlines | peak [MB] |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    first: ObjectTable | None = None
    for tile_px in tiles:
        found, n = segmented(slide.path, folder / f"run{tile_px}", tile_px, model)
        distance, which = cKDTree(found.centroids).query(truth)
        hit = which[distance < _NEAR_PX]
        double = len(hit) - len(np.unique(hit))
        first = found if first is None else first
        same = same_outlines(first, found)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        numbers = f"{len(truth):,} | {len(found):,} | {len(truth) - len(hit)} | {double}"
        print(f"| {tile_px} | {n} | {numbers} | {same:,} | {peak:.0f} |", flush=True)


def same_outlines(a: ObjectTable, b: ObjectTable) -> int:
    """Objects of `a` that `b` has with the same centre and area to the last digit."""
    distance, which = cKDTree(b.centroids).query(a.centroids)
    return int(((distance == 0) & (b.areas_px[which] == a.areas_px)).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=40_000)
    parser.add_argument("--tiles", type=int, nargs="+", default=[1024, 1400, 700])
    parser.add_argument("--model", default="he-nuclei")
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        folder = args.folder or Path(work)
        folder.mkdir(parents=True, exist_ok=True)
        compare(args.side, args.tiles, folder, args.model)


if __name__ == "__main__":
    main()
