"""A tissue mask as a layer of shapes that people edit, and back."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Contours, SlideInfo
from napari_histo.ops.tissue import TissueMask
from napari_histo.plugin.geometry import placement_of, plane_shape, shapes_outlines, to_napari

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Shapes

__all__ = ["add_tissue", "mask_of_layer", "tissue_layer"]

#: Where a layer's metadata hold which image its tissue is of.
_KEY = "napari_histo_tissue_of"
#: The image's longer side has so many widths of an outline.
_LINES = 500


def add_tissue(viewer: ViewerModel, outlines: Contours, image: Image) -> Shapes:
    """Show outlines, full-resolution px of an image, as polygons over it.

    Older tissue of the image is hidden, not removed: somebody may have worked on it.
    """
    for old in _layers_of(viewer, image.unique_id):
        old.visible = False
    rings = [
        to_napari(_one_ring(part)) for row in range(len(outlines)) for part in outlines.parts(row)
    ]
    return viewer.add_shapes(
        rings,
        shape_type="polygon",
        ndim=2,
        name=f"{image.name} · tissue",
        edge_color="#00c853",
        face_color="#00c85322",
        edge_width=max(1.0, max(plane_shape(image)) / _LINES),
        metadata={_KEY: image.unique_id},
        **placement_of(image),
    )


def tissue_layer(viewer: ViewerModel, image: Image) -> Shapes | None:
    """The newest tissue of an image that is shown; None where there is none."""
    shown = [layer for layer in _layers_of(viewer, image.unique_id) if layer.visible]
    return shown[-1] if shown else None


def mask_of_layer(layer: Shapes, image: Image, info: SlideInfo) -> TissueMask:
    """What the shapes of a layer cover of an image."""
    return TissueMask.from_contours(shapes_outlines([layer], image), info)


def _layers_of(viewer: ViewerModel, key: Hashable) -> list[Shapes]:
    return [layer for layer in viewer.layers if layer.metadata.get(_KEY) == key]


def _one_ring(rings: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """An outline and its holes as one open ring, for napari's polygons have no holes.

    Each hole hangs on a line that is drawn there and back: by the even-odd rule, which napari and
    `TissueMask.from_contours` keep, that line counts for nothing.
    """
    ring = rings[0]
    for hole in rings[1:]:
        middle = hole[:-1].mean(axis=0)
        at = int(np.argmin(((ring - middle) ** 2).sum(axis=1)))
        first = int(np.argmin(((hole[:-1] - ring[at]) ** 2).sum(axis=1)))
        turned = np.concatenate([hole[first:-1], hole[: first + 1]])
        ring = np.concatenate([ring[: at + 1], turned, ring[at:]])
    return ring[:-1]
