"""Segments a slide, in a process that may take little more memory than it has."""

import resource
import sys
from pathlib import Path

from napari_histo.core import Box
from napari_histo.models import load_model
from napari_histo.pipeline import RunRequest, SegmentRequest, segment_slide
from napari_histo.slides import open_slide

slide, folder, more_mb = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
model = load_model("he-nuclei", device="cpu", precision="float32")


def run(name, asked):
    with open_slide(slide) as reader:
        for _ in segment_slide(reader, model, folder / name, RunRequest(asked)):
            pass


# What is loaded late, and what is taken once, is not what the limit is for.
run("small", SegmentRequest(Box(0, 0, 200, 200), tile_px=256, seed=1))
if more_mb:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + more_mb * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
run("whole", SegmentRequest(tile_px=1024, seed=1))
