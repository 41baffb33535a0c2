"""Memory of a run on N x N tiles: ``python memory_child.py SLIDE FOLDER N`` prints MB."""

import sys
from pathlib import Path

from napari_histo.core import Box
from napari_histo.models import load_model
from napari_histo.pipeline import RunRequest, SegmentRequest, segment_slide, slide_run
from napari_histo.slides import open_slide

TILE_PX = 512
path, folder, n = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
own_mb = []


def memory_mb(word: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(word))


def rehearse(*arguments: object) -> None:
    before(*arguments)
    own_mb.append(memory_mb("VmRSS"))


before, slide_run.rehearse = slide_run.rehearse, rehearse
middle = SegmentRequest(Box(TILE_PX, TILE_PX, n * TILE_PX, n * TILE_PX), tile_px=TILE_PX, seed=1)
with open_slide(path) as reader:
    for _ in segment_slide(reader, load_model("he-nuclei"), folder, RunRequest(middle)):
        pass
print(memory_mb("VmHWM") - own_mb[0])
