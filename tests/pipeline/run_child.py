"""A whole-slide run in a process of its own, to be killed: ``python run_child.py FOLDER [CALLS]``.

After so many calls of the network it stands still, and can be killed long before its end however
late the kill comes.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from napari_histo.core import PixelSize
from napari_histo.pipeline import RunRequest, SegmentRequest, segment_slide
from napari_histo.slides import ArrayReader
from support.lattice import LatticeSegmenter

SECONDS_A_BATCH = 0.02
THE_END_S = 3600.0


class Slow(LatticeSegmenter):
    """As slow as a network, so that a kill finds it at work."""

    def __init__(self, most_calls: int | None) -> None:
        super().__init__()
        self._most_calls = most_calls

    def propose(self, images, min_prob):
        time.sleep(THE_END_S if self.calls == self._most_calls else SECONDS_A_BATCH)
        return super().propose(images, min_prob)


def run(folder: Path, most_calls: int | None = None) -> None:
    """Start the run, or go on with it; a line for each step."""
    pixels = np.random.default_rng(1).integers(0, 4000, (400, 410, 1)).astype(np.uint16)
    reader = ArrayReader(pixels, name="noise", pixel_size=PixelSize.square(0.5), is_rgb=False)
    request = RunRequest(SegmentRequest(tile_px=32, seed=7), resume=(folder / "run.json").exists())
    for step in segment_slide(reader, Slow(most_calls), folder, request):
        print(step.done, flush=True)
    print("done", flush=True)


if __name__ == "__main__":
    run(Path(sys.argv[1]), *map(int, sys.argv[2:]))
