"""Everything that the Segment panel shows, as plain evented data."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import ClassVar

from psygnal import SignalGroupDescriptor

from napari_histo.core import ModelInfo, PixelSize, Progress, SlideReader, Thresholds
from napari_histo.session.candidates import Result

__all__ = ["ImageChoice", "Phase", "Saved", "Scope", "SegmentState"]


class Phase(Enum):
    """What is going on."""

    IDLE = "idle"
    RUNNING = "running"
    CANCELLING = "cancelling"


class Scope(Enum):
    """Which part of the image is wanted."""

    WHOLE = "Whole image"
    VIEW = "Current view"
    SHAPES = "Drawn shapes"


@dataclass(frozen=True, eq=False)
class ImageChoice:
    """The image to work on.

    Attributes
    ----------
    key : hashable
        Tells images apart; what the user typed for one is remembered under it.
    reader : SlideReader
    hint_um : float or None
        A number that might be the pixel size though nobody says that it is µm.
    """

    key: Hashable
    reader: SlideReader
    hint_um: float | None = None


@dataclass(frozen=True)
class Saved:
    """A file that holds the result as it stands."""

    path: Path
    at: datetime


@dataclass(eq=False)
class SegmentState:
    """State of the Segment panel; `events` has a signal for each field.

    Only `SegmentController` changes it, and only in the thread of the window.

    Attributes
    ----------
    image : ImageChoice or None
    model : ModelInfo or None
    device : str
    devices : tuple of str
        To choose from.
    scope : Scope
    typed_um : float or None
        Pixel size as the user typed it, µm; it wins over the image's own.
    thresholds : Thresholds
        For the next run, and of the result while `is_live`.
    phase : Phase
    progress : Progress or None
        Of the run that is under way.
    result : Result or None
        The last one.
    saved : Saved or None
        None while the result is not in a file.
    notice, error : str
        The one thing to tell the user; empty when there is none.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    image: ImageChoice | None = None
    model: ModelInfo | None = None
    device: str = "auto"
    devices: tuple[str, ...] = ("auto",)
    scope: Scope = Scope.WHOLE
    typed_um: float | None = None
    thresholds: Thresholds = field(default_factory=Thresholds)
    phase: Phase = Phase.IDLE
    progress: Progress | None = None
    result: Result | None = None
    saved: Saved | None = None
    notice: str = ""
    error: str = ""

    @property
    def pixel_size(self) -> PixelSize | None:
        """Pixel size that a run would take."""
        if self.typed_um is not None:
            return PixelSize.square(self.typed_um)
        return None if self.image is None else self.image.reader.info.pixel_size

    @property
    def needs_pixel_size(self) -> bool:
        """True where the model works at one pixel size and the image's is unknown."""
        model = self.model
        if self.image is None or model is None or self.pixel_size is not None:
            return False
        return model.pixel_size_um is not None and not model.pixel_size_nominal

    @property
    def is_live(self) -> bool:
        """True while moving a threshold chooses anew from the result."""
        result, image, model = self.result, self.image, self.model
        if result is None or image is None or model is None:
            return False
        return result.image_key == image.key and result.model.name == model.name

    @property
    def blocker(self) -> str:
        """Why a run cannot start, in the user's words; empty when it can."""
        if self.phase is not Phase.IDLE:
            return "A run is under way."
        if self.image is None:
            return "Open an image first."
        if self.model is None:
            return "Choose a model."
        if self.needs_pixel_size:
            return "Type the pixel size first."
        return ""
