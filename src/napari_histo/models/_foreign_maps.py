"""Objects of networks that tell foreground from background, and perhaps borders."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from napari_histo.core import Contours, ModelInfo, ObjectTable, Proposals, Segmenter, Thresholds
from napari_histo.models._classical import centres
from napari_histo.models._device import room
from napari_histo.models._foreign import ForeignNet
from napari_histo.models._watershed import means, part
from napari_histo.ops.trace import trace

__all__ = ["ForeignMaps"]

_BYTES_A_PX = 1000
#: Probability from which a pixel is of an object; that of objects is the mean of their pixels.
_INSIDE = 0.5
#: Seeds where foreground less border is above this, as the description's own examples take it.
_SEED = 0.5
_LEAST_PX = 16
#: The largest object that is whole in every tile.
_LARGEST_PX = 160
_SEED_PX, _HOLE_PX, _NECK = 4, 30, 0.88


class ForeignMaps:
    """Pixels above one half, parted by their shape or along the borders that the network saw.

    Parameters
    ----------
    net : ForeignNet
    info : ModelInfo
    on_cpu : callable
        Gives the same model on the processor.
    """

    edge_px = 0
    batch_size = 1

    def __init__(self, net: ForeignNet, info: ModelInfo, on_cpu: Callable[[], Segmenter]) -> None:
        self._net, self._info, self._on_cpu = net, info, on_cpu
        self.device, self.percentiles = net.device, net.words.percentiles
        self.align_px = net.words.align_px
        reach = net.words.margin_px + _LARGEST_PX
        self.margin_px = -(-reach // self.align_px) * self.align_px

    def __repr__(self) -> str:
        return f"<ForeignMaps {self._info.name} ({self._info.family}) on {self.device}>"

    @property
    def info(self) -> ModelInfo:
        """The model's card."""
        return self._info

    def room(self, side_px: int) -> int:
        """See `Segmenter.room`."""
        return room(self.device, side_px**2 * _BYTES_A_PX)

    def adapt(self, samples: NDArray[np.float32]) -> ForeignMaps:
        """See `Segmenter.adapt`: mean and deviation are those of the whole region."""
        return ForeignMaps(self._net.fit(samples), self._info, self._on_cpu)

    def on_cpu(self) -> Segmenter:
        """See `Segmenter.on_cpu`."""
        return self if self.device == "cpu" else self._on_cpu()

    def propose(self, images: NDArray[np.float32], min_prob: float) -> list[Proposals]:
        """See `Segmenter.propose`; the outlines are finished."""
        if not images.size:
            return [_no_proposals() for _ in images]
        return [_objects(answer, min_prob) for answer in self._net(images)]

    def select(self, proposals: Proposals, thresholds: Thresholds) -> NDArray[np.int64]:
        """See `Segmenter.select`; the objects never overlap."""
        return np.flatnonzero(proposals.prob > thresholds.prob)

    def reach_px(self, proposals: Proposals) -> float:
        """See `Segmenter.reach_px`; nothing is compared across tiles."""
        return 0.0

    def draw(self, proposals: Proposals) -> ObjectTable:
        """See `Segmenter.draw`."""
        return ObjectTable.build(
            proposals.contours or Contours.empty(),
            det_prob=proposals.prob,
            classes=self._info.classes,
            source=self._info.name,
        )

    def segment(self, images: NDArray[np.float32]) -> list[ObjectTable]:
        """See `Segmenter.segment`."""
        thresholds = self._info.thresholds
        found = self.propose(images, thresholds.prob)
        return [self.draw(p.take(self.select(p, thresholds))) for p in found]


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
        return _no_proposals()
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


def _no_proposals() -> Proposals:
    nothing = np.zeros(0, np.float32)
    return Proposals(nothing.reshape(0, 2), nothing, contours=Contours.empty())
