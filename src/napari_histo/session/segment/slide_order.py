"""A whole-slide run as it was asked for, and how it is carried out."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_histo.core import (
    Box,
    CancelToken,
    ObjectTable,
    Progress,
    Segmenter,
    SlideInfo,
    result_of,
)
from napari_histo.core.slide import SlideReader
from napari_histo.ops.tissue import TissueMask
from napari_histo.pipeline import RunRequest, SegmentRequest, SlideRun, segment_slide
from napari_histo.pipeline.run_request import facts_of
from napari_histo.pipeline.tissue import find_tissue_steps
from napari_histo.session.jobs import Report
from napari_histo.session.segment.candidates import Result
from napari_histo.session.segment.cells import CellMaker, CellsBy
from napari_histo.session.segment.growing import Growing, Part, heat_grid
from napari_histo.session.segment.order import Order
from napari_histo.session.segment.run_place import Found, RunPlace, find_place
from napari_histo.session.segment.statistics import Statistics
from napari_histo.slides._base import BaseReader
from napari_histo.store import load_objects

__all__ = ["Begun", "Outcome", "SlideFunction", "SlideOrder"]

#: As `napari_histo.pipeline.segment_slide`.
SlideFunction = Callable[..., Generator[Progress, None, SlideRun]]


@dataclass(frozen=True, eq=False)
class Begun:
    """A run has its folder, and nothing else yet."""

    place: RunPlace
    growing: Growing


@dataclass(frozen=True, eq=False)
class Outcome:
    """How a run ended.

    Attributes
    ----------
    result : Result
        All objects, or those that were settled when it was stopped.
    whole : Part or None
        The same for `Growing.finish`; None where the run was stopped.
    stopped : BaseException or None
        Why.
    has_tissue : bool
        False where no tissue was found.
    notes : tuple of str
        What the user should know.
    """

    result: Result
    whole: Part | None = None
    stopped: BaseException | None = None
    has_tissue: bool = True
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class SlideOrder:
    """A run as it was asked for, whatever the user changes meanwhile.

    Attributes
    ----------
    order : Order
    tissue_only : bool
        Find the tissue first, and look nowhere else. Drawn shapes say by themselves where to look.
    data_folder : Path or None
        Where runs are kept that cannot lie beside the image; None for the user's.
    """

    order: Order
    tissue_only: bool
    data_folder: Path | None = None

    def carry_out(
        self,
        model: Segmenter,
        cancel: CancelToken,
        report: Report,
        segment: SlideFunction = segment_slide,
    ) -> Outcome:
        """Run, or go on with the same run. For a thread of its own.

        Reports `Begun`, each `Part`, and `Progress`.

        Raises
        ------
        Cancelled, HistoError
            Before there was anything to show.
        """
        reader = _Named(self.order.image.reader, self._name())
        tissue = self._tissue(reader, cancel, report)
        request = RunRequest(
            self._request(reader, report), tissue, resume=True, options=self._options()
        )
        facts = facts_of(reader, model, request)
        place = find_place(self.order.image.path, reader.info.name, facts, self.data_folder)
        info = replace(reader.info, pixel_size=request.segment.pixel_size)
        order = self.order
        report(Begun(place, Growing(order.run, order.image.key, info, order.model, place.folder)))
        heat = heat_grid(info, len(order.model.classes))
        parts: dict[int, ObjectTable] = {}

        def on_part(tile: int, table: ObjectTable) -> None:
            parts[tile] = table
            report(Part.of(tile, table, heat))

        steps = segment(reader, model, place.folder, request, cancel, on_part=on_part)
        try:
            run = result_of(steps, report)
        except Exception as error:
            if not parts:
                _clean_up(place)
                raise
            table = ObjectTable.concat([parts[tile] for tile in sorted(parts)])
            return Outcome(self._result(table, info, place.folder), stopped=error)
        report(Progress(run.n_tiles, run.n_tiles, "Opening all objects", run.n_objects))
        parts.clear()
        table = load_objects(run.objects)
        if order.cells.by is CellsBy.GROW:
            table = CellMaker(order.cells, info.box, info.pixel_size).of(table, cancel, report)
        result = self._result(table, info, place.folder)
        whole = Part.of(0, result.table, heat)
        return Outcome(result, whole, None, run.n_tiles > 0, run.notes)

    def _name(self) -> str:
        """The file's name: layers of the same file may be named otherwise the next time."""
        image = self.order.image
        return image.reader.info.name if image.path is None else image.path.name

    def _request(self, reader: SlideReader, report: Report) -> SegmentRequest:
        """Everything is looked at but for what a box or the tissue leaves out."""
        region, info = self.order.region, reader.info
        one = region.boxes[0] if len(region.boxes) == 1 else info.box
        box: Box | None = None if region.outlines is not None or one == info.box else one
        return replace(self.order.fitted(reader, report), region=box, min_prob=None)

    def _options(self) -> tuple[tuple[str, Any], ...]:
        """As the command line names it, for a run is the same wherever it is gone on with."""
        um = self.order.diameter_um
        return () if um is None else (("diameter_um", um),)

    def _tissue(
        self, reader: SlideReader, cancel: CancelToken, report: Report
    ) -> TissueMask | None:
        outlines = self.order.region.outlines
        if outlines is not None:
            return TissueMask.from_contours(outlines, reader.info)
        if not self.tissue_only:
            return None
        size = self.order.request.pixel_size
        return result_of(find_tissue_steps(reader, pixel_size=size, cancel=cancel), report)

    def _result(self, table: ObjectTable, info: SlideInfo, folder: Path) -> Result:
        order, thresholds = self.order, self.order.request.thresholds
        assert thresholds is not None
        _ = table.contours.bounds  # kept by the table: here no window waits for it
        return Result(
            order.run,
            order.image.key,
            table,
            thresholds,
            Statistics.of(table, info.pixel_size),
            order.model,
            info,
            order.region,
            None,
            folder,
        )


class _Named(BaseReader):
    """A reader under another name."""

    def __init__(self, reader: SlideReader, name: str) -> None:
        super().__init__(replace(reader.info, name=name))
        self._reader = reader

    def _read_inside(self, box: Box, level: int) -> NDArray[Any]:
        return self._reader.read(box, level)

    def _release(self) -> None:
        """The layer still reads from it."""


def _clean_up(place: RunPlace) -> None:
    """A run that did nothing leaves nothing behind."""
    if place.found is Found.NOTHING and not any((place.folder / "proposals").glob("*.npz")):
        with suppress(OSError):
            shutil.rmtree(place.folder)
