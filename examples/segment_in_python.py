"""Segment an image from Python and look at the result as a GeoDataFrame.

python examples/segment_in_python.py IMAGE [PIXEL_SIZE_UM]
"""

from __future__ import annotations

import sys

from napari_histo.core import PixelSize
from napari_histo.models import load_model
from napari_histo.pipeline import SegmentRequest, segment
from napari_histo.slides import open_slide
from napari_histo.store import save_objects


def main(path: str, pixel_size_um: str | None = None) -> None:
    """Find nuclei, print a summary, and write GeoJSON beside the image."""
    size = PixelSize.square(float(pixel_size_um)) if pixel_size_um else None
    model = load_model("he-nuclei")
    with open_slide(path) as slide:
        work = segment(slide, model, SegmentRequest(pixel_size=size))
        try:
            while True:
                step = next(work)  # long work is a generator: show it, or stop asking to stop it
                print(f"\r{step.message}: {step.done} of {step.total} tiles", end="")
        except StopIteration as end:
            result = end.value
    frame = result.table.to_geopandas()
    print(f"\n{len(frame)} nuclei, median area {frame.area.median():.0f} px²")
    save_objects(f"{path}.geojson", result.table)


if __name__ == "__main__":
    main(*sys.argv[1:])
