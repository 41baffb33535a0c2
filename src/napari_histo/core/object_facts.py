"""What is said of single objects: their state and kind, and what few of them carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any
from uuid import UUID

__all__ = ["Details", "ObjectState", "ObjectType"]


class ObjectState(IntEnum):
    """How far an object has come."""

    PREDICTED = 0  #: a model's word, nobody looked yet
    ACCEPTED = 1  #: a person confirmed it
    EDITED = 2  #: a person changed it
    DRAWN = 3  #: a person drew it
    REJECTED = 4  #: a person refused it; kept so that it does not come back


class ObjectType(IntEnum):
    """QuPath's ``objectType``."""

    DETECTION = 0
    ANNOTATION = 1
    CELL = 2
    TILE = 3
    TMA_CORE = 4
    ROOT = 5


@dataclass(frozen=True)
class Details:
    """What few objects carry; kept by id beside the columns, so that a million nuclei cost nothing.

    Attributes
    ----------
    name, description : str or None
        As given in QuPath.
    rgb : (int, int, int) or None
        Colour of this object alone; None where its class decides.
    locked : bool
        QuPath's lock.
    metadata : mapping of str to str
        QuPath's metadata.
    geometry_extra : mapping
        Members that QuPath adds to a geometry: ``plane``, ``isEllipse``.
    parent_id : UUID or None
        Parent in QuPath's hierarchy.
    """

    name: str | None = None
    description: str | None = None
    rgb: tuple[int, int, int] | None = None
    locked: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)
    geometry_extra: Mapping[str, Any] = field(default_factory=dict)
    parent_id: UUID | None = None
