"""From proposals that were chosen to objects on the image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import ObjectTable, Proposals, Segmenter
from napari_histo.ops.clip import clip_contours
from napari_histo.pipeline.frame import Frame

__all__ = ["draw"]


def draw(
    model: Segmenter, frame: Frame, proposals: Proposals, ids: NDArray[np.uint8]
) -> ObjectTable:
    """Objects in full-resolution px, clipped to the image, the likeliest last.

    Where outlines overlap, the last one covers the others in a label image.

    Parameters
    ----------
    model : Segmenter
        Its `draw` is used, not the network.
    frame : Frame
    proposals : Proposals
        In model px.
    ids : (n, 16) uint8
    """
    x, y = proposals.points.T
    order = np.lexsort((x, y, proposals.prob))
    proposals, ids = proposals.take(order), ids[order]
    table = model.draw(proposals).transform(frame.scale, (0.0, 0.0))
    contours = clip_contours(table.contours, frame.reader.info.box)
    return table.with_columns(object_id=ids, contours=contours)
