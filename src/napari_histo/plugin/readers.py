"""Files as layers: slides as multiscale images, object files as labels and shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_histo.core import GeometryKind, ObjectTable, ObjectType, SlideInfo, SlideReader
from napari_histo.errors import HistoError
from napari_histo.plugin.geometry import pixel_size_of, placement_of, plane_shape, to_napari
from napari_histo.plugin.layers import TABLE_KEY, features_of, labels_options
from napari_histo.plugin.lazy import image_levels, label_levels

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.types import LayerDataTuple
    from napari.utils import Colormap

__all__ = [
    "channel_colormap",
    "objects_as_layers",
    "objects_reader",
    "planes_as_layers",
    "read_slide",
    "slide_reader",
]

_Reader = Callable[[Any], "list[LayerDataTuple]"]
#: napari's Shapes stay quick up to here.
_MAX_SHAPES = 1000


def slide_reader(path: str | Sequence[str]) -> _Reader | None:
    """Reader of slides and TIFFs for napari; None for what others read better."""
    if not isinstance(path, str) or Path(path).is_dir():
        return None
    if Path(path).suffix.lower() in (".tif", ".tiff"):
        from napari_histo.slides import open_slide

        try:
            open_slide(path).close()
        except HistoError:
            return None
    return read_slide


def objects_reader(path: str | Sequence[str]) -> _Reader | None:
    """Reader of GeoJSON and Parquet for napari; None for JSON that is not GeoJSON."""
    if not isinstance(path, str) or not Path(path).is_file():
        return None
    if path.lower().endswith(".json"):
        with Path(path).open("rb") as file:
            if b'"Feature' not in file.read(65536):
                return None
    return _read_objects


# -- slides ------------------------------------------------------------------------------------


def read_slide(path: str) -> list[LayerDataTuple]:
    """Layers of a slide, read lazily, with its pixel size; focal planes one behind the other."""
    from napari.utils.notifications import show_info

    from napari_histo.slides import open_slide

    first = open_slide(path)
    if first.info.series_note:
        show_info(first.info.series_note)
    return planes_as_layers([first, *(open_slide(path, z=z) for z in range(1, first.info.n_z))])


def planes_as_layers(readers: Sequence[SlideReader]) -> list[LayerDataTuple]:
    """Layers of a slide's focal planes, each with a reader of its own; read lazily."""
    stacks = [image_levels(reader) for reader in readers]
    info = readers[0].info
    levels = [_stack(planes) for planes in zip(*stacks, strict=True)]
    options = _slide_options(info)
    if info.is_rgb:
        options["rgb"] = True
    elif info.n_channels > 1:
        options |= {"channel_axis": levels[0].ndim - 1, "name": _channel_names(info)}
        if info.channel_colours:
            options["colormap"] = [channel_colormap(rgb) for rgb in info.channel_colours]
    else:
        levels = [level[..., 0] for level in levels]
    many = len(levels) > 1
    return [(levels if many else levels[0], {**options, "multiscale": many}, "image")]


def channel_colormap(rgb: tuple[int, int, int]) -> Colormap:
    """From black to a channel's colour, as microscopes and QuPath show it."""
    from napari.utils import Colormap

    top = [value / 255 for value in rgb]
    return Colormap([[0.0, 0.0, 0.0], top], name="#" + "".join(f"{v:02x}" for v in rgb))


def _stack(planes: Sequence[Any]) -> Any:
    """One plane as it is; focal planes one behind the other."""
    import dask.array as da

    return planes[0] if len(planes) == 1 else da.stack(planes)  # type: ignore[no-untyped-call]


def _slide_options(info: SlideInfo) -> dict[str, Any]:
    options: dict[str, Any] = {"name": _stem(info), "metadata": dict(info.metadata)}
    if info.pixel_size is not None:
        depth = [1.0] if info.n_z > 1 else []
        options["scale"] = (*depth, info.pixel_size.y_um, info.pixel_size.x_um)
        options["units"] = (*["pixel" for _ in depth], "um", "um")
    return options


def _channel_names(info: SlideInfo) -> list[str]:
    return [f"{_stem(info)} {channel}" for channel in info.channel_names]


def _stem(info: SlideInfo) -> str:
    return Path(info.name).stem.removesuffix(".ome")


# -- objects -----------------------------------------------------------------------------------


def _read_objects(path: str) -> list[LayerDataTuple]:
    from napari_histo.store import load_objects

    name = Path(path).name.split(".")[0]
    return objects_as_layers(load_objects(path), name, _image_below())


def objects_as_layers(
    table: ObjectTable, name: str, image: Image | None = None
) -> list[LayerDataTuple]:
    """Layers that show a table and keep its ids.

    Parameters
    ----------
    table : ObjectTable
    name : str
        Of the layers.
    image : Image, optional
        Layer that the objects belong to; they lie over it. Without one a pixel is a unit.

    Returns
    -------
    list of layer data
        Up to 1,000 simple annotations and lines as shapes, which can be edited; points as points;
        everything else as labels, which are drawn on demand; a cell is one label with two outlines.
    """
    kind, simple = table.contours.kind, _is_simple(table)
    points = kind == GeometryKind.POINT
    lines = kind == GeometryKind.LINE
    drawn = (lines | (table.object_type == ObjectType.ANNOTATION)) & simple & ~points
    if drawn.sum() > _MAX_SHAPES:
        drawn = lines & simple
    areas = ~points & ~lines & ~drawn
    layers = []
    if areas.any() or not len(table):
        layers.append(_as_labels(table.select(areas), name, image))
    if drawn.any():
        layers.append(_as_shapes(table.select(drawn), f"{name} annotations", image))
    if points.any():
        layers.append(_as_points(table.select(points), f"{name} points", image))
    return layers


def _as_labels(table: ObjectTable, name: str, image: Image | None) -> LayerDataTuple:
    shape = _extent(table, image)
    features = features_of(table, None if image is None else pixel_size_of(image))
    options = {**labels_options(table), "features": features, **_place(image)}
    # A reader cannot ask for outlines, so the image shines through.
    options["opacity"] = 0.5
    return (label_levels(table, shape), {**options, "name": name}, "labels")


def _as_shapes(table: ObjectTable, name: str, image: Image | None) -> LayerDataTuple:
    colours = np.array([_rgb(table, row) for row in range(len(table))]) / 255
    is_line = table.contours.kind == GeometryKind.LINE
    rings = [to_napari(table.contours.ring(row)) for row in range(len(table))]
    options = {
        "name": name,
        "shape_type": ["path" if line else "polygon" for line in is_line],
        "edge_color": colours,
        "face_color": "transparent",
        "edge_width": 2,
        "features": features_of(table, None if image is None else pixel_size_of(image)),
        "metadata": {TABLE_KEY: table},
        **_place(image),
    }
    # napari closes polygons itself.
    data = [r if line else r[:-1] for r, line in zip(rings, is_line, strict=True)]
    return (data, options, "shapes")


def _as_points(table: ObjectTable, name: str, image: Image | None) -> LayerDataTuple:
    contours = table.contours
    counts = np.bincount(contours.vertex_object, minlength=len(table))
    rows = np.repeat(np.arange(len(table)), counts)
    features = features_of(table, None).drop(columns="index").iloc[rows]
    options = {
        "name": name,
        "size": 10,
        "face_color": np.array([_rgb(table, int(row)) for row in rows]) / 255,
        "features": features.reset_index(drop=True),
        "metadata": {TABLE_KEY: table},
        **_place(image),
    }
    return (to_napari(contours.xy), options, "points")


def _is_simple(table: ObjectTable) -> Any:
    """Rows of one part with one ring: what a napari shape can hold."""
    contours = table.contours
    n_rings = np.diff(contours.part_offsets[contours.object_offsets])
    return (np.diff(contours.object_offsets) == 1) & (n_rings == 1)


def _rgb(table: ObjectTable, row: int) -> tuple[int, int, int]:
    own = table.details_of(row).rgb
    class_id = int(table.class_id[row])
    return own or (table.classes[class_id].rgb if class_id >= 0 else (255, 200, 0))


def _extent(table: ObjectTable, image: Image | None) -> tuple[int, int]:
    """Height and width that hold all objects, and the image."""
    bounds = table.contours.bounds[:, 2:]
    right, bottom = np.nanmax(bounds, axis=0) if np.isfinite(bounds).any() else (1, 1)
    height, width = (1, 1) if image is None else plane_shape(image)
    return max(height, int(np.ceil(bottom))), max(width, int(np.ceil(right)))


def _place(image: Image | None) -> dict[str, Any]:
    return {} if image is None else placement_of(image)


def _image_below() -> Image | None:
    """The image that opened objects belong to: the selected one, or the only one."""
    import napari
    from napari.layers import Image

    viewer = napari.current_viewer()
    if viewer is None:
        return None
    images = [layer for layer in viewer.layers if isinstance(layer, Image)]
    selected = [layer for layer in images if layer in viewer.layers.selection]
    candidates = selected or images
    return candidates[0] if len(candidates) == 1 else None
