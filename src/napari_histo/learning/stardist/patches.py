"""Patches of labelled regions for StarDist."""

from __future__ import annotations

import numpy as np

from napari_histo.learning.course.patches import PatchSource, cut
from napari_histo.learning.course.sheets import Sheet
from napari_histo.learning.course.warping import PatchShape
from napari_histo.learning.stardist.targets import Patch

__all__ = ["StarPatchSource", "cut_patch"]


class StarPatchSource(PatchSource[Patch]):
    """Draws patches; see `PatchSource`."""

    def _patch(self, sheet: Sheet, rng: np.random.Generator) -> Patch:
        return cut_patch(sheet, self._shape, self._percentiles, rng, is_replayed=self._is_replayed)


def cut_patch(
    sheet: Sheet,
    shape: PatchShape,
    percentiles: tuple[float, float],
    rng: np.random.Generator,
    *,
    is_replayed: bool = False,
) -> Patch:
    """A patch of a sheet; see `cut`."""
    here = cut(sheet, shape, percentiles, rng)
    shaped = ~np.isin(here.labels, sheet.cut)
    return Patch(here.image, here.labels, here.known, shaped, sheet.classes, is_replayed)
