"""``napari-histo segment``: from images to files of objects."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_histo.cli._arguments import DeviceName, parse_pixel_size
from napari_histo.cli._console import cancel_on_interrupt, drive, err, out, say_choices, say_error
from napari_histo.cli._slide import Cluster, Slide
from napari_histo.cli._targets import is_run_folder, pair_up
from napari_histo.core import (
    Box,
    CancelToken,
    ClassScheme,
    PixelSize,
    Segmenter,
    SlideReader,
    Thresholds,
)
from napari_histo.errors import Cancelled, HistoError

if TYPE_CHECKING:
    from napari_histo.pipeline import SegmentRequest

__all__ = ["segment_command"]


class OutputFormat(StrEnum):
    """Kinds of result for several images."""

    GEOJSON = "geojson"
    PARQUET = "parquet"
    LABELS = "labels"


#: Larger regions go by way of a run folder, full-resolution px: 8192 x 8192.
_LARGE_PX = 1 << 26


@dataclass(frozen=True)
class _Job:
    """One run of the command; every image is treated alike."""

    model: Segmenter
    request: SegmentRequest
    classes: ClassScheme | None
    z: int | None
    series: int | None
    tissue: str | None
    resume: bool
    cluster: Cluster | None
    debug: bool

    @property
    def is_run(self) -> bool:
        """True where the user asked for what only a run folder can do."""
        return self.resume or self.tissue is not None or self.cluster is not None


@dataclass(frozen=True)
class _Done:
    """What came of one image."""

    n_objects: int
    path: Path


def segment_command(
    images: Annotated[list[Path], typer.Argument(help="Images, slides, or folders of them.")],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Result: .geojson, .geojson.gz, .parquet, .tif (labels) or .ome.zarr; for one "
            "slide also a run folder; for several images a folder of results.",
        ),
    ],
    model: Annotated[
        str, typer.Option(help="Name ('napari-histo models list') or folder of a model.")
    ] = "he-nuclei",
    device: Annotated[DeviceName, typer.Option(help="Where the network runs.")] = DeviceName.AUTO,
    region: Annotated[
        str | None, typer.Option(metavar="X,Y,W,H", help="Part to segment, full-resolution px.")
    ] = None,
    pixel_size: Annotated[
        str | None,
        typer.Option(
            metavar="UM",
            help="Pixel size in µm where the image has none, or a wrong one; 'model' takes the "
            "image as it is, at the model's own pixel size.",
        ),
    ] = None,
    tile: Annotated[int | None, typer.Option(min=64, help="Side of a tile, model px.")] = None,
    channel: Annotated[
        int | None, typer.Option(min=0, help="Channel with the nuclei, from 0.")
    ] = None,
    prob_thresh: Annotated[
        float | None, typer.Option(min=0, max=1, help="Least probability of an object.")
    ] = None,
    nms_thresh: Annotated[
        float | None, typer.Option(min=0, max=1, help="Largest overlap of two objects.")
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(metavar="A,B,…", help="Names for the model's classes, in their order."),
    ] = None,
    z: Annotated[int | None, typer.Option(min=0, help="Focal plane, from 0.")] = None,
    series: Annotated[
        int | None, typer.Option(min=0, help="Which image of a file with several, from 0.")
    ] = None,
    format_: Annotated[
        OutputFormat | None,
        typer.Option("--format", help="Kind of results in a folder; geojson by default."),
    ] = None,
    tissue: Annotated[
        str | None,
        typer.Option(
            metavar="auto|none|FILE",
            help="Where to look: found by itself (for whole slides the default), everywhere, or "
            "the areas of a file ('napari-histo tissue', QuPath).",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option(help="Go on with a whole-slide run that was stopped.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that share a slide's tiles, on this machine."),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="tcp://HOST:PORT", help="Dask cluster that shares a slide's tiles."),
    ] = None,
    debug: Annotated[bool, typer.Option(help="Show where an unforeseen error came from.")] = False,
) -> None:
    """Find nuclei and write them to a file that QuPath, geopandas or ImageJ reads.

    An existing result of that name is replaced once the new one is complete.
    """
    from napari_histo.models import get_info, is_available, load_model
    from napari_histo.pipeline import SegmentRequest

    box, size = _parse_region(region), parse_pixel_size(pixel_size)
    targets = pair_up(images, output, format_ and format_.value)
    if not is_available(model):
        fetched = get_info(model)
        err.print(f"{model} comes from {fetched.source}\nLicence: {fetched.licence}", markup=False)
        err.print(fetched.description, markup=False)
    segmenter = load_model(model, device=device.value)
    info = segmenter.info
    if pixel_size == "model" and info.pixel_size_um is not None:
        size = PixelSize.square(info.pixel_size_um)
    thresholds = Thresholds(
        info.thresholds.prob if prob_thresh is None else prob_thresh,
        info.thresholds.nms if nms_thresh is None else nms_thresh,
    )
    request = SegmentRequest(box, size, channel, thresholds, tile_px=tile)
    cluster = None
    if workers or scheduler:
        cluster = Cluster(model, device.value, scheduler, workers)
    names = _parse_classes(classes, segmenter)
    job = _Job(segmenter, request, names, z, series, tissue, resume, cluster, debug)
    with cancel_on_interrupt() as cancel:
        all_well = _run_all(job, targets, cancel)
    if not all_well:
        raise typer.Exit(1)


def _run_all(job: _Job, targets: Sequence[tuple[Path, Path]], cancel: CancelToken) -> bool:
    """Segment every image; a bad one is reported and the rest go on. True if all went well."""
    done = 0
    for image, target in targets:
        try:
            started = time.monotonic()
            result = _run_one(job, image, target, cancel)
        except Cancelled:
            out.print(f"{done} of {len(targets)} images done; stopped in {image.name}.")
            raise
        except HistoError as error:
            say_error(str(error))
        except Exception as error:
            if job.debug:
                raise
            say_error(_explained(error, image))
        else:
            done += 1
            seconds = time.monotonic() - started
            found = f"{result.n_objects:,} objects -> {result.path}"
            out.print(f"{image.name}: {found} ({seconds:.1f} s)")
    if len(targets) > 1:
        out.print(f"{done} of {len(targets)} images done.")
    return done == len(targets)


def _explained(error: Exception, image: Path) -> str:
    """What to tell of an error that nobody foresaw; each library words a full memory anew."""
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return (
            f"Memory ran out while segmenting {image.name}. Close other programs, use smaller "
            "tiles (--tile 512), or --device cpu if it was the graphics card's."
        )
    return (
        f"Something unforeseen went wrong with {image.name} ({type(error).__name__}: {error}). "
        "Nothing was written for it. Run it again with --debug and send us what it prints."
    )


def _run_one(job: _Job, image: Path, target: Path, cancel: CancelToken) -> _Done:
    from napari_histo.slides import open_slide

    with open_slide(image, z=job.z or 0, series=job.series or 0) as reader:
        say_choices(reader.info, z=job.z, series=job.series)
        region = job.request.region or reader.info.box
        if job.is_run or is_run_folder(target) or region.area > _LARGE_PX:
            return _run_slide(job, reader, target, cancel)
        return _run_whole(job, reader, target, cancel)


def _run_whole(job: _Job, reader: SlideReader, target: Path, cancel: CancelToken) -> _Done:
    """A small image, in memory."""
    from napari_histo.pipeline import segment
    from napari_histo.store import check_output, save_objects

    check_output(target)
    result = drive(segment(reader, job.model, job.request, cancel), reader.info.name)
    table = result.table
    if job.classes is not None:
        table = table.with_columns(classes=job.classes)
    cancel.raise_if_cancelled()
    save_objects(target, table, info=replace(reader.info, pixel_size=result.pixel_size))
    return _Done(len(table), target)


def _run_slide(job: _Job, reader: SlideReader, target: Path, cancel: CancelToken) -> _Done:
    """A slide, by way of a run folder that can be gone on with."""
    from napari_histo.pipeline import RunRequest

    options = (("z", job.z or 0), ("series", job.series or 0))
    request = RunRequest(job.request, resume=job.resume, classes=job.classes, options=options)
    work = Slide(reader, job.model, request, job.tissue, cancel, job.cluster)
    if is_run_folder(target):
        done = work.run(target)
        return _Done(done.n_objects, done.objects)
    return _Done(work.run_and_export(target), target)


# -- arguments ---------------------------------------------------------------------------------


def _parse_region(text: str | None) -> Box | None:
    if text is None:
        return None
    try:
        x, y, width, height = (int(v) for v in text.split(","))
        return Box(x, y, width, height)
    except ValueError:
        raise typer.BadParameter(
            f"'{text}' is not x,y,width,height in whole full-resolution pixels; "
            "for example 1000,2000,512,512."
        ) from None


def _parse_classes(text: str | None, model: Segmenter) -> ClassScheme | None:
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    wanted = len(model.info.classes)
    if len(names) != wanted:
        raise typer.BadParameter(
            f"{len(names)} name(s) for the {wanted} class(es) of {model.info.name}: "
            f"{', '.join(model.info.classes.names)}."
        )
    return ClassScheme.of(*names)
