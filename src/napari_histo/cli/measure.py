"""``napari-histo measure``: objects in numbers."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from napari_histo.cli._arguments import parse_pixel_size
from napari_histo.cli._console import cancel_on_interrupt, drive, err, out, say_choices
from napari_histo.core import ObjectState
from napari_histo.errors import WriteError

if TYPE_CHECKING:
    from napari_histo.core import SlideInfo, SlideReader
    from napari_histo.ops.stain_vectors import StainVectors
    from napari_histo.pipeline.measure import Measured

__all__ = ["measure_command"]

_TEXT = (".csv", ".tsv")


class Normalization(StrEnum):
    """Ways to give a slide the colours of another."""

    MACENKO = "macenko"
    REINHARD = "reinhard"


def measure_command(
    image: Annotated[Path, typer.Argument(help="Image or slide.")],
    objects: Annotated[
        Path, typer.Argument(help="Its objects: GeoJSON, GeoParquet, labels, or a run folder.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Result: .csv, .tsv, .parquet, .geojson, .geojson.gz or .sdata.zarr "
            "(SpatialData).",
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
        typer.Option(metavar="FILE", help="Annotations to count objects in, and distances to."),
    ] = None,
    summary: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Counts and densities a region and class: .csv, .tsv."),
    ] = None,
    tile: Annotated[
        int, typer.Option(min=64, help="Side of a tile, px; changes memory, not numbers.")
    ] = 1024,
    z: Annotated[int | None, typer.Option(min=0, help="Focal plane, from 0.")] = None,
    series: Annotated[
        int | None, typer.Option(min=0, help="Which image of a file with several, from 0.")
    ] = None,
) -> None:
    """Measure objects and write a table, under the names that QuPath uses.

    Shapes, the stains' optical density (or the channels' intensity), neighbours, and counts a
    region and class.
    """
    from napari_histo.pipeline.measure import MeasureRequest, measure
    from napari_histo.slides import open_slide
    from napari_histo.store import load_objects
    from napari_histo.store.measurement_csv import write_rows_csv

    _check_output(output)
    if summary is not None:
        _check_text(summary)
    started = time.monotonic()
    table = load_objects(_objects_in(objects))
    with open_slide(image, z=z or 0, series=series or 0) as slide, cancel_on_interrupt() as cancel:
        say_choices(slide.info, z=z, series=series)
        reader = _in_other_colours(slide, normalize, reference)
        request = MeasureRequest(
            pixel_size=parse_pixel_size(pixel_size),
            compartment=compartment,
            expand_um=expand_um,
            intensity=(stains or "").lower() != "none",
            stains=_stains_of(reader, stains),
            channels=(stains or "").lower() == "channels",
            neighbours=neighbours_um > 0,
            within_um=neighbours_um,
            regions=None if regions is None else load_objects(regions),
            tile_px=tile,
        )
        info = replace(slide.info, pixel_size=request.pixel_size or slide.info.pixel_size)
        if info.pixel_size is None:
            err.print(f"{info.name} carries no pixel size; lengths are in px (--pixel-size).")
        result = drive(measure(reader, table, request, cancel), image.name)
        _save(output, result, info)
    if summary is not None:
        write_rows_csv(summary, [{"Image": info.name, **row} for row in result.summary])
    n, seconds = len(result.table.measurements), time.monotonic() - started
    found = f"{len(table):,} objects, {n} measurements"
    out.print(f"{image.name}: {found} -> {output} ({seconds:.1f} s)")


def _stains_of(reader: SlideReader, text: str | None) -> StainVectors | None:
    """The user's word on stains; None where `measure` decides."""
    from napari_histo.ops.stain_vectors import H_DAB, HE, StainVectors
    from napari_histo.pipeline.colours import stains_of

    known = {"he": HE, "hdab": H_DAB, "none": None, "channels": None}
    if text is None or text.lower() in known:
        return known[(text or "none").lower()]
    if text.lower() in ("auto", "auto-hdab"):
        if not reader.info.is_rgb:
            return None
        found = stains_of(reader, H_DAB if text.lower().endswith("hdab") else HE)
        err.print(f"Stains found, as QuPath takes them: {found.describe()}", markup=False)
        return found
    if not text.lstrip().startswith("{") and Path(text).is_file():
        text = Path(text).read_text(encoding="utf-8")
    return StainVectors.parse(text)


def _in_other_colours(
    slide: SlideReader, kind: Normalization | None, reference: Path | None
) -> SlideReader:
    from napari_histo.pipeline.colours import NormalizedReader, normalizer_of
    from napari_histo.slides import open_slide

    if kind is None:
        return slide
    with open_slide(reference) if reference else nullcontext() as wanted:
        return NormalizedReader(slide, normalizer_of(slide, kind.value, wanted))


def _objects_in(path: Path) -> Path:
    """The file of objects; that of a run folder."""
    inside = path / "objects.parquet"
    return inside if path.is_dir() and inside.exists() else path


def _check_output(output: Path) -> None:
    from napari_histo.store import format_of
    from napari_histo.store.spatialdata import check_spatialdata, is_spatialdata
    from napari_histo.store.write import check_writable

    if is_spatialdata(output):
        check_spatialdata()
        check_writable(output, folder=True)
        return
    if output.suffix.lower() not in _TEXT and format_of(output) not in ("geojson", "parquet"):
        raise WriteError(
            f"Cannot write {output}: the ending of {output.name!r} is not known for measurements. "
            "Use .csv or .tsv for a table, .parquet or .geojson for objects with measurements, "
            ".sdata.zarr for SpatialData."
        )
    check_writable(output)


def _check_text(path: Path) -> None:
    from napari_histo.store.write import check_writable

    if path.suffix.lower() not in _TEXT:
        raise WriteError(f"Cannot write {path}: a summary is a table, .csv or .tsv.")
    check_writable(path)


def _save(output: Path, result: Measured, info: SlideInfo) -> None:
    from napari_histo.store import save_objects
    from napari_histo.store.measurement_csv import write_csv
    from napari_histo.store.spatialdata import is_spatialdata, write_spatialdata

    if is_spatialdata(output):
        write_spatialdata(output, result.table, pixel_size=info.pixel_size)
        return
    if output.suffix.lower() in _TEXT:
        rows = np.flatnonzero(result.table.state != ObjectState.REJECTED)
        write_csv(
            output,
            result.table.select(rows),
            image=info.name,
            pixel_size=info.pixel_size,
            parents=[result.parents[row] for row in rows],
        )
    else:
        save_objects(output, result.table, info=info)
