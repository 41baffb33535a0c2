"""The words of the suite: types and protocols, with numpy and shapely alone beneath them."""

from __future__ import annotations

from napari_histo.core.box import Box
from napari_histo.core.classes import ClassDef, ClassScheme, pack_argb, unpack_rgb
from napari_histo.core.contours import Contours, GeometryKind
from napari_histo.core.edits import Edit
from napari_histo.core.models import ModelInfo, Thresholds
from napari_histo.core.object_facts import Details, ObjectState, ObjectType
from napari_histo.core.objects import ObjectTable, new_ids
from napari_histo.core.pixel_size import PixelSize
from napari_histo.core.progress import CancelToken, Progress, result_of, retold
from napari_histo.core.prompt_segmenter import PromptAnswer, PromptPatch, PromptSegmenter
from napari_histo.core.prompts import BoxPrompt, PointPrompt, Prompt, ScribblePrompt
from napari_histo.core.proposals import Proposals
from napari_histo.core.round_examples import collect_regions
from napari_histo.core.round_regions import (
    REGION_CLASSES,
    region_facts,
    regions_as_table,
    regions_in,
)
from napari_histo.core.rounds import (
    CollectedRegion,
    Origin,
    QueriedRegion,
    QueryStatus,
    RoundFacts,
)
from napari_histo.core.segmenters import Segmenter
from napari_histo.core.slide import SlideInfo, SlideReader
from napari_histo.core.slide_view import SlideView
from napari_histo.core.tiles import Tile, TileGrid

__all__ = [
    "REGION_CLASSES",
    "Box",
    "BoxPrompt",
    "CancelToken",
    "ClassDef",
    "ClassScheme",
    "CollectedRegion",
    "Contours",
    "Details",
    "Edit",
    "GeometryKind",
    "ModelInfo",
    "ObjectState",
    "ObjectTable",
    "ObjectType",
    "Origin",
    "PixelSize",
    "PointPrompt",
    "Progress",
    "Prompt",
    "PromptAnswer",
    "PromptPatch",
    "PromptSegmenter",
    "Proposals",
    "QueriedRegion",
    "QueryStatus",
    "RoundFacts",
    "ScribblePrompt",
    "Segmenter",
    "SlideInfo",
    "SlideReader",
    "SlideView",
    "Thresholds",
    "Tile",
    "TileGrid",
    "collect_regions",
    "new_ids",
    "pack_argb",
    "region_facts",
    "regions_as_table",
    "regions_in",
    "result_of",
    "retold",
    "unpack_rgb",
]
