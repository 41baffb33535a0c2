"""Whether the Segment panel's nuclei become cells, and how."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from napari_histo.core import (
    Box,
    CancelToken,
    ModelInfo,
    ObjectTable,
    PixelSize,
    Progress,
    result_of,
)
from napari_histo.core.cell_join import JoinRequest
from napari_histo.pipeline.cells import join_cells
from napari_histo.pipeline.grow import grow_cells
from napari_histo.session.jobs import Report

__all__ = ["CellMaker", "CellsBy", "CellsChoice"]


class CellsBy(Enum):
    """Where cells come from."""

    NONE = "none"
    GROW = "grow"
    MODEL = "model"


@dataclass(frozen=True)
class CellsChoice:
    """What the user chose.

    Attributes
    ----------
    by : CellsBy
    um : float
        How far nuclei grow.
    model : ModelInfo or None
        Finds the cells.
    channel : int or None
        That it looks at; None where there is no choice.
    """

    by: CellsBy = CellsBy.NONE
    um: float = 5.0
    model: ModelInfo | None = None
    channel: int | None = None

    def blocker(self, pixel_size: PixelSize | None, *, is_slide_run: bool) -> str:
        """Why a run cannot start, in the user's words; empty when it can."""
        if self.by is CellsBy.GROW and pixel_size is None:
            return "Type the pixel size first: cells grow by µm."
        if self.by is not CellsBy.MODEL:
            return ""
        if self.model is None:
            return "Choose the model that finds the cells."
        if is_slide_run:
            return (
                "Whole slides take cells from a second model at the command line alone "
                "(napari-histo segment --cells). Choose the current view, or let nuclei grow."
            )
        return ""


@dataclass(frozen=True, eq=False)
class CellMaker:
    """Makes cells of nuclei, as often as other nuclei are chosen. Any thread may call.

    Attributes
    ----------
    choice : CellsChoice
    extent : Box
        The image.
    pixel_size : PixelSize or None
    found : ObjectTable or None
        What the second model found.
    """

    choice: CellsChoice
    extent: Box
    pixel_size: PixelSize | None
    found: ObjectTable | None = None

    def of(
        self,
        nuclei: ObjectTable,
        cancel: CancelToken | None = None,
        report: Report | None = None,
    ) -> ObjectTable:
        """Cells with nuclei; nuclei and cells without a partner stay as they are.

        Raises
        ------
        Cancelled
        """
        if self.found is not None:
            both = (nuclei, self.found)
            work = join_cells(*both, JoinRequest(), extent=self.extent, cancel=cancel)
            return result_of(work, report or _silently).table
        if self.choice.by is not CellsBy.GROW or self.pixel_size is None:
            return nuclei
        grown: ObjectTable = result_of(
            grow_cells(
                nuclei,
                self.choice.um,
                extent=self.extent,
                pixel_size=self.pixel_size,
                cancel=cancel,
            ),
            report or _silently,
        )
        return grown


def _silently(_: Progress) -> None:
    """Nobody waits for it."""
