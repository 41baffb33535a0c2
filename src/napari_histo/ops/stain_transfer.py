"""One slide in the colours of another: the stains' (Macenko) or the mean colour's (Reinhard).

Fitted once on pixels of the whole slide, then applied to any tile; well-kept packages fit each
picture anew, which shows as seams.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from napari_histo.errors import StainError
from napari_histo.ops.stain_estimate import estimate_stains
from napari_histo.ops.stain_vectors import HE, StainVectors

__all__ = [
    "TRAINED_ON",
    "Appearance",
    "ColourNormalizer",
    "MacenkoNormalizer",
    "ReinhardNormalizer",
    "stained",
]

Pixels = NDArray[np.uint8]

#: The reference of Macenko's own code, in decadic optical density.
_REFERENCE = StainVectors(HE.names, ((0.5626, 0.7201, 0.4062), (0.2159, 0.8012, 0.5581)))
_REFERENCE_AMOUNTS = (1.9705 / np.log(10), 1.0308 / np.log(10))
_STRONG = 99
#: Glass passes more light than this share in every colour.
_GLASS = 0.85
_LEAST_STAINED = 200


@dataclass(frozen=True)
class Appearance:
    """The colours of some slides in numbers.

    Attributes
    ----------
    stains : StainVectors
    amounts : tuple of float
        Of each stain in the pixels that show most of it, optical density.
    lab_mean, lab_spread : (float, float, float)
        CIELAB of what is stained.
    """

    stains: StainVectors
    amounts: tuple[float, ...]
    lab_mean: tuple[float, ...]
    lab_spread: tuple[float, ...]

    @classmethod
    def of(cls, rgb: NDArray[Any]) -> Self:
        """From pixels (n, 3), 0 to 255.

        Raises
        ------
        StainError
        """
        stains, amounts = _strength(rgb)
        mean, spread = _lab_moments(stained(rgb))
        return cls(stains, tuple(amounts.tolist()), tuple(mean.tolist()), tuple(spread.tolist()))


#: The training images of he-nuclei that show H&E of tissue (TNBC, 28 images of 512 x 512 px);
#: ``python benchmarks/stain_shift.py --reference`` finds these numbers.
TRAINED_ON = Appearance(
    StainVectors(HE.names, ((0.6417, 0.6970, 0.3200), (0.2976, 0.8015, 0.5187))),
    (0.5004, 0.2718),
    (75.593, 11.135, -6.919),
    (9.405, 5.806, 7.023),
)


class ColourNormalizer(Protocol):
    """Maps colours of one slide to those of a reference."""

    def apply(self, rgb: Pixels) -> Pixels:
        """(…, 3) uint8 in other colours; any thread may call."""
        ...


@dataclass(frozen=True)
class MacenkoNormalizer:
    """Each stain in the reference's colour and strength (Macenko et al., ISBI 2009).

    Attributes
    ----------
    source, target : StainVectors
    gain : tuple of float
        What the amount of each stain is multiplied by.
    """

    source: StainVectors
    target: StainVectors
    gain: tuple[float, ...]

    @classmethod
    def fit(cls, rgb: NDArray[Any], reference: NDArray[Any] | Appearance | None = None) -> Self:
        """Learn from pixels (n, 3) of a slide, and of a reference slide where there is one.

        Raises
        ------
        StainError
        """
        source, amounts = _strength(rgb)
        target, wanted = _REFERENCE, np.array(_REFERENCE_AMOUNTS)
        if isinstance(reference, Appearance):
            target, wanted = reference.stains, np.array(reference.amounts)
        elif reference is not None:
            target, wanted = _strength(reference)
        if (amounts <= 0).any():
            raise StainError(
                f"The slide shows no {source.names[int(amounts.argmin())]}; choose the reinhard "
                "normalisation, or none."
            )
        return cls(source, target, tuple((wanted / amounts).tolist()))

    def apply(self, rgb: Pixels) -> Pixels:
        """(…, 3) uint8; colours that neither stain explains are left out."""
        amounts = self.source.amounts(rgb) * np.array(self.gain, np.float32)
        od = amounts @ self.target.matrix[: len(self.gain)].astype(np.float32)
        white = np.array(self.target.background, np.float32)
        return _to_uint8(white * np.power(np.float32(10), -od))


@dataclass(frozen=True)
class ReinhardNormalizer:
    """Mean and spread of the reference's colours in CIELAB (Reinhard et al., IEEE CG&A 2001).

    Attributes
    ----------
    gain, offset : (float, float, float)
        ``lab * gain + offset``.
    """

    gain: tuple[float, ...]
    offset: tuple[float, ...]

    @classmethod
    def fit(cls, rgb: NDArray[Any], reference: NDArray[Any] | Appearance) -> Self:
        """Learn from pixels (n, 3) of a slide and of a reference slide.

        Glass among them counts as any colour: see `stained`.
        """
        mean, spread = _lab_moments(rgb)
        if isinstance(reference, Appearance):
            wanted, wanted_spread = np.array(reference.lab_mean), np.array(reference.lab_spread)
        else:
            wanted, wanted_spread = _lab_moments(reference)
        gain = wanted_spread / np.maximum(spread, 1e-6)
        return cls(tuple(gain.tolist()), tuple((wanted - mean * gain).tolist()))

    def apply(self, rgb: Pixels) -> Pixels:
        """(…, 3) uint8."""
        from skimage.color import lab2rgb, rgb2lab

        lab = rgb2lab(rgb) * np.array(self.gain) + np.array(self.offset)
        # Colours that no screen shows are clipped, which is no news.
        return _to_uint8(_quietly(lab2rgb, lab) * 255)


def stained(rgb: NDArray[Any]) -> NDArray[Any]:
    """The pixels (n, 3) that are no glass; all where hardly any is stained."""
    chosen = rgb[rgb.min(axis=-1) < _GLASS * 255]
    return chosen if len(chosen) >= _LEAST_STAINED else rgb


def _strength(rgb: NDArray[Any]) -> tuple[StainVectors, NDArray[np.float64]]:
    """Stains of a slide, and how much of each its strongest pixels show."""
    stains = estimate_stains(rgb)
    amounts = np.percentile(stains.amounts(rgb.reshape(-1, 3)), _STRONG, axis=0)
    return stains, np.asarray(amounts, np.float64)


def _lab_moments(rgb: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from skimage.color import rgb2lab

    lab = rgb2lab(rgb.reshape(1, -1, 3))[0]
    return lab.mean(axis=0), lab.std(axis=0)


def _quietly(convert: Any, values: NDArray[Any]) -> NDArray[Any]:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        converted: NDArray[Any] = convert(values)
    return converted


def _to_uint8(values: NDArray[Any]) -> Pixels:
    pixels: Pixels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return pixels
