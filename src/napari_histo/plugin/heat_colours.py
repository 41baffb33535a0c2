"""Colours of a layer that shows objects from near and heatmaps from afar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import ClassScheme
from napari_histo.plugin.layers import UNCLASSIFIED_RGB

if TYPE_CHECKING:
    from napari.utils.colormaps import CyclicLabelColormap

__all__ = ["HeatBy", "Palette"]

HeatBy = Literal["density", "class", "nothing"]

#: Bands of the density; more look no smoother through a translucent picture.
_BANDS = 24
#: A place with less than this share of the scale's top is left clear.
_CLEAR = 0.03
#: Of the strongest colour; the faint ones let the glass around the tissue through.
_ALPHA = 0.75
#: Strengths of a class's colour, by density.
_SHADES = 8
_CLASS_ALPHA = (0.3, 0.85)


class Palette:
    """Which value of a label image has which colour.

    Values run in cycles of `n_colours`: first a colour a class and one for unclassified objects,
    then those of the heatmaps. So the value of an object is ``1 + row * n_colours + class``.

    Parameters
    ----------
    classes : ClassScheme
    """

    def __init__(self, classes: ClassScheme) -> None:
        self.n_slots = len(classes) + 1
        rgb = np.array([*(c.rgb for c in classes), UNCLASSIFIED_RGB], np.float32) / 255
        shades = np.linspace(*_CLASS_ALPHA, _SHADES, dtype=np.float32)
        objects = np.column_stack([rgb, np.ones(len(rgb), np.float32)])
        by_class = np.column_stack([np.repeat(rgb, _SHADES, axis=0), np.tile(shades, len(rgb))])
        self._colours = np.concatenate([objects, density_colours(_BANDS), by_class])
        self.n_colours = len(self._colours)

    def values(
        self, class_id: NDArray[np.integer], rows: NDArray[np.integer]
    ) -> NDArray[np.uint32]:
        """Values of objects by row number."""
        slot = np.where(class_id < 0, self.n_slots - 1, class_id)
        return (1 + rows.astype(np.int64) * self.n_colours + slot).astype(np.uint32)

    def heat(self, density: NDArray[np.float32], top: float, heat_by: HeatBy) -> NDArray[np.uint32]:
        """(h, w) values of a heatmap from the (h, w, slots) densities of the classes."""
        total = density.sum(axis=-1) / max(top, 1e-12)
        if heat_by == "class":
            shade = np.clip(total * _SHADES, 0, _SHADES - 1).astype(np.uint32)
            which = density.argmax(axis=-1).astype(np.uint32)
            found = np.uint32(1 + self.n_slots + _BANDS) + which * np.uint32(_SHADES) + shade
        else:
            band = np.clip(total * _BANDS, 0, _BANDS - 1).astype(np.uint32)
            found = np.uint32(1 + self.n_slots) + band
        return np.where(total > _CLEAR, found, np.uint32(0))

    def colormap(self) -> CyclicLabelColormap:
        """For the layer."""
        from napari.utils.colormaps import CyclicLabelColormap

        clear = np.zeros((1, 4), np.float32)
        return CyclicLabelColormap(
            colors=np.concatenate([clear, self._colours]), background_value=0
        )


def density_colours(n: int) -> NDArray[np.float32]:
    """(n, 4) from faint to strong."""
    from napari.utils.colormaps import ensure_colormap

    rgba: NDArray[np.float32] = ensure_colormap("turbo").map(np.linspace(0.12, 0.92, n))
    rgba[:, 3] = _ALPHA * np.sqrt(np.linspace(1 / n, 1, n))
    return rgba.astype(np.float32)
