"""A model that answers gestures at once, with shapes that a test can foretell."""

from __future__ import annotations

import numpy as np
import shapely

from napari_histo.core import Box, BoxPrompt, Contours, PointPrompt, PromptAnswer

RADIUS_PX = 6.0


class Discs:
    """Discs around points, the box itself, a thick line along a squiggle; less what is excluded."""

    def __init__(self):
        self.requests, self.error = [], None

    def reach_px(self, prompts):
        return Box(0, 0, 1000, 1000)

    def answer(self, requests):
        self.requests += requests
        if self.error is not None:
            raise self.error
        return [PromptAnswer(_contours(r.prompts), 0.75) for r in requests]


def _contours(prompts):
    wanted = shapely.union_all([_area(p) for p in prompts if p.positive])
    refused = shapely.union_all([_area(p) for p in prompts if not p.positive])
    area = shapely.difference(wanted, refused)
    largest = max(shapely.get_parts(area), key=shapely.area)
    return Contours.from_shapely(np.array([shapely.Polygon(largest.exterior)], object))


def _area(prompt):
    if isinstance(prompt, PointPrompt):
        return shapely.Point(prompt.x, prompt.y).buffer(RADIUS_PX)
    if isinstance(prompt, BoxPrompt):
        return shapely.box(prompt.left, prompt.top, prompt.right, prompt.bottom)
    return shapely.LineString(prompt.xy).buffer(RADIUS_PX / 2)
