"""Arguments that several commands share."""

from __future__ import annotations

from enum import StrEnum

import typer

from napari_histo.core import PixelSize

__all__ = ["DeviceName", "parse_pixel_size"]


class DeviceName(StrEnum):
    """Where the network runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"


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
