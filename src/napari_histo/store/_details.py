"""Details of objects as plain JSON values and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from napari_histo.core import Details

__all__ = ["details_from_json", "details_to_json"]


def details_to_json(details: Details) -> dict[str, Any]:
    """Members that say something; the others are left out."""
    values = {
        "name": details.name,
        "description": details.description,
        "rgb": details.rgb,
        "locked": details.locked or None,
        "metadata": dict(details.metadata),
        "geometry_extra": dict(details.geometry_extra),
        "parent_id": str(details.parent_id) if details.parent_id else None,
    }
    return {k: v for k, v in values.items() if v is not None and v != {}}


def details_from_json(values: Mapping[str, Any]) -> Details:
    """Back from `details_to_json`."""
    members = dict(values)
    if "rgb" in members:
        members["rgb"] = tuple(members["rgb"])
    if "parent_id" in members:
        members["parent_id"] = UUID(members["parent_id"])
    return Details(**members)
