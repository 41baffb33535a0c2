"""The words of training a region model in rounds. Light: no network is imported."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from napari_histo.learning.course.params import CourseParams

__all__ = ["AREA_REGION_PX", "REGION_FAMILY", "RegionTuning"]

#: Of models that tell tissues apart.
REGION_FAMILY = "regions"
#: Side of a region to paint, px of the model: 0.5 mm for one that works at 4 µm.
AREA_REGION_PX = 128
#: The network halves its input so often, and patches are turned within twice that.
_DIVISOR = 32


@dataclass(frozen=True)
class RegionTuning(CourseParams):
    """How a region model goes on learning; see `CourseParams`.

    A batch counts patches; the rate is 1e-3 by default. The parent's answers are heard where nobody
    painted anything. Where no regions are given that judge, cells of 192 µm are held out of those
    that teach.

    Attributes
    ----------
    patch_px : int
        Side of a patch, a multiple of 32.
    """

    name: str = "regions"
    steps: int = 200
    judge_every: int = 25
    patience: int = 4
    patch_px: int = 128

    def _wrong(self) -> Iterator[str]:
        yield from super()._wrong()
        if self.patch_px < _DIVISOR or self.patch_px % _DIVISOR:
            yield f"patch_px = {self.patch_px}, allowed is a multiple of {_DIVISOR}"
