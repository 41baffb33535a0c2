"""``napari-histo measure``: objects in numbers."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_histo.cli._arguments import parse_pixel_size
from napari_histo.cli._console import cancel_on_interrupt, drive, err, out, say_choices
from napari_histo.errors import WriteError

if TYPE_CHECKING:
    from napari_histo.core import ObjectTable, SlideInfo

__all__ = ["measure_command"]

_TEXT = (".csv", ".tsv")


def measure_command(
    image: Annotated[Path, typer.Argument(help="Image or slide.")],
    objects: Annotated[
        Path, typer.Argument(help="Its objects: GeoJSON, GeoParquet, labels, or a run folder.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Result: .csv, .tsv, .parquet, .geojson or .geojson.gz."
        ),
    ],
    pixel_size: Annotated[
        str | None,
        typer.Option(
            metavar="UM", help="Pixel size in µm where the image has none or a wrong one."
        ),
    ] = None,
    compartment: Annotated[
        str,
        typer.Option(
            metavar="Nucleus|Cell|''", help="What the outlines show; names start with it."
        ),
    ] = "Nucleus",
    z: Annotated[int | None, typer.Option(min=0, help="Focal plane, from 0.")] = None,
    series: Annotated[
        int | None, typer.Option(min=0, help="Which image of a file with several, from 0.")
    ] = None,
) -> None:
    """Measure objects and write a table, under the names that QuPath uses."""
    from napari_histo.pipeline.measure import MeasureRequest, measure
    from napari_histo.slides import open_slide
    from napari_histo.store import load_objects

    _check_output(output)
    started = time.monotonic()
    with open_slide(image, z=z or 0, series=series or 0) as reader, cancel_on_interrupt() as cancel:
        say_choices(reader.info, z=z, series=series)
        request = MeasureRequest(parse_pixel_size(pixel_size), compartment)
        info = replace(reader.info, pixel_size=request.pixel_size or reader.info.pixel_size)
        if info.pixel_size is None:
            err.print(f"{info.name} carries no pixel size; lengths are in px (--pixel-size).")
        table = load_objects(_objects_in(objects))
        table = drive(measure(reader, table, request, cancel), image.name)
        _save(output, table, info)
    n, seconds = len(table.measurements), time.monotonic() - started
    out.print(
        f"{image.name}: {len(table):,} objects, {n} measurements -> {output} ({seconds:.1f} s)"
    )


def _objects_in(path: Path) -> Path:
    """The file of objects; that of a run folder."""
    inside = path / "objects.parquet"
    return inside if path.is_dir() and inside.exists() else path


def _check_output(output: Path) -> None:
    from napari_histo.store import format_of
    from napari_histo.store.write import check_writable

    if output.suffix.lower() not in _TEXT and format_of(output) not in ("geojson", "parquet"):
        raise WriteError(
            f"Cannot write {output}: the ending of {output.name!r} is not known for measurements. "
            "Use .csv or .tsv for a table, .parquet or .geojson for objects with measurements."
        )
    check_writable(output)


def _save(output: Path, table: ObjectTable, info: SlideInfo) -> None:
    from napari_histo.store import save_objects
    from napari_histo.store.measurement_csv import write_csv

    if output.suffix.lower() in _TEXT:
        write_csv(output, table, image=info.name, pixel_size=info.pixel_size)
    else:
        save_objects(output, table, info=info)
