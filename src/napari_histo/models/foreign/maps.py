"""Objects of networks that tell foreground from background, and perhaps borders."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from napari_histo.core import Proposals
from napari_histo.models._classical import centres
from napari_histo.models._proposing import OutlinedSegmenter, no_proposals
from napari_histo.models._watershed import means, part
from napari_histo.models.foreign.segmenter import ForeignSegmenter
from napari_histo.models.foreign.words import round_up
from napari_histo.ops.trace import trace

__all__ = ["ForeignMaps"]

#: Probability from which a pixel is of an object; that of objects is the mean of their pixels.
_INSIDE = 0.5
#: Seeds where foreground less border is above this, as the description's own examples take it.
_SEED = 0.5
_LEAST_PX = 16
#: The largest object that is whole in every tile.
_LARGEST_PX = 160
_SEED_PX, _HOLE_PX, _NECK = 4, 30, 0.88


class ForeignMaps(ForeignSegmenter, OutlinedSegmenter):
    """Pixels above one half, parted by their shape or along the borders that the network saw."""

    edge_px = 0

    @property
    def margin_px(self) -> int:
        """Context of a pixel, and the largest object beyond."""
        return round_up(self._net.words.margin_px + _LARGEST_PX, self.align_px)

    def propose(self, images: NDArray[np.float32], min_prob: float) -> list[Proposals]:
        """See `Segmenter.propose`; the outlines are finished."""
        if not images.size:
            return [no_proposals() for _ in images]
        return [_objects(answer, min_prob) for answer in self._net(images)]


def _objects(answer: NDArray[np.float32], min_prob: float) -> Proposals:
    foreground = np.clip(answer[0], 0, 1)
    if len(answer) == 1:
        labels = part(
            foreground > _INSIDE, foreground, seed_px=_SEED_PX, hole_px=_HOLE_PX, neck=_NECK
        )
    else:
        labels = _parted_by_borders(foreground, np.clip(answer[1], 0, 1))
    prob = np.nan_to_num(means(labels, foreground, int(labels.max(initial=0)) + 1))
    keep = (prob > min_prob) & (np.bincount(labels.ravel(), minlength=len(prob)) >= _LEAST_PX)
    keep[0] = False
    if not keep.any():
        return no_proposals()
    kept = np.where(keep, np.cumsum(keep), 0)[labels].astype(np.int32)
    return Proposals(
        centres(kept), np.minimum(prob[keep], 1).astype(np.float32), contours=trace(kept)[0]
    )


def _parted_by_borders(
    foreground: NDArray[np.float32], border: NDArray[np.float32]
) -> NDArray[np.int32]:
    """A watershed of what is foreground and no border, from where that is sure."""
    from skimage.segmentation import watershed

    inner = foreground - border
    seeds, _ = ndi.label(inner > _SEED)
    basins = watershed(-inner, seeds, mask=foreground > _INSIDE)  # type: ignore[no-untyped-call]
    return np.asarray(basins, np.int32)
