"""A run as it was asked for, and how it is carried out."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace

from napari_histo.core import (
    CancelToken,
    ModelInfo,
    ObjectTable,
    PixelSize,
    Progress,
    Segmenter,
    SlideReader,
    result_of,
)
from napari_histo.core.segmenters import FieldSegmenter, ScaledSegmenter
from napari_histo.pipeline import Segmentation, SegmentRequest
from napari_histo.pipeline.colour_choice import ColourChoice
from napari_histo.session.jobs import Report
from napari_histo.session.segment.candidates import Candidates, Result
from napari_histo.session.segment.cells import CellMaker, CellsBy, CellsChoice
from napari_histo.session.segment.region import Region
from napari_histo.session.segment.state import ImageChoice
from napari_histo.session.segment.statistics import Statistics

__all__ = ["Order", "SegmentFunction"]

#: As `napari_histo.pipeline.segment`.
SegmentFunction = Callable[..., Generator[Progress, None, Segmentation]]


@dataclass(frozen=True, eq=False)
class Order:
    """A run as it was asked for, whatever the user changes meanwhile."""

    run: int
    image: ImageChoice
    model: ModelInfo
    device: str
    region: Region
    request: SegmentRequest
    colours: ColourChoice = field(default_factory=ColourChoice)
    diameter_um: float | None = None
    cells: CellsChoice = field(default_factory=CellsChoice)
    finder: Segmenter | None = None

    def scaled(self, model: Segmenter) -> Segmenter:
        """The model for the objects that are looked for.

        Raises
        ------
        ModelError
        """
        if self.diameter_um is None or not isinstance(model, ScaledSegmenter):
            return model
        return model.at_diameter(self.diameter_um)

    def fitted(self, reader: SlideReader, report: Report) -> SegmentRequest:
        """The request with the colours as they are fitted to the whole slide.

        Raises
        ------
        ImageError, StainError
        """
        if self.colours.is_none:
            return self.request
        report(Progress(0, 0, "Looking at the colours of the slide"))
        return replace(self.request, colours=self.colours.fit(reader))

    def carry_out(
        self, model: Segmenter, segment: SegmentFunction, cancel: CancelToken, report: Report
    ) -> Result:
        """Segment box by box. For a thread of its own.

        Raises
        ------
        Cancelled, HistoError
        """
        fitted = self.fitted(self.image.reader, report)
        parts = self._parts(model, fitted, segment, cancel, report)
        cells = self._cell_maker(fitted, parts[0].pixel_size, segment, cancel, report)
        return self._result(parts, cells)

    def _parts(
        self,
        model: Segmenter,
        request: SegmentRequest,
        segment: SegmentFunction,
        cancel: CancelToken,
        report: Report,
    ) -> list[Segmentation]:
        parts, request = [], replace(request, tile_px=_tile_px(model, request))
        for i, box in enumerate(self.region.boxes):
            steps = segment(self.image.reader, model, replace(request, region=box), cancel)
            parts.append(result_of(steps, _shares(report, i, len(self.region.boxes))))
        cancel.raise_if_cancelled()
        return parts

    def _cell_maker(
        self,
        request: SegmentRequest,
        pixel_size: PixelSize | None,
        segment: SegmentFunction,
        cancel: CancelToken,
        report: Report,
    ) -> CellMaker | None:
        """What makes cells of nuclei, as often as thresholds move; None where none are wanted."""
        extent = self.image.reader.info.box
        if self.cells.by is CellsBy.NONE:
            return None
        if self.finder is None:
            return CellMaker(self.cells, extent, pixel_size)
        reader = self.image.cells_reader
        request = replace(request, thresholds=self.finder.info.thresholds, min_prob=None)
        if reader is not None:
            two = (0, 1) if reader.info.n_channels > 1 else (None, None)
            request = replace(request, channel=two[0], nuclear_channel=two[1])
        looked = replace(self, image=replace(self.image, reader=reader or self.image.reader))
        parts = looked._parts(self.finder, request, segment, cancel, report)
        found = ObjectTable.concat([part.table for part in parts])
        return CellMaker(self.cells, extent, pixel_size, found)

    def _result(self, parts: list[Segmentation], cells: CellMaker | None) -> Result:
        thresholds = self.request.thresholds
        assert thresholds is not None
        lowest = max(part.min_prob for part in parts)
        candidates = Candidates(parts, self.region, lowest, cells)
        table = candidates.choose(thresholds)
        return Result(
            self.run,
            self.image.key,
            table,
            thresholds,
            Statistics.of(table, candidates.pixel_size),
            self.model,
            replace(self.image.reader.info, pixel_size=candidates.pixel_size),
            self.region,
            candidates,
        )


def _tile_px(model: Segmenter, request: SegmentRequest) -> int | None:
    """Smaller tiles for slow networks: a run can be stopped between them alone."""
    if request.tile_px is None or not isinstance(model, FieldSegmenter):
        return request.tile_px
    return min(request.tile_px, model.patient_px)


def _shares(report: Report, part: int, n_parts: int) -> Report:
    """Progress of one of several boxes as a share of the whole."""
    if n_parts == 1:
        return report

    def tell(p: Progress) -> None:
        done = part * 1000 + round(1000 * p.fraction)
        message = f"{p.message} in region {part + 1} of {n_parts}"
        report(replace(p, done=done, total=1000 * n_parts, message=message))

    return tell
