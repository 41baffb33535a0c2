"""The words of the suite: types and protocols, with numpy and shapely alone beneath them."""

from __future__ import annotations

from napari_histo.core.box import Box
from napari_histo.core.classes import ClassDef, ClassScheme, pack_argb, unpack_rgb
from napari_histo.core.contours import Contours, GeometryKind
from napari_histo.core.objects import Details, ObjectState, ObjectTable, ObjectType, new_ids
from napari_histo.core.pixel_size import PixelSize
from napari_histo.core.progress import CancelToken, Progress
from napari_histo.core.slide import SlideInfo, SlideReader

__all__ = [
    "Box",
    "CancelToken",
    "ClassDef",
    "ClassScheme",
    "Contours",
    "Details",
    "GeometryKind",
    "ObjectState",
    "ObjectTable",
    "ObjectType",
    "PixelSize",
    "Progress",
    "SlideInfo",
    "SlideReader",
    "new_ids",
    "pack_argb",
    "unpack_rgb",
]
