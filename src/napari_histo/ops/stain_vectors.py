"""Which colours the stains of a slide have, and how much of each a pixel shows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from napari_histo.errors import StainError
from napari_histo.ops.stain import optical_density

__all__ = ["HE", "H_DAB", "StainVectors"]

Vector = tuple[float, float, float]

#: Nearer directions are one colour, and cannot be told apart.
_LEAST_ANGLE_DEG = 3.0


@dataclass(frozen=True)
class StainVectors:
    """Two or three stains, as QuPath's *Set stain vectors* has them.

    Attributes
    ----------
    names : tuple of str
        ``("Hematoxylin", "Eosin")``.
    vectors : tuple of (red, green, blue)
        Optical density of one unit of each stain; the length does not matter.
    background : (red, green, blue)
        Values of glass.

    Examples
    --------
    >>> HE.amounts(np.full((1, 3), 255, np.uint8)).tolist()
    [[0.0, 0.0]]
    """

    names: tuple[str, ...]
    vectors: tuple[Vector, ...]
    background: Vector = (255.0, 255.0, 255.0)

    def __post_init__(self) -> None:
        if len(self.names) != len(self.vectors) or len(self.vectors) not in (2, 3):
            raise StainError(
                f"{len(self.vectors)} stain vectors for the names {list(self.names)}; there must "
                "be two or three stains, each with one name and one vector."
            )
        values = np.array([*self.vectors, self.background], float)
        if values.shape[1] != 3 or not np.isfinite(values).all() or (values[-1] <= 1).any():
            raise StainError(
                f"Stain vectors {self.vectors} over the background {self.background}: each needs "
                "three numbers for red, green and blue, and the background must be above 1."
            )
        lengths = np.linalg.norm(values[:-1], axis=1)
        if (lengths < 1e-6).any() or np.degrees(_least_angle(values[:-1])) < _LEAST_ANGLE_DEG:
            raise StainError(
                f"The stain vectors {dict(zip(self.names, self.vectors, strict=True))} are nearly "
                "one colour, so the stains cannot be told apart. Choose vectors from places where "
                "one stain stands alone."
            )

    @property
    def matrix(self) -> NDArray[np.float64]:
        """(3, 3) unit vectors in rows; where there are two stains the third is at right angles."""
        rows = np.array(self.vectors, np.float64)
        if len(rows) == 2:
            rows = np.concatenate([rows, np.cross(rows[0], rows[1])[None]])
        unit: NDArray[np.float64] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit

    def optical_density(self, rgb: NDArray[Any]) -> NDArray[np.float32]:
        """(…, 3) decadic optical density over the background; never negative, as in QuPath."""
        if rgb.dtype == np.uint8:
            levels = np.arange(256)[:, None] / np.array(self.background)
            table = optical_density(np.maximum(levels, 1 / np.array(self.background)))
            return np.stack([table[:, i][rgb[..., i]] for i in range(3)], axis=-1)
        return optical_density(np.maximum(rgb, 1) / np.array(self.background, np.float32))

    def amounts(self, rgb: NDArray[Any]) -> NDArray[np.float32]:
        """Separate the stains (Ruifrok and Johnston, Anal Quant Cytol Histol 2001).

        Parameters
        ----------
        rgb : (…, 3) array
            0 to 255.

        Returns
        -------
        (…, n stains) float32
            Optical density that each stain has by itself; below 0 where a pixel has another colour.
        """
        unmix = np.linalg.inv(self.matrix)[:, : len(self.names)].astype(np.float32)
        amounts: NDArray[np.float32] = self.optical_density(rgb) @ unmix
        return amounts

    @classmethod
    def parse(cls, text: str) -> Self:
        """From the text that QuPath's script ``setColorDeconvolutionStains`` is given.

        Raises
        ------
        StainError
            The text is not of that kind.
        """
        try:
            said = json.loads(text)
            numbers = [i for i in (1, 2, 3) if f"Stain {i}" in said]
            return cls(
                tuple(str(said[f"Stain {i}"]).strip() for i in numbers),
                tuple(_vector(said[f"Values {i}"]) for i in numbers),
                _vector(said.get("Background", "255 255 255")),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StainError(
                f"Cannot read stain vectors from {text[:80]!r} ({error}). Give what QuPath's "
                'setColorDeconvolutionStains takes: {"Stain 1": "Hematoxylin", "Values 1": '
                '"0.65 0.70 0.29", "Stain 2": "Eosin", "Values 2": "0.22 0.80 0.56", '
                '"Background": "255 255 255"}.'
            ) from error

    def describe(self) -> str:
        """Text for QuPath's ``setColorDeconvolutionStains``; `parse` reads it."""
        said = {"Name": " ".join(self.names)}
        for i, (name, vector) in enumerate(zip(self.names, self.matrix, strict=False), 1):
            said |= {f"Stain {i}": name, f"Values {i}": " ".join(f"{v:.5f}" for v in vector)}
        return json.dumps(said | {"Background": " ".join(f"{v:g}" for v in self.background)})


def _least_angle(vectors: NDArray[np.float64]) -> float:
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    cosine = np.abs(unit @ unit.T)[np.triu_indices(len(unit), 1)]
    angle = float(np.arccos(np.clip(cosine, 0, 1)).min())
    # Three in one plane separate no better than two that are one.
    return min(angle, abs(float(np.linalg.det(unit)))) if len(unit) == 3 else angle


def _vector(text: str) -> Vector:
    red, green, blue = (float(v) for v in text.replace(",", " ").split())
    return red, green, blue


#: QuPath's defaults: Ruifrok and Johnston's numbers, but for eosin.
HE = StainVectors(("Hematoxylin", "Eosin"), ((0.65, 0.70, 0.29), (0.2159, 0.8012, 0.5581)))
H_DAB = StainVectors(("Hematoxylin", "DAB"), ((0.65, 0.70, 0.29), (0.27, 0.57, 0.78)))
