"""The same region seen otherwise: turned, or with its stains changed.

A model that knows an object finds it in every view.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.ops.stain import HED_FROM_OD, OD_FROM_HED

__all__ = ["VIEWS", "View"]

_Array = NDArray[Any]


@dataclass(frozen=True)
class View:
    """One way to look at a region.

    Attributes
    ----------
    name : str
    turn : callable
        Turns an array (h, w, ...); its own inverse.
    stains : (float, float, float)
        Factors of haematoxylin, eosin and DAB in brightfield colour; elsewhere the first is one of
        intensity.
    """

    name: str
    turn: Callable[[_Array], _Array] = lambda image: image
    stains: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def show(self, pixels: _Array, *, is_rgb: bool) -> _Array:
        """Pixels (h, w, c) in this view; the dtype is kept for colours, else float32."""
        turned = np.ascontiguousarray(self.turn(pixels))
        if self.stains == (1.0, 1.0, 1.0):
            return turned
        if is_rgb and turned.shape[-1] == 3:
            return _restained(turned, self.stains)
        return np.asarray(turned, np.float32) * np.float32(self.stains[0])

    def back(self, labels: _Array) -> _Array:
        """What was found in this view (h, w), in the place of the image."""
        return np.ascontiguousarray(self.turn(labels))


def _restained(rgb: _Array, factors: Sequence[float]) -> _Array:
    """Amounts of the stains changed by factors, after Tellez et al. (IEEE TMI 2018)."""
    density = -np.log10((np.asarray(rgb, np.float32) + 1) / 256)
    mix = (HED_FROM_OD @ np.diag(factors) @ OD_FROM_HED).astype(np.float32)
    changed = 256 * 10 ** -(density @ mix) - 1
    top = np.iinfo(rgb.dtype).max if np.issubdtype(rgb.dtype, np.integer) else 255
    return np.asarray(np.clip(np.rint(changed), 0, top).astype(rgb.dtype))


#: What regions are looked at in, beside as they are.
VIEWS = (
    View("mirrored", lambda a: a[:, ::-1]),
    View("upside down", lambda a: a[::-1]),
    View("darker", stains=(1.25, 0.85, 1.0)),
    View("paler", stains=(0.8, 1.15, 1.0)),
)
