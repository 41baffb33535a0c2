# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of rounds: what is to be published, and what was collected.

Both are GeoJSON, one file an image or a region, which QuPath and napari open too. A collected file
holds the region, its objects with their origin, and its ignored areas: read it with
`napari_histo.store.geojson.read_geojson` and `napari_histo.core.collect_regions`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import uuid5

import numpy as np

from napari_histo.core import (
    ClassDef,
    ClassScheme,
    CollectedRegion,
    Details,
    ObjectState,
    ObjectTable,
    ObjectType,
    Origin,
    QueriedRegion,
    collect_regions,
    regions_as_table,
    regions_in,
)
from napari_histo.core.bridge import ImageEntry
from napari_histo.core.round_regions import REGION_CLASSES
from napari_histo.errors import BridgeError, WriteError
from napari_histo.store.geojson import read_geojson, write_geojson
from qupath_bridge._json_files import read_json_object
from qupath_bridge.rounds import Collected

__all__ = ["as_table", "image_of_file", "read_collected", "read_request", "write_collected"]

LISTING = "regions.json"
_FORMAT = "napari-histo collected regions 1"
_IGNORED = ClassScheme((ClassDef("Ignore*", (180, 180, 180)),))
_STATES = {
    Origin.DRAWN: ObjectState.DRAWN,
    Origin.CORRECTED: ObjectState.EDITED,
    Origin.CLASSIFIED: ObjectState.ACCEPTED,
    Origin.ACCEPTED: ObjectState.ACCEPTED,
}


# -- to be published -----------------------------------------------------------------------------


def image_of_file(images: Sequence[ImageEntry], file: Path, name: str | None = None) -> ImageEntry:
    """The image that a file is for: that of the name, or the one called as the file is.

    Raises
    ------
    BridgeError
        There is none, or more than one.
    """
    if name is not None:
        found = [e for e in images if e.name == name]
    else:
        bare = file.name.removesuffix(".gz").removesuffix(".geojson").removesuffix(".json")
        found = [e for e in images if e.name == bare] or [e for e in images if bare in _names(e)]
    if len(found) == 1:
        return found[0]
    wanted = f"named {name}" if name else f"called as {file.name} is"
    raise BridgeError(
        f"The project has {len(found) or 'no'} images {wanted}. Name one of its images with "
        "--image; 'qupath-bridge status' lists them."
    )


def read_request(
    file: Path, image: ImageEntry, round_number: int = 0, annotator: str = ""
) -> tuple[list[QueriedRegion], ObjectTable]:
    """Regions and predictions in a GeoJSON file.

    Regions are annotations with a class of a region; where there is none, all annotated areas
    without a class. Those without a round or a rank are given them, in the order of the file.

    Raises
    ------
    ObjectsFileError
        The file cannot be read.
    BridgeError
        It holds no region.
    """
    table = read_geojson(file)
    regions = regions_in(image, table) or regions_in(image, _classified(table))
    if not regions:
        raise BridgeError(
            f"{file} holds no region: an annotation of class {REGION_CLASSES.names[0]!r}, or one "
            "without a class."
        )
    named = [
        replace(
            r,
            round_number=r.round_number or round_number,
            rank=r.rank or (i + 1 if r.round_number or round_number else 0),
            annotator=r.annotator or annotator,
        )
        for i, r in enumerate(regions)
    ]
    return named, table


def _classified(table: ObjectTable) -> ObjectTable:
    """With unclassified annotations as regions to annotate."""
    classes = table.classes.union(REGION_CLASSES)
    free = (table.object_type == ObjectType.ANNOTATION) & (table.class_id < 0)
    wanted = classes.names.index(REGION_CLASSES.names[0])
    class_id = np.where(free, wanted, table.class_id).astype(np.int32)
    return table.with_columns(classes=classes, class_id=class_id)


def _names(image: ImageEntry) -> set[str]:
    """What a file for the image may be called: with the image's suffix or without."""
    names = {image.name, unquote(image.uri.rpartition("/")[2])}
    return names | {_stem(name) for name in names}


def _stem(name: str) -> str:
    return Path(name).stem.removesuffix(".ome")


# -- collected -----------------------------------------------------------------------------------


def as_table(example: CollectedRegion) -> ObjectTable:
    """A collected region as one table; `collect_regions` makes the same of it again."""
    region = regions_as_table([example.query])
    ignored = ObjectTable.build(
        example.ignored,
        object_id=_ids(example, len(example.ignored)),
        classes=_IGNORED,
        object_type=ObjectType.ANNOTATION,
        state=ObjectState.DRAWN,
    )
    return ObjectTable.concat([region, _with_origin(example), example.areas, ignored])


def write_collected(folder: Path, collected: Sequence[Collected]) -> list[dict[str, Any]]:
    """Write a GeoJSON file a region, then a listing of all; what they hold, as in the listing.

    Raises
    ------
    WriteError
        A file cannot be written. The listing then is the one before.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"Cannot make {folder} ({error.strerror or error}).") from error
    listed = []
    for found in collected:
        for example in found.examples:
            words = describe(example)
            write_geojson(folder / words["file"], as_table(example))
            listed.append(words)
    _write_listing(folder / LISTING, listed)
    return listed


def describe(example: CollectedRegion) -> dict[str, Any]:
    """A collected region in JSON's types."""
    query, box = example.query, example.query.box
    return {
        "file": f"{_safe(query.image.name)}-{query.region_id}.geojson",
        "image": {"id": query.image.entry_id, "name": query.image.name, "uri": query.image.uri},
        "region": str(query.region_id),
        "box": [box.x, box.y, box.width, box.height],
        "round": query.round_number,
        "rank": query.rank,
        # QuPath keeps measurements in single precision.
        "score": None if query.score is None else float(f"{query.score:.7g}"),
        "reason": query.reason,
        "annotator": query.annotator,
        "split": query.split,
        "objects": example.counts,
        "n_removed": example.n_removed,
        "n_loose_points": example.n_loose_points,
    }


def read_collected(folder: Path) -> list[CollectedRegion]:
    """What `write_collected` wrote, in the order of the listing.

    Raises
    ------
    BridgeError
        The listing is missing, damaged, or of another kind.
    ObjectsFileError
        A file that it names cannot be read.
    """
    remedy = "Collect the regions again."
    words = read_json_object(folder / LISTING, what="List of regions", remedy=remedy)
    if words.get("format") != _FORMAT:
        raise BridgeError(
            f"{folder / LISTING} has the format {words.get('format')!r}, not {_FORMAT!r}. {remedy}"
        )
    try:
        wanted = [(folder / w["file"], w["image"]) for w in words["regions"]]
        files = [(f, ImageEntry(i["id"], i["name"], i["uri"])) for f, i in wanted]
    except (LookupError, TypeError) as error:
        raise BridgeError(f"{folder / LISTING} is damaged ({error!r}). {remedy}") from error
    return [e for file, image in files for e in collect_regions(image, read_geojson(file))]


def _with_origin(example: CollectedRegion) -> ObjectTable:
    table = example.objects
    details = {}
    for key, origin in zip(table.uuids(), example.origin.tolist(), strict=True):
        known = table.details.get(key, Details())
        metadata = {**known.metadata, "Origin": Origin(origin).name.lower()}
        details[key] = replace(known, metadata=metadata)
    states = np.array([_STATES[o] for o in Origin], np.uint8)[example.origin]
    return table.with_columns(details=details, state=states)


def _ids(example: CollectedRegion, n: int) -> Any:
    """The same ids each time, so that an unchanged region gives the same file."""
    raw = b"".join(uuid5(example.query.region_id, f"ignored {i}").bytes for i in range(n))
    return np.frombuffer(raw, np.uint8).reshape(n, 16).copy()


def _safe(name: str) -> str:
    return "".join("_" if c in '<>:"/\\|?*' or ord(c) < 32 else c for c in _stem(name))


def _write_listing(path: Path, listed: list[dict[str, Any]]) -> None:
    work = path.with_name(f".{path.name}.{os.getpid()}.part")
    text = json.dumps({"format": _FORMAT, "regions": listed}, indent=2, ensure_ascii=False)
    try:
        work.write_text(text, encoding="utf-8")
        work.replace(path)
    except OSError as error:
        work.unlink(missing_ok=True)
        raise WriteError(f"Cannot write {path} ({error.strerror or error}).") from error
