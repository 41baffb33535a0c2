"""What a run found, kept so that other thresholds choose from it without the network."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from napari_histo.core import ModelInfo, ObjectTable, PixelSize, SlideInfo, Thresholds
from napari_histo.pipeline import Segmentation
from napari_histo.session.segment.cells import CellMaker
from napari_histo.session.segment.region import Region
from napari_histo.session.segment.statistics import Statistics

__all__ = ["Candidates", "Result"]


class Candidates:
    """Proposals of one run, of one or more boxes. One thread at a time may call.

    Parameters
    ----------
    parts : sequence of Segmentation
        One a box of `region`.
    region : Region
    lowest_prob : float
        Probability down to which proposals were kept.
    cells : CellMaker, optional
        Makes cells of what is chosen.
    """

    def __init__(
        self,
        parts: Sequence[Segmentation],
        region: Region,
        lowest_prob: float,
        cells: CellMaker | None = None,
    ) -> None:
        self.lowest_prob = lowest_prob
        self._region, self._cells = region, cells
        self._parts = list(parts)

    @property
    def pixel_size(self) -> PixelSize | None:
        """Of the image, as the run took it."""
        return self._parts[0].pixel_size

    def choose(self, thresholds: Thresholds) -> ObjectTable:
        """Objects at other thresholds; one that was there before keeps its id.

        The parts always stand at the lowest probability: from there another probability is a plain
        filter, and only another overlap compares the proposals again. Not so where another
        probability finds other objects.
        """
        floor = replace(thresholds, prob=min(self.lowest_prob, thresholds.prob))
        if self._parts[0].thresholds != floor and not self._parts[0].finds_anew:
            self._parts = [part.reselect(floor) for part in self._parts]
        tables = [part.reselect(thresholds).table for part in self._parts]
        table = tables[0] if len(tables) == 1 else ObjectTable.concat(tables)
        if self._region.outlines is not None:
            table = table.select(self._region.holds(table.centroids))
        if self._cells is not None:
            table = self._cells.of(table)
        _ = table.contours.bounds  # kept by the table: here no window waits for it
        return table


@dataclass(frozen=True, eq=False)
class Result:
    """What stands on the screen.

    Attributes
    ----------
    run : int
        Number of the run that found it; the same while only thresholds move.
    image_key : hashable
        Of the image, as in `ImageChoice`.
    table : ObjectTable
        Full-resolution px.
    thresholds : Thresholds
        That `table` was chosen with.
    statistics : Statistics
    model : ModelInfo
    info : SlideInfo
        The image, with the pixel size that the run took.
    region : Region
    candidates : Candidates or None
        None for whole-slide runs, which keep what was chosen alone.
    folder : Path or None
        Of a whole-slide run.
    """

    run: int
    image_key: Hashable
    table: ObjectTable
    thresholds: Thresholds
    statistics: Statistics
    model: ModelInfo
    info: SlideInfo
    region: Region
    candidates: Candidates | None
    folder: Path | None = None

    def at(self, thresholds: Thresholds) -> Result:
        """Chosen anew where there are candidates. Any thread may call, one at a time."""
        if self.candidates is None:
            return self
        table = self.candidates.choose(thresholds)
        statistics = Statistics.of(table, self.info.pixel_size)
        return replace(self, table=table, thresholds=thresholds, statistics=statistics)
