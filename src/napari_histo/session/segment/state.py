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
from napari_histo.pipeline.colour_choice import ColourChoice
from napari_histo.session.segment.candidates import Result
from napari_histo.session.segment.cells import CellsChoice
from napari_histo.session.segment.growing import Growing
from napari_histo.session.segment.pace import Pace

__all__ = ["ImageChoice", "Phase", "Saved", "Scope", "SegmentState", "needs_folder"]

#: Larger regions go by way of a run folder, full-resolution px: 8192 x 8192.
_LARGE_PX = 1 << 26


def needs_folder(area_px: int) -> bool:
    """True for areas that are too large to be segmented in memory."""
    return area_px > _LARGE_PX


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
    path : Path or None
        File of the image, where it has one.
    channel, nuclear_channel : int or None
        Of the reader's channels; None where there is no choice. See `SegmentRequest`.
    cells_reader : SlideReader or None
        What a second model sees that finds cells: their channel, perhaps with the nuclei's behind
        it; None where it sees the same.
    """

    key: Hashable
    reader: SlideReader
    hint_um: float | None = None
    path: Path | None = None
    channel: int | None = None
    nuclear_channel: int | None = None
    cells_reader: SlideReader | None = None

    @property
    def is_large(self) -> bool:
        """True where the whole image is too large to be segmented in memory."""
        return needs_folder(self.reader.info.box.area)


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
    tissue_only : bool
        Whether whole-slide runs find the tissue first and look nowhere else.
    typed_um : float or None
        Pixel size as the user typed it, µm; it wins over the image's own.
    diameter_um : float or None
        Of the objects to find, as the user typed it, for models that are scaled to it.
    colours : ColourChoice
        What is done to the image's colours before the model looks.
    cells : CellsChoice
        Whether the nuclei of the next run become cells.
    thresholds : Thresholds
        For the next run, and of the result while `is_live`.
    phase : Phase
    progress : Progress or None
        Of the run that is under way.
    pace : Pace or None
        Of a whole-slide run, once it can be told.
    growing : Growing or None
        What a whole-slide run has found; it stays when the run is over.
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
    tissue_only: bool = True
    typed_um: float | None = None
    diameter_um: float | None = None
    colours: ColourChoice = field(default_factory=ColourChoice)
    cells: CellsChoice = field(default_factory=CellsChoice)
    thresholds: Thresholds = field(default_factory=Thresholds)
    phase: Phase = Phase.IDLE
    progress: Progress | None = None
    pace: Pace | None = None
    growing: Growing | None = None
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
        """True where the model works at one pixel size and the image's is unknown.

        So does every model that is scaled to a diameter in µm.
        """
        model = self.model
        if self.image is None or model is None or self.pixel_size is not None:
            return False
        if self.diameter_um is not None:
            return True
        return model.pixel_size_um is not None and not model.pixel_size_nominal

    @property
    def is_live(self) -> bool:
        """True while moving a threshold chooses anew from the result."""
        return self.is_of_result and self.result is not None and bool(self.result.candidates)

    @property
    def is_of_result(self) -> bool:
        """True while image and model are those of the result."""
        result, image, model = self.result, self.image, self.model
        if result is None or image is None or model is None:
            return False
        return result.image_key == image.key and result.model.name == model.name

    @property
    def is_slide_run(self) -> bool:
        """True where the whole image is wanted and goes by way of a run folder."""
        return self.image is not None and self.scope is Scope.WHOLE and self.image.is_large

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
        return self.cells.blocker(self.pixel_size, is_slide_run=self.is_slide_run)
