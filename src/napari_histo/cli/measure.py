"""``napari-histo measure``: objects in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_histo.cli._arguments import PixelSizeOption, PlaneOption, SeriesOption, parse_pixel_size
from napari_histo.cli._console import cancel_on_interrupt, out, say_error
from napari_histo.cli._measuring import TEXT, MeasureJob, check_output, check_text
from napari_histo.cli._targets import expand, file_of, pair_up
from napari_histo.core import CancelToken
from napari_histo.errors import Cancelled, HistoError, ObjectsFileError, WriteError

__all__ = ["measure_command"]

#: An image, its objects, the result, and the regions to count in.
_Work = tuple[Path, Path, Path, Path | None]
#: Counts of several images; ``summary.csv`` is that of 'napari-histo segment'.
_COUNTS = "counts.csv"


class Normalization(StrEnum):
    """Ways to give a slide the colours of another."""

    MACENKO = "macenko"
    REINHARD = "reinhard"


class MeasureFormat(StrEnum):
    """Kinds of result for several images."""

    CSV = "csv"
    TSV = "tsv"
    PARQUET = "parquet"
    GEOJSON = "geojson"


def measure_command(
    image: Annotated[Path, typer.Argument(help="Image or slide; a folder or a .txt list of them.")],
    objects: Annotated[
        Path,
        typer.Argument(
            help="Its objects: GeoJSON, GeoParquet, labels, or a run folder; for several images a "
            "folder of files of their names."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Result: .csv, .tsv, .parquet, .geojson, .geojson.gz or .sdata.zarr "
            "(SpatialData); for several images a folder.",
        ),
    ],
    pixel_size: PixelSizeOption = None,
    compartment: Annotated[
        str,
        typer.Option(
            metavar="Nucleus|Cell|''", help="What the outlines show; names start with it."
        ),
    ] = "Nucleus",
    expand_um: Annotated[
        float | None,
        typer.Option(min=0, metavar="UM", help="Make cells: nuclei grown so far, without overlap."),
    ] = None,
    stains: Annotated[
        str | None,
        typer.Option(
            metavar="he|hdab|auto|auto-hdab|channels|none|TEXT|FILE",
            help="Stains of an image in colours: QuPath's defaults ('he' if it is not grey), "
            "estimated from the slide, its channels as they are, no pixel statistics at all, or "
            "what QuPath's setColorDeconvolutionStains takes.",
        ),
    ] = None,
    normalize: Annotated[
        Normalization | None,
        typer.Option(help="Measure the slide in the colours of a reference."),
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Image whose colours --normalize takes.")
    ] = None,
    neighbours_um: Annotated[
        float,
        typer.Option(min=0, metavar="UM", help="How near neighbours are that count; 0: none."),
    ] = 50.0,
    regions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Annotations to count objects in, and distances to; for several images a folder.",
        ),
    ] = None,
    summary: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Counts and densities a region and class: .csv, .tsv; for "
            "several images counts.csv in their folder.",
        ),
    ] = None,
    tile: Annotated[
        int, typer.Option(min=64, help="Side of a tile, px; changes memory, not numbers.")
    ] = 1024,
    z: PlaneOption = None,
    series: SeriesOption = None,
    format_: Annotated[
        MeasureFormat | None,
        typer.Option("--format", help="Kind of results in a folder; csv by default."),
    ] = None,
) -> None:
    """Measure objects and write a table, under the names that QuPath uses.

    Shapes, the stains' optical density (or the channels' intensity), neighbours, and counts a
    region and class.
    """
    job = MeasureJob(
        pixel_size=parse_pixel_size(pixel_size),
        compartment=compartment,
        expand_um=expand_um,
        stains=stains,
        normalize=normalize and normalize.value,
        reference=reference,
        neighbours_um=neighbours_um,
        tile_px=tile,
        z=z,
        series=series,
    )
    with cancel_on_interrupt() as cancel:
        images = expand(image)
        if images == [image]:
            _measure_one(job, (image, objects, output, regions), summary, cancel)
        else:
            format_ = format_ or MeasureFormat.CSV
            works = _works_of(images, objects, output, regions, format_)
            _measure_all(job, works, summary or output / _COUNTS, cancel)


def _measure_one(job: MeasureJob, work: _Work, summary: Path | None, cancel: CancelToken) -> None:
    from napari_histo.store.measurement_csv import write_rows_csv

    check_output(work[2])
    if summary is not None:
        check_text(summary)
    counts = job.run(*work, cancel)
    if summary is not None:
        write_rows_csv(summary, counts)


def _measure_all(
    job: MeasureJob, works: Sequence[_Work], summary: Path, cancel: CancelToken
) -> None:
    """A bad image is reported and the rest go on; counts of all are in one table."""
    from napari_histo.store.measurement_csv import write_rows_csv

    if summary in (target for _, _, target, _ in works):
        raise WriteError(f"{summary} is the result of an image. Name another file with --summary.")
    check_text(summary)
    rows: list[dict[str, Any]] = []
    failed = 0
    for work in works:
        try:
            rows += job.run(*work, cancel)
        except Cancelled:
            raise
        except HistoError as error:
            say_error(str(error))
            failed += 1
        else:
            write_rows_csv(summary, rows)
    out.print(f"{len(works) - failed} of {len(works)} images measured -> {summary}")
    if failed:
        raise typer.Exit(1)


def _works_of(
    images: list[Path], objects: Path, output: Path, regions: Path | None, kind: MeasureFormat
) -> list[_Work]:
    """What to do for each image: its objects and regions bear its name."""
    if output.suffix.lower() in TEXT or output.is_file():
        raise WriteError(
            f"{len(images)} images cannot go into the one file {output}. Give a folder with -o, "
            "and with --format the kind of result."
        )
    for folder in filter(None, (objects, regions)):
        if not folder.is_dir():
            raise ObjectsFileError(
                f"{folder} is no folder. Several images need one, with a file of the name of each."
            )
    targets = pair_up(images, output, kind.value)
    return [
        (
            image,
            file_of(image, objects) or objects / f"{image.stem}.geojson",
            target,
            regions and file_of(image, regions),
        )
        for image, target in targets
    ]
