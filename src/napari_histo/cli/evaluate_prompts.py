"""``napari-histo evaluate-prompts``: how well a model answers clicks on known objects."""

from __future__ import annotations

import json
from collections.abc import Collection
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from napari_histo.cli._arguments import (
    DeviceName,
    DeviceOption,
    JsonOption,
    OnlyOption,
    SplitOption,
    chosen_names,
    parse_pixel_size,
)
from napari_histo.cli._console import cancel_on_interrupt, drive, out
from napari_histo.errors import ObjectsFileError

__all__ = ["evaluate_prompts_command"]


class GestureName(StrEnum):
    """The first gesture."""

    CENTROID = "centroid"
    RANDOM = "random"
    BOX = "box"
    SQUIGGLE = "squiggle"


def evaluate_prompts_command(
    images: Annotated[Path, typer.Argument(help="Image, or a folder of images.")],
    labels: Annotated[Path, typer.Argument(help="Label image, or a folder of them.")],
    model: Annotated[str, typer.Option(help="Name or folder of a model.")] = "click",
    gesture: Annotated[
        GestureName, typer.Option(help="First gesture: a click at the centroid or anywhere, …")
    ] = GestureName.CENTROID,
    clicks: Annotated[
        int, typer.Option(min=1, help="Gestures in all; later ones correct the worst error.")
    ] = 1,
    jitter: Annotated[
        float, typer.Option(min=0, help="The first click is moved by up to so many px.")
    ] = 0.0,
    exclude: Annotated[
        bool, typer.Option(help="Exclude the other objects by clicks at their centroids.")
    ] = False,
    split: SplitOption = None,
    only: OnlyOption = None,
    pixel_size: Annotated[
        str | None, typer.Option(metavar="UM", help="Pixel size in µm where the images have none.")
    ] = None,
    device: DeviceOption = DeviceName.AUTO,
    seed: Annotated[int, typer.Option(help="Of the simulated hand.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Point at every labelled object and compare the answers: Dice, IoU, failures, AJI, PQ.

    A failure is an answer whose IoU with the object is below 0.5.
    """
    from napari_histo.models import load_prompt_model
    from napari_histo.pipeline.evaluate_prompts import (
        PromptReport,
        PromptTrial,
        evaluate_prompts,
    )
    from napari_histo.pipeline.prompt import PromptEngine
    from napari_histo.slides import open_slide
    from napari_histo.store.dispatch import read_labels

    size = parse_pixel_size(pixel_size)
    network = load_prompt_model(model, device=device.value)
    trial = PromptTrial(gesture.value, clicks, jitter, exclude, seed)
    report = PromptReport()
    pairs = _pairs(images, labels, chosen_names(split, only, images, labels))
    with cancel_on_interrupt() as cancel:
        for image, truth_file in pairs:
            truth = read_labels(truth_file)
            with open_slide(image) as reader:
                if truth.shape != (reader.info.height, reader.info.width):
                    raise ObjectsFileError(
                        f"{truth_file} has {truth.shape[1]} x {truth.shape[0]} pixels but {image} "
                        f"has {reader.info.width} x {reader.info.height}. Both must show the same."
                    )
                engine = PromptEngine(reader, network, pixel_size=size)
                drive(evaluate_prompts(engine, truth, trial, report, cancel), image.name)
    words = report.as_dict()
    if as_json:
        print(json.dumps(words, indent=2))
        return
    out.print(
        f"{words['n']:,} objects in {len(pairs)} images: Dice {words['dice']:.3f}, "
        f"IoU {words['iou']:.3f}, failures {100 * words['failures']:.1f} %, "
        f"AJI {words['aji']:.3f}, PQ {words['pq']:.3f}"
    )


def _pairs(images: Path, labels: Path, only: Collection[str] | None) -> list[tuple[Path, Path]]:
    """Images and label images of one name."""
    if images.is_file():
        if only is not None:
            raise ObjectsFileError(
                f"{images} is one image; --split and --only choose among those of a folder."
            )
        return [(images, labels)]
    from napari_histo.slides import SUFFIXES

    for folder in (images, labels):
        if not folder.is_dir():
            raise ObjectsFileError(f"There is no folder {folder}. Check the path.")
    truths = {p.stem: p for p in labels.iterdir() if p.suffix.lower() in SUFFIXES}
    found = [
        (p, truths[p.stem])
        for p in sorted(images.iterdir())
        if p.suffix.lower() in SUFFIXES and p.stem in truths and (only is None or p.stem in only)
    ]
    if not found:
        raise ObjectsFileError(
            f"No image in {images} has a label image of its name in {labels}"
            + (f" among the {len(only)} images to look at." if only else ".")
        )
    return found
