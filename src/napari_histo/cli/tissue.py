"""``napari-histo tissue``: where the tissue of a slide is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_histo.cli._arguments import PixelSizeOption, PlaneOption, SeriesOption, parse_pixel_size
from napari_histo.cli._console import cancel_on_interrupt, drive, err, out, say_choices, say_error
from napari_histo.cli._targets import pair_up
from napari_histo.core import CancelToken, PixelSize
from napari_histo.errors import Cancelled, HistoError

if TYPE_CHECKING:
    from napari_histo.ops.tissue import TissueMask
    from napari_histo.ops.tissue_pixels import TissueParams

__all__ = ["tissue_command"]


class TissueFormat(StrEnum):
    """Kinds of result for several images."""

    GEOJSON = "geojson"
    PNG = "png"
    TIF = "tif"


@dataclass(frozen=True)
class _Job:
    """One run of the command; every image is treated alike."""

    params: TissueParams
    pixel_size: PixelSize | None
    z: int | None
    series: int | None


def tissue_command(
    images: Annotated[
        list[Path],
        typer.Argument(
            help="Images, slides, folders of them, or a .txt that lists them, one a line."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Result: .geojson (to edit in QuPath or napari), .png or .tif; a folder for "
            "several images.",
        ),
    ],
    pixel_size: PixelSizeOption = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0, help="Least colour of tissue (optical density); 0.02 drops faint tissue."
        ),
    ] = None,
    margin: Annotated[
        float | None, typer.Option(min=0, metavar="UM", help="How far beyond the tissue to reach.")
    ] = None,
    min_piece: Annotated[
        float | None, typer.Option(min=0, metavar="UM2", help="Smaller pieces are dust.")
    ] = None,
    max_hole: Annotated[
        float | None, typer.Option(min=0, metavar="UM2", help="Smaller holes are filled.")
    ] = None,
    keep_pen: Annotated[bool, typer.Option("--keep-pen", help="Keep pen marks.")] = False,
    z: PlaneOption = None,
    series: SeriesOption = None,
    format_: Annotated[
        TissueFormat | None,
        typer.Option("--format", help="Kind of results in a folder; geojson by default."),
    ] = None,
) -> None:
    """Find the tissue on slides and write it as outlines or as a picture.

    Edit the outlines where they are wrong and give them to 'napari-histo segment --tissue FILE'.
    """
    from napari_histo.ops.tissue_pixels import TissueParams

    given = {"threshold": threshold, "margin_um": margin}
    given |= {"piece_um2": min_piece, "hole_um2": max_hole}
    params = TissueParams(
        drop_ink=not keep_pen, **{k: v for k, v in given.items() if v is not None}
    )
    job = _Job(params, parse_pixel_size(pixel_size), z, series)
    wanted = None if format_ is None else "labels" if format_ == "tif" else format_.value
    targets = pair_up(images, output, wanted)
    failed = 0
    with cancel_on_interrupt() as cancel:
        for image, target in targets:
            try:
                _run_one(job, image, target, cancel)
            except Cancelled:
                raise
            except HistoError as error:
                say_error(str(error))
                failed += 1
    if failed:
        raise typer.Exit(1)


def _run_one(job: _Job, image: Path, target: Path, cancel: CancelToken) -> None:
    from napari_histo.pipeline.tissue import check_tissue_output, find_tissue_steps, save_tissue
    from napari_histo.slides import open_slide

    check_tissue_output(target)
    started = time.monotonic()
    with open_slide(image, z=job.z or 0, series=job.series or 0) as reader:
        info = reader.info
        say_choices(info, z=job.z, series=job.series)
        if job.pixel_size is None and info.pixel_size is None:
            err.print(f"{info.name} carries no pixel size; taking 0.5 µm (--pixel-size).")
        work = find_tissue_steps(
            reader, pixel_size=job.pixel_size, params=job.params, cancel=cancel
        )
        mask = drive(work, image.name)
        save_tissue(target, mask, info)
    out.print(f"{image.name}: {_summary(mask)} -> {target} ({time.monotonic() - started:.1f} s)")


def _summary(mask: TissueMask) -> str:
    n = len(mask.to_contours())
    if not n:
        return "no tissue"
    return f"{mask.share:.1%} tissue in {n} piece{'s' if n > 1 else ''}"
