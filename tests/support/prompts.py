"""A prompt model whose answer is plain: the bright region under the gesture."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_histo.core import BoxPrompt, Contours, ModelInfo, PointPrompt, PromptAnswer
from napari_histo.store.labels import labels_to_table


class BrightRegion:
    """Takes what is brighter than 128 and touched; `seen` holds every patch that it was asked."""

    patch_px = 128
    object_px = 72

    def __init__(self, pixel_size_um: float | None = 0.25, *, nominal: bool = True) -> None:
        self.info = ModelInfo("bright", "test", pixel_size_um, nominal)
        self.seen = []

    def answer(self, patches):
        self.seen += patches
        return [self._one(patch) for patch in patches]

    def _one(self, patch):
        regions, _ = ndimage.label(patch.pixels.mean(axis=-1) > 128)
        wanted = {int(regions[y, x]) for y, x in _touched(patch)} - {0}
        mask = np.isin(regions, list(wanted))
        if not mask.any():
            return PromptAnswer(Contours.empty(1), 0.0)
        return PromptAnswer(labels_to_table(mask.astype(np.uint8)).contours, 0.9)


def _touched(patch):
    side = len(patch.pixels)
    for prompt in patch.prompts:
        if not prompt.positive:
            continue
        if isinstance(prompt, PointPrompt):
            points = [(prompt.x, prompt.y)]
        elif isinstance(prompt, BoxPrompt):
            points = [((prompt.left + prompt.right) / 2, (prompt.top + prompt.bottom) / 2)]
        else:
            points = prompt.xy
        for x, y in points:
            if 0 <= x < side and 0 <= y < side:
                yield int(y), int(x)
