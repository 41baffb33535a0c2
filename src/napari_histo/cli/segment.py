"""``napari-histo segment``: from images to files of objects."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from napari_histo.cli._arguments import DeviceName, DeviceOption, SeriesOption, parse_pixel_size
from napari_histo.cli._batch import run_batch, run_single
from napari_histo.cli._cells import CellsChoice
from napari_histo.cli._console import cancel_on_interrupt, err
from napari_histo.cli._job import Job
from napari_histo.cli._slide import Cluster
from napari_histo.cli._targets import pair_up
from napari_histo.core import Box, ClassScheme, PixelSize, Segmenter, Thresholds
from napari_histo.core.cell_join import Alone

__all__ = ["segment_command"]


class NormalizationName(StrEnum):
    """Ways to give a slide the colours of another."""

    NONE = "none"
    REINHARD = "reinhard"
    MACENKO = "macenko"


class OutputFormat(StrEnum):
    """Kinds of result for several images."""

    GEOJSON = "geojson"
    PARQUET = "parquet"
    LABELS = "labels"


def segment_command(
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
            help="Result: .geojson, .geojson.gz, .parquet, .tif (labels) or .ome.zarr; for one "
            "slide also a run folder; for several images a folder of results.",
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            help="Name ('napari-histo models list'), folder of a model, or file of Cellpose 1 to 3."
        ),
    ] = "he-nuclei",
    device: DeviceOption = DeviceName.AUTO,
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
        int | None,
        typer.Option(min=0, help="Channel with the nuclei, or for Cellpose the cells, from 0."),
    ] = None,
    nuclear_channel: Annotated[
        int | None,
        typer.Option(min=0, help="Channel with the nuclei of the cells, for Cellpose, from 0."),
    ] = None,
    diameter: Annotated[
        float | None,
        typer.Option(metavar="UM", help="Of the objects to find, for Cellpose's networks."),
    ] = None,
    prob_thresh: Annotated[
        float | None, typer.Option(min=0, max=1, help="Least probability of an object.")
    ] = None,
    nms_thresh: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Largest overlap of two objects; Cellpose's flow threshold."
        ),
    ] = None,
    cells: Annotated[
        str | None,
        typer.Option(
            metavar="UM|MODEL",
            help="Make cells: nuclei grown so many µm, or matched to what a second model finds.",
        ),
    ] = None,
    cells_channel: Annotated[
        int | None, typer.Option(min=0, help="Channel with the cells, for the second model.")
    ] = None,
    cells_diameter: Annotated[
        float | None, typer.Option(metavar="UM", help="Of the cells, for the second model.")
    ] = None,
    nuclei_alone: Annotated[
        Alone,
        typer.Option(help="What becomes of nuclei without a cell; 'expand' grows them 5 µm."),
    ] = Alone.KEEP,
    cells_alone: Annotated[
        Alone, typer.Option(metavar="[keep|drop]", help="What becomes of cells without a nucleus.")
    ] = Alone.KEEP,
    classes: Annotated[
        str | None,
        typer.Option(metavar="A,B,…", help="Names for the model's classes, in their order."),
    ] = None,
    stain: Annotated[
        str | None,
        typer.Option(
            metavar="he|hdab|auto|auto-hdab|none|TEXT|FILE",
            help="Show the model one stain of a brightfield image, the haematoxylin unless "
            "--channel says otherwise: with QuPath's vectors (for models of one grey channel the "
            "default), with those estimated from the slide, or with what QuPath's "
            "setColorDeconvolutionStains takes; 'none' for the colours as they are.",
        ),
    ] = None,
    normalize: Annotated[
        NormalizationName,
        typer.Option(help="Show the model the slide in the colours of a reference."),
    ] = NormalizationName.NONE,
    reference: Annotated[
        Path | None,
        typer.Option(help="Image whose colours --normalize takes, instead of the model's own."),
    ] = None,
    invert: Annotated[
        bool, typer.Option("--invert", help="Dark nuclei on a light ground, in grey images.")
    ] = False,
    z: Annotated[
        str | None,
        typer.Option(metavar="N|max", help="Focal plane, from 0, or the brightest of all."),
    ] = None,
    series: SeriesOption = None,
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
        bool,
        typer.Option(help="Go on with what was stopped: a whole slide, or a folder of images."),
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
    from napari_histo.pipeline import SegmentRequest
    from napari_histo.pipeline.colour_choice import ColourChoice

    box, size = _parse_region(region), parse_pixel_size(pixel_size)
    targets = pair_up(images, output, format_ and format_.value)
    segmenter = _load(model, device, diameter)
    info = segmenter.info
    if pixel_size == "model" and info.pixel_size_um is not None:
        size = PixelSize.square(info.pixel_size_um)
    thresholds = Thresholds(
        info.thresholds.prob if prob_thresh is None else prob_thresh,
        info.thresholds.nms if nms_thresh is None else nms_thresh,
    )
    request = SegmentRequest(
        box, size, channel, thresholds, tile_px=tile, nuclear_channel=nuclear_channel
    )
    cluster = None
    if workers or scheduler:
        cluster = Cluster(model, device.value, scheduler, workers)
    names = _parse_classes(classes, segmenter)
    grey = info.channels == "gray" and channel is None
    stain = {"none": "", None: "default" if grey else ""}.get(stain, stain)
    if (stain or invert) and info.channels == "rgb":
        raise typer.BadParameter(
            f"The model {info.name!r} looks at the colours themselves. Leave "
            f"{'--invert' if invert else '--stain'} out, or "
            "choose a model of one channel, for example 'fluo-nuclei'."
        )
    if reference is not None and normalize is NormalizationName.NONE:
        raise typer.BadParameter("--reference needs --normalize reinhard or macenko.")
    colours = ColourChoice(normalize.value, stain or "", reference, invert)
    job = Job(
        segmenter,
        request,
        names,
        _parse_plane(z),
        series,
        tissue,
        resume,
        cluster,
        debug,
        diameter,
        None if colours.is_none else colours,
    )
    if cells is not None:
        choice = CellsChoice(cells, cells_channel, cells_diameter, nuclei_alone, cells_alone)
        second = None if choice.is_growth else _load(cells, device, cells_diameter)
        job = choice.of(job, second)
    with cancel_on_interrupt() as cancel:
        if targets[0][1] == output:
            all_well = run_single(job, *targets[0], cancel)
        else:
            all_well = run_batch(job, targets, output, cancel)
    if not all_well:
        raise typer.Exit(1)


def _load(name: str, device: DeviceName, diameter_um: float | None) -> Segmenter:
    """A model; where it has to be fetched, from where and under which licence is told."""
    from napari_histo.models import get_info, is_available, load_model

    if not is_available(name):
        fetched = get_info(name)
        err.print(f"{name} comes from {fetched.source}\nLicence: {fetched.licence}", markup=False)
        err.print(fetched.description, markup=False)
    model = load_model(name, device=device.value, diameter_um=diameter_um)
    if "-NC" in model.info.licence:
        err.print(f"Licence of {model.info.name}: {model.info.licence}", markup=False)
    return model


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


def _parse_plane(text: str | None) -> int | None:
    from napari_histo.slides import ALL_PLANES

    if text is None or text.isdecimal():
        return None if text is None else int(text)
    if text.lower() == "max":
        return ALL_PLANES
    raise typer.BadParameter(f"'{text}' is no focal plane; give its number from 0, or 'max'.")


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
