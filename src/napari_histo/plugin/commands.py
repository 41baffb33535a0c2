"""Commands of the menus that need no panel of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_histo.errors import ImageError
from napari_histo.plugin.geometry import placement_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Shapes

__all__ = ["add_regions_layer", "draw_regions"]

_REGIONS = "regions"


def draw_regions() -> None:
    """Start to draw regions on the image that is selected, or on the top one."""
    import napari
    from napari.layers import Image

    viewer = napari.current_viewer()
    images = [] if viewer is None else [x for x in viewer.layers if isinstance(x, Image)]
    if viewer is None or not images:
        raise ImageError("Open an image first, then draw regions on it.")
    active = viewer.layers.selection.active
    add_regions_layer(viewer, active if isinstance(active, Image) else images[-1])


def add_regions_layer(viewer: ViewerModel, image: Image) -> Shapes:
    """A layer to draw on, exactly over `image`; one that is there already is taken up again."""
    from napari.layers import Shapes

    layer = next((x for x in viewer.layers if isinstance(x, Shapes) and x.name == _REGIONS), None)
    if layer is None:
        layer = viewer.add_shapes(
            name=_REGIONS,
            ndim=2,
            edge_color="#ffcc00",
            face_color="transparent",
            edge_width=3,
            **placement_of(image),
        )
    layer.visible = True
    viewer.layers.selection.active = layer
    layer.mode = "add_rectangle"
    return layer
