"""From a slide to objects: a generator over tiles that anyone may drive."""

from __future__ import annotations

from napari_histo.pipeline.segment import Segmentation, SegmentRequest, segment

__all__ = ["SegmentRequest", "Segmentation", "segment"]
