"""What every model says of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from napari_histo.core.classes import ClassScheme

__all__ = ["Channels", "ModelInfo", "Thresholds"]

Channels = Literal["rgb", "gray", "any", "cells", "rgb-or-cells"]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What is kept of a model's proposals.

    Attributes
    ----------
    prob : float
        Least probability of an object, 0 to 1.
    nms : float
        Largest overlap of two objects, as a share of the smaller one's area, 0 to 1. For models
        whose objects cannot overlap (`FieldSegmenter`), the largest error of an object's flows.
    """

    prob: float = 0.5
    nms: float = 0.4

    def __post_init__(self) -> None:
        for name, value in (("probability", self.prob), ("overlap", self.nms)):
            if not 0 <= value <= 1:
                raise ValueError(f"The {name} threshold is {value}; it must lie between 0 and 1.")


@dataclass(frozen=True)
class ModelInfo:
    """A model's card in short.

    Attributes
    ----------
    name, family : str
        ``he-nuclei``; ``stardist``, ``cellpose``, ``nuclick``, ``classical``.
    pixel_size_um : float or None
        Pixel size that it was trained at, µm/px; None where it works at any.
    pixel_size_nominal : bool
        True where the training images had no known pixel size and `pixel_size_um` was derived from
        the size of their nuclei; an image of unknown pixel size is then taken as it is.
    channels : {"rgb", "gray", "any", "cells", "rgb-or-cells"}
        The last two take a channel with cells and, if there is one, a second one with nuclei;
        ``cells`` sees RGB as one channel.
    classes : ClassScheme
    licence : str
        SPDX expression of the weights' licence.
    source : str
        Where the weights come from, for people.
    sha256 : str or None
        Of the weights' file or archive.
    size_bytes : int or None
        Of the same.
    thresholds : Thresholds
        Defaults, as optimised in training.
    description : str
        One sentence for the user.
    takes_diameter : bool
        True where the image can be scaled to the diameter of the objects to find; see
        `ScaledSegmenter`.
    diameter_px : float or None
        Of the objects that it was trained at, model px, as far as the card knows.
    """

    name: str
    family: str
    pixel_size_um: float | None = None
    pixel_size_nominal: bool = False
    channels: Channels = "any"
    classes: ClassScheme = field(default_factory=lambda: ClassScheme.of("Nucleus"))
    licence: str = "unknown"
    source: str = ""
    sha256: str | None = None
    size_bytes: int | None = None
    thresholds: Thresholds = field(default_factory=Thresholds)
    description: str = ""
    takes_diameter: bool = False
    diameter_px: float | None = None

    @property
    def diameter_um(self) -> float | None:
        """Diameter of the objects that it looks for, µm; None where nobody knows."""
        if self.diameter_px is None or self.pixel_size_um is None:
            return None
        return self.diameter_px * self.pixel_size_um

    @property
    def takes_two_channels(self) -> bool:
        """True where a channel with nuclei may stand beside that with cells."""
        return self.channels in ("cells", "rgb-or-cells")
