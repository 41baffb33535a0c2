"""From a slide to objects: a generator over tiles that anyone may drive."""

from __future__ import annotations

from napari_histo.pipeline.run_request import RunRequest, SlideRun
from napari_histo.pipeline.segment import Segmentation, SegmentRequest, segment
from napari_histo.pipeline.slide_run import segment_slide

__all__ = [
    "RunRequest",
    "SegmentRequest",
    "Segmentation",
    "SlideRun",
    "segment",
    "segment_slide",
]
