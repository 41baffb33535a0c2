"""``napari-histo prompt``: outlines for points, boxes and squiggles of a file."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from napari_histo.cli._arguments import (
    DeviceName,
    DeviceOption,
    PlaneOption,
    SeriesOption,
    parse_pixel_size,
)
from napari_histo.cli._console import cancel_on_interrupt, drive, err, out, say_choices
from napari_histo.errors import HistoError

__all__ = ["prompt_command"]


def prompt_command(
    image: Annotated[Path, typer.Argument(help="Image or slide.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Result: .geojson, .geojson.gz, .parquet, .tif, …"),
    ],
    points: Annotated[
        Path | None, typer.Option(help="Clicks: CSV (x,y[,class]) or GeoJSON points.")
    ] = None,
    boxes: Annotated[
        Path | None, typer.Option(help="Boxes: CSV (left,top,right,bottom) or GeoJSON areas.")
    ] = None,
    scribbles: Annotated[
        Path | None, typer.Option(help="Squiggles: CSV (object,x,y) or GeoJSON lines.")
    ] = None,
    model: Annotated[str, typer.Option(help="Name or folder of a model.")] = "click",
    device: DeviceOption = DeviceName.AUTO,
    pixel_size: Annotated[
        str | None,
        typer.Option(
            metavar="UM", help="Pixel size in µm, where the image's own is missing or wrong."
        ),
    ] = None,
    channel: Annotated[int | None, typer.Option(min=0, help="Channel to look at, from 0.")] = None,
    z: PlaneOption = None,
    series: SeriesOption = None,
) -> None:
    """Outline one object for each point, box or squiggle, and keep its class.

    Each gesture excludes the objects that the others point at.
    """
    from napari_histo.models import load_prompt_model
    from napari_histo.pipeline.prompt import PromptEngine, prompt_objects
    from napari_histo.slides import open_slide
    from napari_histo.store import check_output, save_objects
    from napari_histo.store.prompt_files import PromptKind, read_prompts

    files: dict[PromptKind, Path | None] = {
        "points": points,
        "boxes": boxes,
        "scribbles": scribbles,
    }
    given = {kind: path for kind, path in files.items() if path is not None}
    if not given:
        raise HistoError("Nothing to point at: give --points, --boxes or --scribbles.")
    check_output(output)
    objects = [o for kind, path in given.items() for o in read_prompts(path, kind)]
    size = parse_pixel_size(pixel_size)
    started = time.monotonic()
    network = load_prompt_model(model, device=device.value)
    with open_slide(image, z=z or 0, series=series or 0) as reader, cancel_on_interrupt() as cancel:
        say_choices(reader.info, z=z, series=series)
        engine = PromptEngine(reader, network, pixel_size=size, channel=channel)
        table = drive(prompt_objects(engine, objects, cancel), image.name)
        info = replace(reader.info, pixel_size=size or reader.info.pixel_size)
        save_objects(output, table, info=info)
    empty = len(objects) - len(table)
    if empty:
        err.print(f"Nothing was found at {empty} of {len(objects)} gestures; they are left out.")
    seconds = time.monotonic() - started
    out.print(f"{image.name}: {len(table):,} objects -> {output} ({seconds:.1f} s)")
