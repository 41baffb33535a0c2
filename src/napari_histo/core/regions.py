"""Regions of tissue: a class for every pixel at low magnification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from napari_histo.core.classes import ClassDef, ClassScheme
from napari_histo.core.models import ModelInfo

__all__ = ["RegionMap", "RegionSegmenter", "is_background"]


def is_background(item: ClassDef) -> bool:
    """True for what is no tissue of interest: QuPath's ``Ignore*``, or a class "Background"."""
    return item.name.startswith("Ignore") or item.name.casefold() == "background"


@dataclass(frozen=True, eq=False)
class RegionMap:
    """What tissue lies where on an image.

    Attributes
    ----------
    labels : (height, width) uint8
        0 background or not looked at, else 1 + a position in `classes`.
    confidence : (height, width) uint8
        Probability of the answer, in 1/255; 0 where nobody looked.
    scale : (float, float)
        Full-resolution px per pixel of the map, along x and y; the first starts at the corner.
    pixel_um : (float, float)
        Height and width of a pixel of the map, µm.
    classes : ClassScheme
        Tissues; the background is none.
    """

    labels: NDArray[np.uint8]
    confidence: NDArray[np.uint8]
    scale: tuple[float, float]
    pixel_um: tuple[float, float]
    classes: ClassScheme

    @property
    def areas_um2(self) -> dict[str, float]:
        """Area of each class, µm²."""
        counts = np.bincount(self.labels.ravel(), minlength=len(self.classes) + 1)
        pixel = self.pixel_um[0] * self.pixel_um[1]
        return {c.name: float(counts[i] * pixel) for i, c in enumerate(self.classes, 1)}


@runtime_checkable
class RegionSegmenter(Protocol):
    """Tells the tissue of every pixel of images at its own pixel size.

    Answers have one entry a class: the background first, then the classes of `info` in their order.
    """

    @property
    def info(self) -> ModelInfo:
        """The model's card; its classes are without the background."""
        ...

    @property
    def guide(self) -> RegionSegmenter | None:
        """A model for larger pixels whose answer this one refines; None where it needs none."""
        ...

    @property
    def margin_px(self) -> int:
        """Context that one output pixel depends on, model px on each side."""
        ...

    @property
    def align_px(self) -> int:
        """Tiles must start at multiples of this, model px."""
        ...

    def on_cpu(self) -> RegionSegmenter:
        """The same model on the processor; itself where it runs there."""
        ...

    def predict(
        self, images: NDArray[np.float32], guide: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Probabilities (b, h, w, k) of images (b, h, w, c), prepared by `ops.RegionInput`.

        Parameters
        ----------
        images : (b, h, w, c) float32
            Of any size.
        guide : (b, h, w, k) float32, optional
            Answer of the `guide`, at this model's pixel size.
        """
        ...
