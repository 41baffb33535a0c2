"""The one place where napari's coordinates meet ours.

Ours are (x, y) in full-resolution pixels, a pixel covering ``[i, i + 1)``. napari's are (..., y, x)
with a pixel's centre at ``i``, then scaled, turned and moved into the world. So a point swaps its
axes and loses half a pixel on the way to napari, and nothing else does so anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_histo.core import Box, Contours, PixelSize
from napari_histo.errors import ImageError

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer, Shapes

__all__ = [
    "centre_view",
    "from_napari",
    "hint_um",
    "look_at",
    "pixel_size_of",
    "placement_of",
    "plane_shape",
    "point_px",
    "screen_px",
    "shape_geometries",
    "shapes_outlines",
    "show_whole",
    "to_napari",
    "to_world",
    "view_box",
]

_CURVE_POINTS = 64
#: Share of the window that an object that is looked at should take.
_LEAST_SHARE, _MOST_SHARE, _BEST_SHARE = 0.02, 0.6, 0.15
_WHOLE_SHARE = 0.95


def from_napari(yx: ArrayLike) -> NDArray[np.float64]:
    """Data coordinates of a layer, (n, 2) y before x, as (x, y) in full-resolution px."""
    return np.asarray(yx, np.float64)[..., ::-1] + 0.5


def to_napari(xy: ArrayLike) -> NDArray[np.float64]:
    """(n, 2) x before y in full-resolution px, as data coordinates of a layer."""
    return np.asarray(xy, np.float64)[..., ::-1] - 0.5


def to_world(layer: Layer) -> NDArray[np.float64]:
    """(3, 3) matrix from data to world coordinates of a layer's last two axes, y before x.

    It unites scale, shear, rotation, translation and affine. Axes in front must not mix with these.
    """
    origin = np.zeros(layer.ndim)
    at_origin = np.asarray(layer.data_to_world(origin))[-2:]
    matrix = np.eye(3)
    matrix[:2, 2] = at_origin
    for axis in (0, 1):
        step = origin.copy()
        step[axis - 2] = 1
        matrix[:2, axis] = np.asarray(layer.data_to_world(step))[-2:] - at_origin
    return matrix


def placement_of(layer: Layer) -> dict[str, Any]:
    """Keywords that put a 2-D layer of the same pixels exactly over `layer`."""
    labels, units = layer.axis_labels[-2:], layer.units[-2:]
    if layer.ndim > 2:
        return {"affine": to_world(layer), "axis_labels": labels, "units": units}
    return {
        "scale": layer.scale,
        "translate": layer.translate,
        "rotate": layer.rotate,
        "shear": layer.shear,
        "affine": layer.affine,
        "axis_labels": labels,
        "units": units,
    }


def plane_shape(layer: Image) -> tuple[int, int]:
    """Height and width of an image layer at full resolution, px."""
    data = layer.data[0] if layer.multiscale else layer.data
    height, width = data.shape[-3:-1] if layer.rgb else data.shape[-2:]
    return int(height), int(width)


# -- pixel size --------------------------------------------------------------------------------


def pixel_size_of(layer: Layer) -> PixelSize | None:
    """Size of a pixel where the layer's units are lengths; None for plain numbers."""
    um = [_um_per_unit(unit) for unit in layer.units[-2:]]
    if None in um:
        return None
    y, x = _steps(layer) * np.array(um, float)
    return PixelSize(float(x), float(y)) if min(x, y) > 0 else None


def hint_um(layer: Layer) -> float | None:
    """The scale of a layer without units, where it might be the pixel size in µm."""
    size = float(np.mean(_steps(layer)))
    plausible = 0.05 <= size <= 20 and abs(size - 1) > 1e-6
    return round(size, 4) if plausible and pixel_size_of(layer) is None else None


def _steps(layer: Layer) -> NDArray[np.float64]:
    """Length of one pixel along y and x in the layer's units."""
    lengths: NDArray[np.float64] = np.linalg.norm(to_world(layer)[:2, :2], axis=0)
    return lengths


def _um_per_unit(unit: Any, other: Any = "micrometer") -> float | None:
    """How many of `other` make one `unit`; None where they are of different kinds."""
    import pint

    try:
        return float((1 * unit).to(other).magnitude)
    except pint.DimensionalityError:
        return None


# -- the window --------------------------------------------------------------------------------


def point_px(viewer: ViewerModel, layer: Layer, position: Sequence[float]) -> tuple[float, float]:
    """Where a mouse event (its `position`, in the world of the window) lies on a layer.

    Returns
    -------
    (x, y)
        Full-resolution px.
    """
    world = np.asarray(position, np.float64)[-2:] * _world_in_layer_units(viewer, layer)
    x, y = from_napari(_to_data(world, layer)).tolist()
    return x, y


def screen_px(viewer: ViewerModel, layer: Layer) -> float:
    """Pixels of the window that one full-resolution px of a layer takes, about."""
    lengths = _steps(layer) / _world_in_layer_units(viewer, layer)
    return float(np.mean(lengths) * viewer.scene.camera.zoom)


def centre_view(viewer: ViewerModel, layer: Layer, xy: Sequence[float]) -> None:
    """Move a place on a layer, full-resolution px, to the middle of the window."""
    world = _apply(to_world(layer), to_napari(xy)) / _world_in_layer_units(viewer, layer)
    viewer.scene.camera.center = (*viewer.scene.camera.center[:-2], *world.tolist())


def look_at(viewer: ViewerModel, layer: Layer, box: Box) -> None:
    """Bring an object, full-resolution px, into the middle, large enough to be judged."""
    size = screen_px(viewer, layer) * max(box.width, box.height)
    share = size / min(viewer.canvas.size)
    if not _LEAST_SHARE <= share <= _MOST_SHARE:
        viewer.scene.camera.zoom *= _BEST_SHARE / max(share, 1e-9)
    centre_view(viewer, layer, (box.x + box.width / 2, box.y + box.height / 2))


def show_whole(viewer: ViewerModel, layer: Image) -> None:
    """Fit an image into the window, whatever else there is."""
    height, width = plane_shape(layer)
    per_px = screen_px(viewer, layer)
    canvas_height, canvas_width = viewer.canvas.size
    fitting = min(canvas_height / (height * per_px), canvas_width / (width * per_px))
    viewer.scene.camera.zoom *= _WHOLE_SHARE * fitting
    centre_view(viewer, layer, (width / 2, height / 2))


# -- regions -----------------------------------------------------------------------------------


def view_box(viewer: ViewerModel, layer: Image) -> Box:
    """What the window shows of an image, full-resolution px.

    Raises
    ------
    ImageError
        The image is out of view.
    """
    half = np.array(viewer.canvas.size) / (2 * viewer.scene.camera.zoom)
    corners = np.array(viewer.scene.camera.center[-2:]) + half * [
        (-1, -1),
        (-1, 1),
        (1, -1),
        (1, 1),
    ]
    xy = from_napari(_to_data(corners * _world_in_layer_units(viewer, layer), layer))
    low, high = np.floor(xy.min(axis=0)), np.ceil(xy.max(axis=0))
    height, width = plane_shape(layer)
    box = Box.from_edges(*low.astype(int).tolist(), *high.astype(int).tolist())
    box = box.intersect(Box(0, 0, width, height))
    if box.is_empty:
        raise ImageError(
            f"The view shows nothing of {layer.name!r}. Move it into view, or choose another "
            "region."
        )
    return box


def shapes_outlines(layers: Sequence[Shapes], image: Image) -> Contours:
    """Areas that are drawn in shapes layers, in full-resolution px of an image."""
    areas = []
    for layer in layers:
        to_image = np.linalg.inv(to_world(image)) @ to_world(layer)
        moved = [_apply(to_image, np.asarray(ring)[:, -2:]) for ring in layer.data]
        drawn = shape_geometries(moved, layer.shape_type)
        areas += [g for g in drawn if g.geom_type == "Polygon"]
    return Contours.from_shapely(areas)


def shape_geometries(data: Sequence[Any], kinds: Sequence[str]) -> NDArray[np.object_]:
    """Shapely geometries, in full-resolution px, of shapes in data coordinates.

    Rectangles, polygons and ellipses become polygons; lines and paths become lines.
    """
    import shapely

    shapes = np.empty(len(data), object)
    for i, (vertices, kind) in enumerate(zip(data, kinds, strict=True)):
        ring = np.asarray(vertices, np.float64)[:, -2:]
        xy = from_napari(_ellipse(ring) if kind == "ellipse" else ring)
        shapes[i] = shapely.LineString(xy) if kind in ("line", "path") else shapely.Polygon(xy)
    return shapes


def _ellipse(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ring of the ellipse that touches a box, perhaps turned, given by its 4 corners in order."""
    angle = np.linspace(0, 2 * np.pi, _CURVE_POINTS, endpoint=False)[:, None]
    middle = corners.mean(axis=0)
    across, along = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    return np.asarray(middle + np.cos(angle) * across + np.sin(angle) * along)


def _world_in_layer_units(viewer: ViewerModel, layer: Layer) -> NDArray[np.float64]:
    """Factors for y and x: napari draws in one unit where all layers have lengths."""
    units = viewer.dims.units
    if units is None:
        return np.ones(2)
    pairs = zip(units[-2:], layer.units[-2:], strict=True)
    return np.array([_um_per_unit(world, own) or 1.0 for world, own in pairs])


def _to_data(yx: NDArray[np.float64], layer: Layer) -> NDArray[np.float64]:
    return _apply(np.asarray(np.linalg.inv(to_world(layer)), np.float64), yx)


def _apply(matrix: NDArray[np.float64], yx: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(yx @ matrix[:2, :2].T + matrix[:2, 2])
