"""QuPath projects as QuPath writes them, made without QuPath."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

#: Between its two marks a real file holds Java's serialised objects, which nothing here reads.
QPDATA = b"\xac\xed\x00\x05w\x15\x00\x13Data file version 2" + b"x" * 200 + b"t\x00\x03EOF"
CREATED_MS = 1_700_000_000_000


def leaf(uri: str, *args: str, shape: tuple[int, int] | None = None) -> dict[str, Any]:
    """A builder of one file."""
    words: dict[str, Any] = {
        "builderType": "uri",
        "providerClassName": "qupath.lib.images.servers.bioformats.BioFormatsServerBuilder",
        "uri": uri,
        "args": list(args),
    }
    if shape is not None:
        size = {"value": 0.5, "unit": "µm"}
        calibration = {"pixelWidth": size, "pixelHeight": size}
        words["metadata"] = {
            "height": shape[0],
            "width": shape[1],
            "pixelCalibration": calibration,
        }
    return words


def image(entry_id: int, builder: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """An element of ``images``."""
    words = {"serverBuilder": builder, "entryID": entry_id, "imageName": f"image {entry_id}"}
    return {**words, "metadata": {}, **more}


def make_project(
    folder: Path,
    images: Sequence[Mapping[str, Any]] = (),
    *,
    uri: str | None = None,
    version: str = "0.5.1",
) -> Path:
    """A project file; its folder is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "project.qpproj"
    words = {
        "version": version,
        "createTimestamp": CREATED_MS,
        "modifyTimestamp": CREATED_MS,
        "uri": uri or file.as_uri(),
        "lastID": 99,
        "images": list(images),
    }
    file.write_text(json.dumps(words, indent=2), encoding="utf-8")
    return file


def save_data(folder: Path, entry_id: int, n: int = 3, *, timestamp: int = 5, data: bytes = QPDATA):
    """What QuPath's save of an image leaves; the path of the data."""
    place = folder / "data" / str(entry_id)
    place.mkdir(parents=True, exist_ok=True)
    (place / "data.qpdata").write_bytes(data)
    hierarchy = {
        "nObjects": n + 1,
        "objectTypeCounts": {"Root objects": 1, "Annotations": n},
        "annotationClassificationCounts": {"Unclassified": n},
        "detectionClassificationCounts": {},
    }
    summary = {"timestamp": timestamp, "imageType": "OTHER", "server": {}, "hierarchy": hierarchy}
    (place / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    return place / "data.qpdata"


def folder_hash(folder: Path) -> dict[str, tuple[int, str]]:
    """Time of change and SHA-256 of every file, and the names of all folders."""
    return {
        str(p.relative_to(folder)): (
            p.stat().st_mtime_ns,
            hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() else "folder",
        )
        for p in sorted(folder.rglob("*"))
    }
