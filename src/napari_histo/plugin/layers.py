"""Image layers as slides, and object tables as layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_histo.core import ObjectTable, PixelSize
from napari_histo.plugin.geometry import pixel_size_of, placement_of, plane_shape
from napari_histo.plugin.lazy import label_levels, label_values, n_slots
from napari_histo.session import EditableObjects
from napari_histo.slides import ArrayReader

if TYPE_CHECKING:
    import pandas as pd
    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Layer
    from napari.utils.colormaps import CyclicLabelColormap

__all__ = [
    "PREVIEW_KEY",
    "STAINS_KEY",
    "TABLE_KEY",
    "UNCLASSIFIED_RGB",
    "add_objects",
    "class_colormap",
    "current_table",
    "features_of",
    "image_layers",
    "labels_options",
    "reader_of",
    "row_of",
    "show_objects",
    "table_of",
]

#: Where a layer's metadata hold its `ObjectTable`.
TABLE_KEY = "napari_histo"
#: Set in the metadata of layers that only show what a model would see.
PREVIEW_KEY = "napari_histo_preview"
#: Where an image layer's metadata hold the stain vectors of its QuPath project, as QuPath's text.
STAINS_KEY = "napari_histo_stains"
UNCLASSIFIED_RGB = (255, 200, 0)


# -- images ------------------------------------------------------------------------------------


def image_layers(viewer: ViewerModel) -> list[Image]:
    """Image layers that are images to work on, the newest last."""
    from napari.layers import Image

    images = [layer for layer in viewer.layers if isinstance(layer, Image)]
    return [layer for layer in images if PREVIEW_KEY not in layer.metadata]


def reader_of(
    layer: Image, point: Sequence[float] | None = None, *, all_planes: bool = False
) -> ArrayReader:
    """The plane of an image layer that is shown, as a slide.

    Parameters
    ----------
    layer : Image
        2-D, or with further axes in front; multiscale or not.
    point : sequence of float, optional
        Where the viewer's sliders stand, world coordinates; the first plane by default.
    all_planes : bool
        True for the brightest of all planes of the axis in front of y, pixel by pixel.

    Raises
    ------
    ImageError
        The layer's numbers cannot be read.
    """
    levels = list(layer.data) if layer.multiscale else [layer.data]
    index = _leading_index(layer, point)
    if all_planes and index and not layer.rgb:
        levels, index = [_brightest(level) for level in levels], index[:-1]
    return ArrayReader(
        [_plane(level, index, levels[0].shape) for level in levels],
        name=layer.name,
        pixel_size=pixel_size_of(layer),
        is_rgb=bool(layer.rgb),
    )


def _brightest(level: Any) -> Any:
    """Maximum over the last axis but two; computed where somebody looks."""
    import dask.array as da

    lazy = level if hasattr(level, "dask") else da.from_array(level)  # type: ignore[no-untyped-call]
    return lazy.max(axis=-3)


def _leading_index(layer: Layer, point: Sequence[float] | None) -> list[int]:
    """Where the sliders cut the axes in front of y and x, data coordinates."""
    if layer.ndim == 2 or point is None:
        return [0] * (layer.ndim - 2)
    at = np.asarray(layer.world_to_data(point))[-layer.ndim : -2]
    return [round(float(a)) for a in np.nan_to_num(at)]


def _plane(level: Any, index: Sequence[int], full_shape: Sequence[int]) -> Any:
    """Last two axes (and colour) of a level; lazy where the level is."""
    if not index:
        return level
    if not isinstance(level, np.ndarray) and not hasattr(level, "dask"):
        import dask.array as da

        level = da.from_array(level)  # type: ignore[no-untyped-call]
    for i, full in zip(index, full_shape, strict=False):
        n = level.shape[0]
        level = level[min(max(i * n // full, 0), n - 1)]
    return level


# -- objects -----------------------------------------------------------------------------------


def add_objects(
    viewer: ViewerModel,
    table: ObjectTable,
    image: Image,
    *,
    name: str,
    outline_px: int = 2,
) -> Labels:
    """Show a table over its image as a labels layer; only for the thread of the window.

    The labels are drawn where and when they are looked at, so a million objects cost no more than
    the table. They cannot be painted: the table is the truth. `features_of` may follow later.
    """
    options = labels_options(table) | placement_of(image)
    layer = viewer.add_labels(label_levels(table, plane_shape(image)), name=name, **options)
    # With nuclei each line is one of two: theirs run on both sides of the gap around a nucleus.
    layer.contour = outline_px if table.nuclei is None else min(outline_px, 1)
    return layer


def labels_options(table: ObjectTable) -> dict[str, Any]:
    """Keywords of a labels layer for `table`, whatever its place."""
    return {
        "multiscale": True,
        # The tiles that are kept are kept by `label_levels`; dask's cache may take a quarter of
        # all memory.
        "cache": False,
        "colormap": class_colormap(table),
        "opacity": 1.0,
        "metadata": {TABLE_KEY: table},
    }


def show_objects(layer: Labels, table: ObjectTable) -> None:
    """Put another table into a layer of `add_objects`, but for its features."""
    before = table_of(layer)
    layer.data = label_levels(table, layer.data[0].shape)
    layer.metadata = {**layer.metadata, TABLE_KEY: table}
    if before is None or before.classes != table.classes or n_slots(before) != n_slots(table):
        layer.colormap = class_colormap(table)


def table_of(layer: Layer) -> ObjectTable | None:
    """Objects that a layer shows; None for layers that are not ours."""
    return current_table(layer.metadata)


def current_table(metadata: Mapping[str, Any]) -> ObjectTable | None:
    """Objects in a layer's metadata, as they stand now where they are under edits."""
    table = metadata.get(TABLE_KEY)
    if isinstance(table, EditableObjects):
        return table.table()
    return table if isinstance(table, ObjectTable) else None


def row_of(table: ObjectTable, value: int) -> int | None:
    """Row of a value in a labels layer; None for the background."""
    row = (value - 1) // n_slots(table)
    return row if 0 <= row < len(table) and value > 0 else None


def features_of(table: ObjectTable, pixel_size: PixelSize | None) -> pd.DataFrame:
    """What napari shows of an object in its status bar and its table of features.

    Takes seconds for a million objects; any thread may call.
    """
    import pandas as pd

    factor, unit = (1.0, "px²") if pixel_size is None else (pixel_size.area_um2, "µm²")
    return pd.DataFrame(
        {
            "index": label_values(table),
            "class": [name or "" for name in table.class_names],
            f"area {unit}": np.round(table.areas_px * factor, 1),
            "probability": np.round(table.det_prob, 3),
            **table.measurements,
            "object_id": _id_texts(table),
        }
    )


def _id_texts(table: ObjectTable) -> list[str]:
    """Ids as people write them; cut from one text, since a million UUID objects take seconds."""
    digits = table.object_id.tobytes().hex()
    return [
        f"{digits[i : i + 8]}-{digits[i + 8 : i + 12]}-{digits[i + 12 : i + 16]}-"
        f"{digits[i + 16 : i + 20]}-{digits[i + 20 : i + 32]}"
        for i in range(0, len(digits), 32)
    ]


def class_colormap(table: ObjectTable) -> CyclicLabelColormap:
    """Colours of the classes, for the values of `label_values`."""
    from napari.utils.colormaps import CyclicLabelColormap

    rgb = [c.rgb for c in table.classes]
    rgb += [UNCLASSIFIED_RGB] * (n_slots(table) - len(rgb))
    colours = np.array([(0, 0, 0, 0), *((*(v / 255 for v in c), 1) for c in rgb)], np.float32)
    return CyclicLabelColormap(colors=colours, background_value=0)
