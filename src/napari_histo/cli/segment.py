"""``napari-histo segment``: from images to files of objects."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from napari_histo.cli._console import cancel_on_interrupt, drive, out, say_error
from napari_histo.core import (
    Box,
    CancelToken,
    ClassScheme,
    ObjectTable,
    PixelSize,
    Segmenter,
    SlideInfo,
    Thresholds,
)
from napari_histo.errors import Cancelled, HistoError, ImageError, WriteError

__all__ = ["segment_command"]

_IMAGE_SUFFIXES = {
    *(".bif", ".bmp", ".czi", ".jpeg", ".jpg", ".mrxs", ".ndpi", ".png", ".scn", ".svs"),
    *(".svslide", ".tif", ".tiff", ".vms", ".vmu"),
}
_SUFFIX_OF_FORMAT = {"geojson": ".geojson", "parquet": ".parquet", "labels": ".tif"}


class OutputFormat(StrEnum):
    """Kinds of result for several images."""

    GEOJSON = "geojson"
    PARQUET = "parquet"
    LABELS = "labels"


class DeviceName(StrEnum):
    """Where the network runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"


@dataclass(frozen=True)
class _Job:
    """One run of the command; every image is treated alike."""

    model: Segmenter
    region: Box | None
    pixel_size: PixelSize | None
    native: bool
    channel: int | None
    tile_px: int | None
    thresholds: Thresholds
    classes: ClassScheme | None


def segment_command(
    images: Annotated[list[Path], typer.Argument(help="Images, slides, or folders of them.")],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Result: .geojson, .geojson.gz, .parquet, .tif (labels) or .ome.zarr; "
            "a folder for several images.",
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
    format_: Annotated[
        OutputFormat, typer.Option("--format", help="Kind of result for several images.")
    ] = OutputFormat.GEOJSON,
) -> None:
    """Find nuclei and write them to a file that QuPath, geopandas or ImageJ reads."""
    from napari_histo.models import load_model

    box, size = _parse_region(region), _parse_pixel_size(pixel_size)
    targets = _targets(images, output, format_)
    segmenter = load_model(model, device=device.value)
    own = segmenter.info.thresholds
    job = _Job(
        segmenter,
        box,
        size,
        pixel_size == "model",
        channel,
        tile,
        Thresholds(
            own.prob if prob_thresh is None else prob_thresh,
            own.nms if nms_thresh is None else nms_thresh,
        ),
        _parse_classes(classes, segmenter),
    )
    with cancel_on_interrupt() as cancel:
        failed = _run_all(job, targets, cancel)
    if failed:
        raise typer.Exit(1)


def _run_all(job: _Job, targets: Sequence[tuple[Path, Path]], cancel: CancelToken) -> int:
    """Segment every image; a bad one is reported and the rest go on. Number of failures."""
    failed = 0
    for image, target in targets:
        try:
            started = time.monotonic()
            table = _run_one(job, image, target, cancel)
            seconds = time.monotonic() - started
            out.print(f"{image.name}: {len(table):,} objects -> {target} ({seconds:.1f} s)")
        except Cancelled:
            raise
        except HistoError as error:
            failed += 1
            say_error(str(error))
    if len(targets) > 1:
        out.print(f"{len(targets) - failed} of {len(targets)} images done.")
    return failed


def _run_one(job: _Job, image: Path, target: Path, cancel: CancelToken) -> ObjectTable:
    from napari_histo.pipeline import SegmentRequest, segment
    from napari_histo.slides import open_slide
    from napari_histo.store import check_output, save_objects

    check_output(target)
    reader = open_slide(image)
    try:
        size = _own_size(job) if job.native else job.pixel_size
        request = SegmentRequest(job.region, size, job.channel, job.thresholds, tile_px=job.tile_px)
        result = drive(segment(reader, job.model, request, cancel), image.name)
        table = result.table
        if job.classes is not None:
            table = table.with_columns(classes=job.classes)
        save_objects(target, table, info=_with_size(reader.info, result.pixel_size))
    finally:
        reader.close()
    return table


def _own_size(job: _Job) -> PixelSize | None:
    um = job.model.info.pixel_size_um
    return None if um is None else PixelSize.square(um)


def _with_size(info: SlideInfo, pixel_size: PixelSize | None) -> SlideInfo:
    return replace(info, pixel_size=pixel_size)


# -- arguments ---------------------------------------------------------------------------------


def _targets(
    images: Sequence[Path], output: Path, format_: OutputFormat
) -> list[tuple[Path, Path]]:
    """Pairs of image and result."""
    found = [f for image in images for f in _expand(image)]
    if len(found) == 1 and not images[0].is_dir() and not _is_folder(output):
        return [_checked_pair(found[0], output)]
    suffix = _SUFFIX_OF_FORMAT[format_.value]
    targets = [output / f"{_stem(image)}{suffix}" for image in found]
    twice = {t.name for t in targets if targets.count(t) > 1}
    if twice:
        raise ImageError(
            f"Several images would be written to {sorted(twice)[0]} in {output}. "
            "Rename them, or segment them one by one."
        )
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(
            f"The folder {output} cannot be made: {error.strerror}. Choose another with -o."
        ) from error
    return [_checked_pair(*pair) for pair in zip(found, targets, strict=True)]


def _checked_pair(image: Path, target: Path) -> tuple[Path, Path]:
    if image.resolve() == target.resolve():
        raise WriteError(
            f"The result would overwrite the image {image}. Choose another name or folder with -o."
        )
    return image, target


def _stem(image: Path) -> str:
    """Name without its suffix, ``.ome.tif`` being one."""
    return image.stem.removesuffix(".ome")


def _is_folder(output: Path) -> bool:
    """True for an existing folder and for a name that cannot be a file of results."""
    if output.name.endswith(".ome.zarr"):
        return False
    return output.is_dir() or output.suffix == ""


def _expand(image: Path) -> list[Path]:
    if not image.is_dir():
        return [image]
    found = sorted(p for p in image.iterdir() if p.suffix.lower() in _IMAGE_SUFFIXES)
    if not found:
        raise ImageError(
            f"The folder {image} holds no images ({', '.join(sorted(_IMAGE_SUFFIXES))})."
        )
    return found


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


def _parse_pixel_size(text: str | None) -> PixelSize | None:
    if text in (None, "model"):
        return None
    try:
        return PixelSize.square(float(text))
    except ValueError:
        raise typer.BadParameter(
            f"'{text}' is not a pixel size; give µm per pixel, for example 0.25 for 40x, "
            "or 'model'."
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
