"""Labelled regions with the flows of their objects, and patches of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_histo.learning.cellpose.targets import Patch
from napari_histo.learning.course.patches import PatchSource, cut
from napari_histo.learning.course.sheets import Sheet, Sheets
from napari_histo.learning.course.warping import warp
from napari_histo.models.cellpose.dynamics import ideal_flows

__all__ = ["FlowPatchSource", "FlowSheet", "FlowSheets", "turned"]


@dataclass(frozen=True, eq=False)
class FlowSheet(Sheet):
    """A sheet with what flows to the middles of its objects.

    Attributes
    ----------
    flows : (2, h, w) float16
        Down and right, of length 1; 0 between objects.
    """

    flows: NDArray[np.float16]

    @property
    def nbytes(self) -> int:
        """Of the arrays."""
        return super().nbytes + int(self.flows.nbytes)


class FlowSheets(Sheets):
    """Sheets whose flows are computed once, when a sheet is read."""

    def _read(self, index: int) -> Sheet:
        sheet = super()._read(index)
        return FlowSheet(**vars(sheet), flows=ideal_flows(sheet.labels).astype(np.float16))


class FlowPatchSource(PatchSource[Patch]):
    """Draws patches of `FlowSheets`; see `PatchSource`."""

    def _patch(self, sheet: Sheet, rng: np.random.Generator) -> Patch:
        here = cut(sheet, self._shape, self._percentiles, rng)
        flows = torch.from_numpy(cast("FlowSheet", sheet).flows.astype(np.float32))
        inside = here.labels > 0
        shaped = here.known & ~np.isin(here.labels, sheet.torn)
        flow = turned(warp(flows, here.grid), here.grid, sheet.labels.shape)
        flow *= torch.from_numpy(inside)
        return Patch(here.image, flow, inside, here.known, shaped, self._is_replayed)


def turned(flow: Tensor, grid: Tensor, size: tuple[int, ...]) -> Tensor:
    """Flows (2, s, s) of a sheet as they point in a patch, of length 1 or 0.

    A warp takes paths to paths, and so directions by the inverse of its own derivative: turns,
    flips, stretches and bends alike.

    Parameters
    ----------
    flow : (2, s, s) float32
        Down and right in the sheet, at the patch's pixels.
    grid : (1, s, s, 2) float32
        See `sampling_grid`.
    size : (h, w)
        Of the sheet.
    """
    x, y = grid[0, ..., 0] * (size[1] / 2), grid[0, ..., 1] * (size[0] / 2)
    (y_down, y_right), (x_down, x_right) = (torch.gradient(v) for v in (y, x))
    sign = (y_down * x_right - y_right * x_down).sign()
    down = sign * (x_right * flow[0] - y_right * flow[1])
    right = sign * (y_down * flow[1] - x_down * flow[0])
    there = torch.stack([down, right])
    return there / there.square().sum(0).sqrt().clamp(min=1e-6)
