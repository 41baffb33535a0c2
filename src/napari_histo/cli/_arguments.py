"""Arguments that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from napari_histo.core import PixelSize

__all__ = [
    "DeviceName",
    "DeviceOption",
    "JsonOption",
    "OnlyOption",
    "PixelSizeOption",
    "PlaneOption",
    "SeriesOption",
    "SplitOption",
    "chosen_names",
    "parse_pixel_size",
]

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
#: For `parse_pixel_size`.
PixelSizeOption = Annotated[
    str | None,
    typer.Option(metavar="UM", help="Pixel size in µm where the image has none or a wrong one."),
]
PlaneOption = Annotated[int | None, typer.Option(min=0, help="Focal plane, from 0.")]
SeriesOption = Annotated[
    int | None, typer.Option(min=0, help="Which image of a file with several, from 0.")
]

SplitOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Only images of this split (train, val, …) of the splits.csv in or above the folders.",
    ),
]
OnlyOption = Annotated[
    str | None,
    typer.Option(metavar="A,B,…", help="Only images of these names, without their endings."),
]


class DeviceName(StrEnum):
    """Where the network runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"


DeviceOption = Annotated[DeviceName, typer.Option(help="Where the network runs.")]


def parse_pixel_size(text: str | None) -> PixelSize | None:
    """The user's word on the pixel size; None where there is none, or where it is "model"."""
    if text in (None, "model"):
        return None
    try:
        return PixelSize.square(float(text))
    except ValueError:
        raise typer.BadParameter(
            f"'{text}' is not a pixel size; give µm per pixel, for example 0.25 for 40x, "
            "or 'model'."
        ) from None


def chosen_names(split: str | None, only: str | None, *folders: Path) -> frozenset[str] | None:
    """Names of the images that `SplitOption` and `OnlyOption` leave; None where neither is given.

    Parameters
    ----------
    split, only : str or None
    folders : Path
        Where ``splits.csv`` is looked for, likelier ones first.
    """
    chosen = None if only is None else frozenset(n.strip() for n in only.split(",") if n.strip())
    if split is not None:
        from napari_histo.pipeline.splits import find_split

        found = find_split(folders, split)
        chosen = found if chosen is None else found & chosen
    if chosen is not None and not chosen:
        where = f" in the split {split!r}" if split else ""
        raise typer.BadParameter(f"--only {only} leaves no image{where}.")
    return chosen
