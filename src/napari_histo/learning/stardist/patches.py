"""Patches of labelled regions for StarDist."""

from __future__ import annotations

import numpy as np

from napari_histo.learning.course.composed import Composer
from napari_histo.learning.course.patches import PatchSource, cut
from napari_histo.learning.course.sheets import Sheet, Sheets
from napari_histo.learning.course.warping import PatchShape
from napari_histo.learning.stardist.targets import Patch

__all__ = ["StarPatchSource", "cut_patch"]


class StarPatchSource(PatchSource[Patch]):
    """Draws patches; see `PatchSource`.

    Parameters
    ----------
    sheets, shape, percentiles, is_replayed
        See `PatchSource`.
    compose : float
        Share of the patches that come from composed sheets.
    """

    def __init__(
        self,
        sheets: Sheets,
        shape: PatchShape,
        percentiles: tuple[float, float],
        *,
        is_replayed: bool = False,
        compose: float = 0.0,
    ) -> None:
        super().__init__(sheets, shape, percentiles, is_replayed=is_replayed)
        self._share, self._composer = compose, Composer(sheets, 2 * shape.side, percentiles)

    @property
    def nbytes(self) -> int:
        """Of the pixels that are kept at hand, nuclei for composed sheets among them."""
        return super().nbytes + self._composer.nbytes

    def _patch(self, sheet: Sheet, rng: np.random.Generator) -> Patch:
        if self._share and rng.random() < self._share:
            sheet = self._composer.compose(sheet, rng)
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
