"""A segmenter whose answer is a plain function of the pixels near by: fast, exact, adversarial."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.special import expit

from napari_histo.core import ModelInfo, ObjectTable, Proposals, Thresholds
from napari_histo.models.stardist.nms import star_polygons, suppress

_RAYS = 8


class LatticeSegmenter:
    """Every bright pixel proposes a star; neighbours overlap heavily, in long chains.

    Counts the calls of `propose` in `calls`.
    """

    margin_px = 4
    align_px = 4
    edge_px = 2
    batch_size = 3
    percentiles = (1.0, 99.0)

    def __init__(
        self, pixel_size_um: float | None = 0.5, *, radius_px: float = 4.0, channels: str = "any"
    ) -> None:
        self.info = ModelInfo(
            "lattice", "test", pixel_size_um, channels=channels, thresholds=Thresholds(0.5, 0.3)
        )
        self.radius_px = radius_px
        self.calls = 0

    def adapt(self, samples):
        return self

    def room(self, side_px):
        return 100

    def on_cpu(self):
        return self

    def propose(self, images, min_prob):
        self.calls += 1
        return [self._propose(image, min_prob) for image in images]

    def _propose(self, image, min_prob):
        smooth = ndimage.uniform_filter(image.mean(axis=-1), 3, mode="nearest")
        local = ndimage.uniform_filter(smooth, 5, mode="nearest")
        # Rounded, so that sums in another order cannot turn a tie.
        prob = np.round(expit(20 * (smooth - local)), 4).astype(np.float32)
        y, x = np.nonzero(prob > min_prob)
        wobble = 1 + 0.3 * np.sin(np.arange(_RAYS) + np.round(smooth[y, x, None], 3) * 40)
        dist = (self.radius_px * wobble).astype(np.float32)
        points = np.stack([x, y], axis=1).astype(np.float32)
        return Proposals(points, prob[y, x], {"dist": dist})

    def select(self, proposals, thresholds):
        likely = np.flatnonzero(proposals.prob > thresholds.prob)
        best = proposals.take(likely)
        return likely[suppress(best.points, best.columns["dist"], best.prob, thresholds.nms)]

    def reach_px(self, proposals):
        return float(2 * proposals.columns["dist"].max(initial=0.0))

    def draw(self, proposals):
        from napari_histo.core import Contours

        corners = star_polygons(proposals.points, proposals.columns["dist"]) + np.float32(0.5)
        return ObjectTable.build(
            Contours.from_star(corners), det_prob=proposals.prob, classes=self.info.classes
        )

    def segment(self, images):
        found = self.propose(images, self.info.thresholds.prob)
        return [self.draw(p.take(self.select(p, self.info.thresholds))) for p in found]


def finish(work):
    """Result of a generator of progress, and the steps that it reported."""
    steps = []
    while True:
        try:
            steps.append(next(work))
        except StopIteration as end:
            return end.value, steps
