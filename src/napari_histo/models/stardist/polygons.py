"""From probabilities and distances on a grid to StarDist's choice among its polygons."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Contours, ObjectTable, Proposals, Thresholds
from napari_histo.errors import ModelError
from napari_histo.models._proposing import ProposingSegmenter
from napari_histo.models.stardist.nms import star_polygons, suppress

if TYPE_CHECKING:
    from typing import Self

    import torch

__all__ = ["StarPolygons", "pad_to"]

#: Smallest distance, px, as in the stardist package (its polygons must have an area).
_LEAST_DIST = 1e-3
#: Grid cells along the image's edge whose polygons the stardist package leaves out.
_EDGE_CELLS = 2


class StarPolygons(ProposingSegmenter):
    """What StarDist's models share, wherever their network runs.

    Parameters
    ----------
    info : ModelInfo
    """

    @property
    @abstractmethod
    def grid(self) -> tuple[int, int]:
        """Pixels (y, x) of the image for one cell of the answer."""

    @property
    @abstractmethod
    def n_channels(self) -> int:
        """Of the images."""

    @property
    @abstractmethod
    def n_rays(self) -> int:
        """Of a polygon."""

    @property
    @abstractmethod
    def n_classes(self) -> int | None:
        """Beside the background; None where there is no such answer."""

    @abstractmethod
    def _forward(
        self, images: NDArray[np.float32]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Probabilities (b, gh, gw), distances (b, rays, gh, gw) and class shares, float32."""

    @property
    def edge_px(self) -> int:
        """Width of the rim along the image's edge in which no object is anchored, px."""
        return _EDGE_CELLS * max(self.grid)

    def adapt(self, samples: NDArray[np.float32]) -> Self:
        """See `Segmenter.adapt`; normalisation is all that depends on the image."""
        return self

    def propose(self, images: NDArray[np.float32], min_prob: float) -> list[Proposals]:
        """See `Segmenter.propose`; `columns` holds ``dist`` and, with classes, ``class_prob``."""
        self._check_channels(images)
        if not images.size:
            return [self._nothing() for _ in images]
        height, width = images.shape[1:3]
        prob, dist, classes = self._forward(images)
        found = []
        for i in range(len(images)):
            cells = (prob[i] > min_prob).nonzero()
            points = cells.flip(1) * cells.new_tensor(self.grid[::-1])
            inside = (points[:, 0] < width) & (points[:, 1] < height)
            rows, columns = cells[inside].unbind(1)
            picked = {"dist": dist[i, :, rows, columns].T.clamp_min(_LEAST_DIST)}
            if classes is not None:
                picked["class_prob"] = classes[i, :, rows, columns].T
            found.append(
                Proposals(
                    points[inside].float().cpu().numpy(),
                    prob[i, rows, columns].cpu().numpy(),
                    {k: np.ascontiguousarray(v.cpu().numpy()) for k, v in picked.items()},
                )
            )
        return found

    def _nothing(self) -> Proposals:
        columns = {"dist": np.zeros((0, self.n_rays), np.float32)}
        if self.n_classes is not None:
            columns["class_prob"] = np.zeros((0, self.n_classes + 1), np.float32)
        return Proposals(np.zeros((0, 2), np.float32), np.zeros(0, np.float32), columns)

    def _check_channels(self, images: NDArray[np.float32]) -> None:
        wanted = self.n_channels
        if images.shape[3] != wanted:
            raise ModelError(
                f"The model {self._info.name!r} wants {wanted} channel(s), the image has "
                f"{images.shape[3]}. Choose another model, or the channels to use."
            )

    def select(self, proposals: Proposals, thresholds: Thresholds) -> NDArray[np.int64]:
        """See `Segmenter.select`: StarDist's non-maximum suppression."""
        likely = np.flatnonzero(proposals.prob > thresholds.prob)
        best = proposals.take(likely)
        return likely[suppress(best.points, best.columns["dist"], best.prob, thresholds.nms)]

    def reach_px(self, proposals: Proposals) -> float:
        """See `Segmenter.reach_px`: twice the longest ray."""
        return float(2 * proposals.columns["dist"].max(initial=0.0))

    def draw(self, proposals: Proposals) -> ObjectTable:
        """See `Segmenter.draw`."""
        # The network counts pixel centres, geometry counts pixel corners: half a pixel between.
        corners = star_polygons(proposals.points, proposals.columns["dist"]) + np.float32(0.5)
        shares = proposals.columns.get("class_prob")
        class_id, class_prob = None, None
        if shares is not None:
            # Class 0 of the network is background: such an object stays unclassified (-1).
            class_id, class_prob = shares.argmax(axis=1) - 1, shares.max(axis=1)
        return ObjectTable.build(
            Contours.from_star(corners),
            class_id=class_id,
            class_prob=class_prob,
            det_prob=proposals.prob,
            classes=self._info.classes,
            source=self._info.name,
        )


def pad_to(images: NDArray[np.float32], divisor: tuple[int, int]) -> NDArray[np.float32]:
    """Images (b, h, w, c), mirrored at the lower and right edge to whole multiples of `divisor`."""
    below, beside = (-n % d for n, d in zip(images.shape[1:3], divisor, strict=True))
    if not below and not beside:
        return np.ascontiguousarray(images)
    return np.pad(images, ((0, 0), (0, below), (0, beside), (0, 0)), mode="reflect")
