"""One image segmented, the way that suits its size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from napari_histo.cli._console import drive, err, say_choices
from napari_histo.cli._slide import Cluster, Slide
from napari_histo.cli._targets import is_run_folder
from napari_histo.core import Box, CancelToken, ClassScheme, Segmenter, SlideInfo, SlideReader

if TYPE_CHECKING:
    from napari_histo.ops.tissue import TissueMask
    from napari_histo.pipeline import SegmentRequest
    from napari_histo.pipeline.colour_choice import ColourChoice

__all__ = ["CellsStep", "Done", "Job"]

#: Larger regions go by way of a run folder, full-resolution px: 8192 x 8192.
_LARGE_PX = 1 << 26


class CellsStep(Protocol):
    """How a job's nuclei become cells."""

    def run(
        self, nuclei: Job, image: Path, target: Path, cancel: CancelToken, *, in_batch: bool = False
    ) -> Done:
        """Nuclei by the job, then cells, in the target."""
        ...

    def facts(self) -> dict[str, Any]:
        """What decides which cells are found."""
        ...


@dataclass(frozen=True)
class Job:
    """One run of the command; every image is treated alike.

    Attributes
    ----------
    model : Segmenter
    request : SegmentRequest
    classes : ClassScheme or None
    z, series : int or None
        None where the user said nothing.
    tissue : str or None
    resume : bool
    cluster : Cluster or None
    debug : bool
    diameter_um : float or None
        That the model was loaded for.
    colours : ColourChoice or None
        What is done to each slide's colours first.
    cells : CellsStep or None
        How the nuclei that are found become cells.
    """

    model: Segmenter
    request: SegmentRequest
    classes: ClassScheme | None
    z: int | None
    series: int | None
    tissue: str | None
    resume: bool
    cluster: Cluster | None
    debug: bool
    diameter_um: float | None = None
    colours: ColourChoice | None = None
    cells: CellsStep | None = None

    def run(
        self, image: Path, target: Path, cancel: CancelToken, *, in_batch: bool = False
    ) -> Done:
        """Segment an image.

        In a batch `resume` is about the batch: small images are done as they were begun, in
        memory.

        Raises
        ------
        HistoError
        """
        from napari_histo.slides import open_image

        if self.cells is not None:
            nuclei = replace(self, cells=None)
            return self.cells.run(nuclei, image, target, cancel, in_batch=in_batch)
        is_run = self.tissue is not None or self.cluster is not None
        with open_image(image, z=self.z or 0, series=self.series or 0) as reader:
            say_choices(reader.info, z=self.z, series=self.series)
            self._say_channels(reader.info)
            fitted = replace(self, request=self._in_colours(reader))
            region = self.request.region or reader.info.box
            is_run |= is_run_folder(target) or region.area > _LARGE_PX
            if is_run or (self.resume and not in_batch):
                return fitted._run_slide(reader, target, cancel)
            return fitted._run_whole(reader, target, cancel)

    def _in_colours(self, reader: SlideReader) -> SegmentRequest:
        """The request for one slide, whose colours are looked at as a whole."""
        if self.colours is None:
            return self.request
        colours = self.colours.fit(reader)
        stains = None if colours is None else colours.stains
        if stains is not None and self.colours.stains == "default":
            err.print(
                f"{reader.info.name}: {self.model.info.name} is shown the haematoxylin alone "
                "(--stain chooses; 'none' averages the colours).",
                markup=False,
            )
        elif stains is not None and self.colours.stains.startswith("auto"):
            found = stains.describe()
            err.print(f"Stains found, as QuPath takes them: {found}", markup=False)
        return replace(self.request, colours=colours)

    def _say_channels(self, image: SlideInfo) -> None:
        """Which channels were found by their names."""
        asked, model = self.request, self.model.info
        if not model.takes_two_channels or asked.channel is not None:
            return
        if words := asked.pick_channels(image, model).words(image):
            err.print(f"{image.name}: {words}", markup=False)

    def _run_whole(self, reader: SlideReader, target: Path, cancel: CancelToken) -> Done:
        """A small image, in memory."""
        from napari_histo.pipeline import segment
        from napari_histo.store import check_output, save_objects

        check_output(target)
        result = drive(segment(reader, self.model, self.request, cancel), reader.info.name)
        table = result.table
        if self.classes is not None:
            table = table.with_columns(classes=self.classes)
        cancel.raise_if_cancelled()
        save_objects(target, table, info=replace(reader.info, pixel_size=result.pixel_size))
        return self._done(len(table), target, reader)

    def _run_slide(self, reader: SlideReader, target: Path, cancel: CancelToken) -> Done:
        """A slide, by way of a run folder that can be gone on with."""
        from napari_histo.pipeline import RunRequest

        options: tuple[tuple[str, Any], ...] = (("z", self.z or 0), ("series", self.series or 0))
        if self.diameter_um is not None:
            options += (("diameter_um", self.diameter_um),)
        request = RunRequest(
            self.request, resume=self.resume, classes=self.classes, options=options
        )
        work = Slide(reader, self.model, request, self.tissue, cancel, self.cluster)
        into = work.run if is_run_folder(target) else work.run_and_export
        objects, n, tissue = into(target)
        return self._done(n, objects, reader, tissue)

    def _done(
        self, n: int, path: Path, reader: SlideReader, tissue: TissueMask | None = None
    ) -> Done:
        whole = reader.info.box
        region = whole.intersect(self.request.region or whole)
        area_px = float(region.area) if tissue is None else _tissue_px(tissue, region)
        kind = "tissue" if tissue is not None else "image" if region == whole else "region"
        size = self.request.pixel_size or reader.info.pixel_size
        return Done(n, path, None if size is None else area_px * size.area_um2 / 1e6, kind)


@dataclass(frozen=True)
class Done:
    """What came of one image.

    Attributes
    ----------
    n_objects : int
    path : Path
        Of the result.
    area_mm2 : float or None
        Where it was looked; None where nobody knows the pixel size.
    area_of : str
        ``image``, ``region`` or ``tissue``.
    """

    n_objects: int
    path: Path
    area_mm2: float | None
    area_of: str


def _tissue_px(tissue: TissueMask, region: Box) -> float:
    """Area of the tissue in a region, px²; cells on its border count whole."""
    x, y = tissue.cell_px
    rows, columns = tissue.cells.shape
    box = region.scale(1 / x, 1 / y).intersect(Box(0, 0, columns, rows))
    inside = replace(tissue, cells=tissue.cells[box.y : box.bottom, box.x : box.right])
    return min(inside.area_px, float(region.area))
