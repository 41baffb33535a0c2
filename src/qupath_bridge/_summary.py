# SPDX-License-Identifier: GPL-3.0-or-later
"""``summary.json``: what QuPath counted when it last saved an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_histo.errors import BridgeError
from qupath_bridge._json_files import read_json_object

__all__ = ["Summary", "read_summary"]


@dataclass(frozen=True)
class Summary:
    """An image's objects at QuPath's last save.

    Attributes
    ----------
    timestamp_ms : int
        When ``data.qpdata`` was saved, milliseconds since 1970.
    image_type : str
        ``BRIGHTFIELD_H_E``, ``FLUORESCENCE``, …
    n_objects : int
        Without the root, which QuPath counts as one.
    by_type : mapping of str to int
        In QuPath's words: ``Annotations``, ``Detections``, ``Cells``, ``Tiles``, ``TMA cores``.
    annotations, detections : mapping of str to int
        Count by class; QuPath calls those without one ``Unclassified``.
    """

    timestamp_ms: int
    image_type: str = ""
    n_objects: int = 0
    by_type: Mapping[str, int] = field(default_factory=dict)
    annotations: Mapping[str, int] = field(default_factory=dict)
    detections: Mapping[str, int] = field(default_factory=dict)


def read_summary(path: Path) -> Summary | None:
    """The summary in a file; None where there is no file.

    Raises
    ------
    BridgeError
        It is damaged.
    """
    if not path.is_file():
        return None
    remedy = "Open the image in QuPath and save it, which writes the summary anew."
    words = read_json_object(path, what="Summary", remedy=remedy)
    try:
        return _parse(words)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise BridgeError(
            f"Summary {path} is not as QuPath writes it ({type(error).__name__}: {error}). {remedy}"
        ) from error


def _parse(words: Mapping[str, Any]) -> Summary:
    hierarchy = words.get("hierarchy") or {}
    by_type = _counts(hierarchy.get("objectTypeCounts"))
    n_root = by_type.pop("Root objects", 0)
    return Summary(
        timestamp_ms=int(words["timestamp"]),
        image_type=str(words.get("imageType") or ""),
        n_objects=max(0, int(hierarchy.get("nObjects", 0)) - n_root),
        by_type=by_type,
        annotations=_counts(hierarchy.get("annotationClassificationCounts")),
        detections=_counts(hierarchy.get("detectionClassificationCounts")),
    )


def _counts(words: Mapping[str, Any] | None) -> dict[str, int]:
    return {str(name): int(count) for name, count in (words or {}).items()}
