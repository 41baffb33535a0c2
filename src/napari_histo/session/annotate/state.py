"""Everything that the Annotate panel shows, as plain evented data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import ClassVar
from uuid import UUID

from psygnal import SignalGroupDescriptor

from napari_histo.core import Box, ClassScheme, Prompt
from napari_histo.session.segment.state import ImageChoice

__all__ = ["AnnotationState", "Kept", "Outline", "Review", "Tool"]


class Tool(Enum):
    """What the mouse does."""

    CLICK = "click"
    BOX = "box"
    SQUIGGLE = "squiggle"
    PAINT = "paint"
    ERASE = "erase"
    SPLIT = "split"
    PICK = "pick"


class Outline(Enum):
    """Which outline of a cell edits are about."""

    CELL = "cell"
    NUCLEUS = "nucleus"


@dataclass(frozen=True)
class Review:
    """Where a walk through the objects stands.

    Attributes
    ----------
    position, total : int
        The object under review is number `position` (from 1) of `total`.
    object_id : UUID
    box : Box
        Its bounds, full-resolution px: bring them into view.
    """

    position: int
    total: int
    object_id: UUID
    box: Box


@dataclass(frozen=True)
class Kept:
    """What is safe.

    Attributes
    ----------
    target : Path or None
        The file of the objects; None while there is none.
    n_unsaved : int
        Changes that it does not hold; the journal does.
    saved_at : datetime or None
        When it was last saved from here.
    """

    target: Path | None = None
    n_unsaved: int = 0
    saved_at: datetime | None = None


@dataclass(eq=False)
class AnnotationState:
    """State of the Annotate panel; `events` has a signal for each field.

    Only `AnnotationController` changes it, and only in the thread of the window.

    Attributes
    ----------
    image : ImageChoice or None
    is_open : bool
        True once the objects of the image can be edited.
    typed_um : float or None
        Pixel size as the user typed it, µm.
    tool : Tool
    outline : Outline
        That brushes, smoothing and clicks change; objects without a nucleus have but one.
    brush_px : float
        Radius of the brush, full-resolution px.
    classes : ClassScheme
    current_class : str or None
        Class of new objects.
    counts : mapping of str or None to int
        Objects by class; None counts unclassified ones.
    selection : tuple of UUID
    active : UUID or None
        Object that an excluding or adding click refines; it may be on its way still.
    prompts : tuple of Prompt
        Gestures of the active object, full-resolution px.
    in_flight : int
        Gestures whose answers are awaited.
    undo_name, redo_name : str
        What would be undone and redone; empty where nothing.
    kept : Kept
    review : Review or None
    notice, error : str
        The one thing to tell the user; empty when there is none.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    image: ImageChoice | None = None
    is_open: bool = False
    typed_um: float | None = None
    tool: Tool = Tool.CLICK
    outline: Outline = Outline.CELL
    brush_px: float = 8.0
    classes: ClassScheme = field(default_factory=ClassScheme)
    current_class: str | None = None
    counts: Mapping[str | None, int] = field(default_factory=dict)
    selection: tuple[UUID, ...] = ()
    active: UUID | None = None
    prompts: tuple[Prompt, ...] = ()
    in_flight: int = 0
    undo_name: str = ""
    redo_name: str = ""
    kept: Kept = field(default_factory=Kept)
    review: Review | None = None
    notice: str = ""
    error: str = ""

    @property
    def n_objects(self) -> int:
        """Objects of all classes."""
        return sum(self.counts.values())
