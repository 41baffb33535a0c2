"""Stain vectors from a slide's own pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.errors import StainError
from napari_histo.ops.stain_vectors import HE, StainVectors

__all__ = ["estimate_stains"]

#: Paler pixels are glass and blur the vectors; 0.15 in natural logarithms.
_LEAST_OD = 0.15 / np.log(10)
_LEAST_PIXELS = 200
#: Variance of optical density across the main direction, far below that of a camera's noise.
_LEAST_SPREAD = 1e-7


def estimate_stains(
    rgb: NDArray[Any], kind: StainVectors = HE, *, percentile: float = 1.0
) -> StainVectors:
    """The two stains that span the colours of a sample.

    Parameters
    ----------
    rgb : (n, 3) array
        Pixels, 0 to 255, among them enough of tissue.
    kind : StainVectors
        What they are: it gives names, order and background. Eosin and DAB of some laboratories are
        too near to be told apart by colour alone, so this is asked and not guessed.
    percentile : float
        Pixels at either end of the range of colours that are left out, in percent.

    Raises
    ------
    StainError
        Too little is stained, or all of it in one colour.

    Notes
    -----
    Macenko et al., ISBI 2009: the plane of the two main directions of optical density, and in it
    the outermost directions.
    """
    od = kind.optical_density(rgb.reshape(-1, 3)).astype(np.float64)
    od = od[(od >= _LEAST_OD).all(axis=1)]
    if len(od) < _LEAST_PIXELS:
        raise StainError(
            f"Only {len(od)} of the pixels looked at are stained, too few to tell the stains by. "
            "Give the stain vectors, or take the defaults 'he' or 'hdab'."
        )
    spread, directions = np.linalg.eigh(np.cov(od.T))
    if spread[1] < _LEAST_SPREAD:
        raise StainError(
            "What is stained has one colour only, so two stains cannot be told apart. Give the "
            "stain vectors, or take the defaults 'he' or 'hdab'."
        )
    plane = directions[:, :0:-1]
    plane *= np.where(plane.sum(axis=0) < 0, -1, 1)
    along = od @ plane
    angles = np.percentile(np.arctan2(along[:, 1], along[:, 0]), [percentile, 100 - percentile])
    ends = plane @ np.stack([np.cos(angles), np.sin(angles)])
    ends = np.maximum(ends.T, 0)
    ends /= np.linalg.norm(ends, axis=1, keepdims=True)
    as_is, swapped = (float((kind.matrix[:2] * e).sum()) for e in (ends, ends[::-1]))
    first, second = (_triple(v) for v in (ends if as_is >= swapped else ends[::-1]))
    return StainVectors(kind.names[:2], (first, second), kind.background)


def _triple(vector: NDArray[np.float64]) -> tuple[float, float, float]:
    red, green, blue = vector.tolist()
    return red, green, blue
