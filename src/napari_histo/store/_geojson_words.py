"""Words of QuPath's GeoJSON dialect that both its writer and its reader use."""

from __future__ import annotations

from napari_histo.core import ObjectState, ObjectType

__all__ = [
    "CLASS_PROB",
    "DESCRIPTION",
    "DET_PROB",
    "IS_MISSING",
    "MEMBER",
    "PARENT",
    "SOURCE",
    "STATE",
    "TYPE_NAMES",
    "TYPE_OF_NAME",
    "default_state",
]

DET_PROB = "Detection probability"  #: measurement, the name that QuPath's StarDist extension uses
CLASS_PROB = "Class probability"  #: measurement
DESCRIPTION = "ANNOTATION_DESCRIPTION"  #: metadata key of QuPath's description
IS_MISSING = "isMissing"  #: TMA cores: a property for QuPath, metadata for us
MEMBER = "napari-histo"  #: top-level member, which QuPath and GDAL pass over
STATE = "napari-histo.state"  #: metadata
SOURCE = "napari-histo.source"  #: metadata
PARENT = "napari-histo.parent"  #: metadata

TYPE_NAMES = {
    ObjectType.DETECTION: "detection",
    ObjectType.ANNOTATION: "annotation",
    ObjectType.CELL: "cell",
    ObjectType.TILE: "tile",
    ObjectType.TMA_CORE: "tmaCore",
    ObjectType.ROOT: "root",
}

TYPE_OF_NAME = {name: kind for kind, name in TYPE_NAMES.items()} | {
    "tma_core": ObjectType.TMA_CORE,
    # QuPath 0.2 kept these in the feature's id.
    "PathDetectionObject": ObjectType.DETECTION,
    "PathAnnotationObject": ObjectType.ANNOTATION,
    "PathCellObject": ObjectType.CELL,
    "PathTileObject": ObjectType.TILE,
    "TMACoreObject": ObjectType.TMA_CORE,
    "PathRootObject": ObjectType.ROOT,
}


def default_state(object_type: int) -> ObjectState:
    """State of an object whose file says nothing: people draw annotations, programs the rest."""
    drawn = object_type == ObjectType.ANNOTATION
    return ObjectState.DRAWN if drawn else ObjectState.PREDICTED
