"""Smooth random fields over a picture, in µm: the raw stuff of shapes and textures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.fft as fft
from numpy.typing import NDArray
from scipy import ndimage as ndi

Rng = np.random.Generator
Field = NDArray[np.float32]
Mask = NDArray[np.bool_]
Ids = NDArray[np.int32]


@dataclass(frozen=True)
class Frame:
    """The picture's extent.

    Attributes
    ----------
    shape : (int, int)
        Height and width, px.
    pixel_um : float
        Edge of one pixel, µm.
    """

    shape: tuple[int, int]
    pixel_um: float

    @property
    def size_um(self) -> tuple[float, float]:
        """Height and width, µm."""
        return self.shape[0] * self.pixel_um, self.shape[1] * self.pixel_um

    @cached_property
    def yx_um(self) -> tuple[Field, Field]:
        """Place of each pixel's centre, two fields (h, w), µm."""
        y, x = np.indices(self.shape, dtype=np.float32)
        return (y + 0.5) * np.float32(self.pixel_um), (x + 0.5) * np.float32(self.pixel_um)

    def noise(self, scale_um: float, rng: Rng) -> Field:
        """(h, w) Gaussian noise of mean 0 and deviation 1, smooth over `scale_um` or one pixel."""
        # Twice the scale is added, so that what leaves on one side does not come in on the other.
        scale_px = scale_um / self.pixel_um
        margin = int(min(2 * scale_px, max(self.shape)))
        h, w = (fft.next_fast_len(n + margin, real=True) for n in self.shape)
        down, along = (
            np.exp(-2 * (np.pi * scale_px * f) ** 2).astype(np.float32)
            for f in (np.fft.fftfreq(h), np.fft.rfftfreq(w))
        )
        white = rng.standard_normal((h, w), dtype=np.float32)
        # The deviation over all such fields, not of this one: a wide field keeps its chance slope.
        power = float(down @ down) * (2 * float(along @ along) - 1)
        down *= np.float32(np.sqrt(h * w / power))
        waves = fft.rfft2(white, overwrite_x=True)
        waves *= down[:, None]
        waves *= along
        smooth = fft.irfft2(waves, (h, w), overwrite_x=True)
        return np.asarray(smooth[: self.shape[0], : self.shape[1]], np.float32)

    def blur(self, field: NDArray[np.generic], sigma_um: float) -> Field:
        """Gaussian blur of a mask or a field."""
        values = field.astype(np.float32)
        return np.asarray(ndi.gaussian_filter(values, sigma_um / self.pixel_um, truncate=3.0))

    def depth(self, inside: Mask) -> Field:
        """Distance to the nearest pixel that is not inside, µm; the frame is no border.

        Where all is inside it is unknown, and twice the frame's longer side.
        """
        if inside.all():
            return np.full(self.shape, 2 * max(self.size_um), np.float32)
        return np.asarray(ndi.distance_transform_edt(inside) * self.pixel_um, np.float32)

    def flow(self, angle: Field, length_um: float, rng: Rng) -> Field:
        """White noise smeared along a direction field: fibres, about -2 to 2.

        Line integral convolution, Cabral and Leedom 1993, with the nearest pixel for the value.
        """
        h, w = self.shape
        grain = self.noise(min(0.5, 0.4 * self.pixel_um), rng)
        steps = int(np.clip(length_um / self.pixel_um / 2, 1, 7))
        stride = np.float32(max(length_um / self.pixel_um / 2 / steps, 1))
        dy, dx = np.sin(angle) * stride, np.cos(angle) * stride
        total = grain.copy()
        for sign in (1, -1):
            y, x = np.indices(self.shape, dtype=np.float32)
            for _ in range(steps):
                row, column = _whole(y, h), _whole(x, w)
                y += sign * dy[row, column]
                x += sign * dx[row, column]
                total += grain[_whole(y, h), _whole(x, w)]
        return np.asarray(total / np.sqrt(2 * steps + 1), np.float32)


def _whole(places: Field, end: int) -> NDArray[np.intp]:
    return np.clip(places, 0, end - 1).astype(np.intp)


def pick(rng: Rng, weights: dict[str, float], count: int) -> NDArray[np.str_]:
    """`count` names, each as often as its weight says."""
    chance = np.array(list(weights.values()), float)
    return rng.choice(np.array(list(weights)), count, p=chance / chance.sum())


def between(rng: Rng, span: tuple[float, float]) -> float:
    """One number of a range, small ones as likely in proportion as large ones."""
    low, high = span
    return float(np.exp(rng.uniform(np.log(low), np.log(high)))) if low > 0 else rng.uniform(*span)
