"""Artificial fluorescence images: single nuclei, cut out of labelled ones, on emptied grounds.

After Kromp et al., "Evaluation of Deep Learning Architectures for Complex Immunofluorescence
Nuclear Image Segmentation", IEEE Transactions on Medical Imaging 2021: touching and overlapping
nuclei are rare in labelled images and uncertain in their labels; composed of single ones they are
as many as wanted, and the truth is known to the pixel. Light adds up here, as in a microscope.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["Nucleus", "compose", "cut_nuclei", "empty_ground"]

#: So far beyond its outline a nucleus still shines, px; single ones keep as far from others.
_GLOW_PX = 5
_LEAST_AREA_PX = 20
#: A nucleus is this much brighter than what surrounds it; 1 is the brightest of its image.
_LEAST_LIGHT = 0.03
#: Ground is smooth over so many px.
_GROUND_PX = 10.0
#: Share of an image that is ground enough to go by.
_LEAST_GROUND = 0.05
#: Noise of the ground is copied from elsewhere so often before it is drawn pixel by pixel.
_SHIFTS = 12
#: Share of the nuclei that are put beside one that is there.
_BESIDE = 0.6
#: At most so much of a new nucleus may lie on others, and so much of each must stay in view.
_MOST_ON_OTHERS, _LEAST_IN_VIEW = 0.35, 0.65
_MOST_TRIES = 300

Image = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Nucleus:
    """A nucleus by itself.

    Attributes
    ----------
    light : (h, w, c) float32
        What it adds to the ground; fades to 0 beyond the outline.
    mask : (h, w) bool
        Inside of the outline.
    label : int
        In the image that it comes from.
    """

    light: Image
    mask: NDArray[np.bool_]
    label: int

    @property
    def nbytes(self) -> int:
        """Of the arrays."""
        return int(self.light.nbytes + self.mask.nbytes)

    @property
    def radius_px(self) -> float:
        """Of a disc as large."""
        return float(np.sqrt(self.mask.sum() / np.pi))

    def turned(self, rng: np.random.Generator) -> Nucleus:
        """Turned by right angles and mirrored at random."""
        turns, is_mirrored = int(rng.integers(4)), rng.random() < 0.5
        light, mask = np.rot90(self.light, turns), np.rot90(self.mask, turns)
        if is_mirrored:
            light, mask = light[:, ::-1], mask[:, ::-1]
        return Nucleus(light, mask, self.label)


def cut_nuclei(
    pixels: Image, labels: NDArray[np.integer], usable: NDArray[np.bool_]
) -> list[Nucleus]:
    """Nuclei of an image that stand alone, each with its glow and without its ground.

    Parameters
    ----------
    pixels : (h, w, c) float32
        About 0 to 1, bright nuclei.
    labels : (h, w) int
    usable : (n + 1,) bool
        For each label whether it may be taken.
    """
    if not labels.any():
        return []
    away, (y, x) = ndimage.distance_transform_edt(labels == 0, return_indices=True)
    nearest = labels[y, x]
    fade = np.clip(1 - away / _GLOW_PX, 0, 1).astype(np.float32)
    found = []
    for number, place in enumerate(ndimage.find_objects(labels), start=1):
        if place is None or not usable[number]:
            continue
        window = _padded(place, labels.shape)
        if window is not None:
            one = _single(pixels[window], labels[window], number, fade[window], nearest[window])
            found += [one] if one else []
    return found


def _padded(place: tuple[slice, ...], shape: tuple[int, ...]) -> tuple[slice, ...] | None:
    """With room for the glow; None at the edge, where a nucleus is cut."""
    low, high = [s.start - _GLOW_PX for s in place], [s.stop + _GLOW_PX for s in place]
    if min(low) < 0 or any(h > n for h, n in zip(high, shape, strict=True)):
        return None
    return tuple(slice(a, b) for a, b in zip(low, high, strict=True))


def _single(
    pixels: Image,
    labels: NDArray[np.integer],
    number: int,
    fade: Image,
    nearest: NDArray[np.integer],
) -> Nucleus | None:
    """The nucleus in the middle of a window, unless another is near, or there is no light in it."""
    mask = labels == number
    near = ndimage.binary_dilation(mask, iterations=3)
    if mask.sum() < _LEAST_AREA_PX or ((labels != number) & (labels != 0) & near).any():
        return None
    ground = (labels == 0) & (fade < 1 / _GLOW_PX)
    if not ground.any():
        return None
    light = np.maximum(pixels - np.median(pixels[ground], axis=0), 0)
    light *= np.where(nearest == number, fade, 0)[..., None]
    if light[mask].mean() < _LEAST_LIGHT:
        return None
    return Nucleus(light, mask, number)


def empty_ground(pixels: Image, labels: NDArray[np.integer], rng: np.random.Generator) -> Image:
    """An image (h, w, c) without its nuclei: the ground around them, smoothed, with its noise."""
    away = ndimage.distance_transform_edt(labels == 0) if labels.any() else np.inf + labels
    free = away > 3 * _GLOW_PX
    if free.mean() < _LEAST_GROUND:
        free = away > _GLOW_PX
    if free.mean() < _LEAST_GROUND:
        # Hardly any ground is left between nuclei: what is darkest stands for it.
        level = pixels.mean(axis=-1)
        free = level <= np.percentile(level, 5)
    smooth = _smoothed(pixels, free)
    noise = np.where(free[..., None], pixels - smooth, 0)
    have = free.copy()
    for _ in range(_SHIFTS):
        if have.all():
            break
        by = tuple(int(rng.integers(n)) for n in free.shape)
        other, is_free = np.roll(pixels - smooth, by, (0, 1)), np.roll(free, by, (0, 1))
        new = is_free & ~have
        noise[new], have = other[new], have | new
    some = (pixels - smooth)[free]
    noise[~have] = some[rng.integers(len(some), size=int((~have).sum()))]
    return np.asarray(np.where(free[..., None], pixels, smooth + noise), np.float32)


def _smoothed(pixels: Image, free: NDArray[np.bool_]) -> Image:
    """Mean of the free pixels about each one; of all of them where there are none about."""
    sigma = (_GROUND_PX, _GROUND_PX, 0)
    weight = ndimage.gaussian_filter(free[..., None].astype(np.float32), sigma, truncate=3)
    total = ndimage.gaussian_filter(pixels * free[..., None], sigma, truncate=3)
    mean = pixels[free].mean(axis=0)
    return np.asarray((total + 1e-3 * mean) / (weight + 1e-3), np.float32)


def compose(
    ground: Image, nuclei: Sequence[Nucleus], rng: np.random.Generator, *, coverage: float
) -> tuple[Image, NDArray[np.int32], NDArray[np.int64]]:
    """Nuclei on a ground, some beside and on each other; who is put later lies on top.

    Parameters
    ----------
    ground : (h, w, c) float32
    nuclei : sequence of Nucleus
        Drawn from, again and again.
    rng : Generator
    coverage : float
        Share of the ground that nuclei are to cover.

    Returns
    -------
    pixels : (h, w, c) float32
    labels : (h, w) int32
        1 to n, the parts in view alone.
    source : (n,) int64
        Which of `nuclei` each is.
    """
    light, labels = np.zeros_like(ground), np.zeros(ground.shape[:2], np.int32)
    whole, spots = [0], np.zeros((0, 3))
    source: list[int] = []
    if not nuclei:
        return ground, labels, np.array(source, np.int64)
    solid = float(rng.uniform(0.3, 1.0))
    gains = np.exp(rng.normal(0, 0.25, _MOST_TRIES)).astype(np.float32)
    for gain in gains:
        if (labels > 0).sum() >= coverage * labels.size:
            break
        chosen = int(rng.integers(len(nuclei)))
        one = nuclei[chosen].turned(rng)
        spot = _spot(one.radius_px, spots, labels.shape, rng)
        there, part = _window(spot, one.mask.shape, labels.shape)
        if not _fits(labels, there, one.mask[part], np.array(whole)):
            continue
        _put(light[there], one.light[part] * gain, one.mask[part], solid)
        labels[there][one.mask[part]] = len(whole)
        whole.append(int(one.mask[part].sum()))
        spots = np.vstack([spots, [*spot, one.radius_px]])
        source.append(chosen)
    return ground + light, labels, np.array(source, np.int64)


def _spot(
    radius: float, spots: NDArray[np.float64], shape: tuple[int, ...], rng: np.random.Generator
) -> NDArray[np.float64]:
    """y and x of a new nucleus: anywhere, or beside one that is there."""
    if not len(spots) or rng.random() > _BESIDE:
        return rng.uniform((0, 0), shape)
    *middle, other = spots[rng.integers(len(spots))]
    angle, far = rng.uniform(0, 2 * np.pi), (radius + other) * rng.uniform(0.75, 1.1)
    spot = np.array(middle) + far * np.array([np.sin(angle), np.cos(angle)])
    return np.asarray(np.clip(spot, 0, np.array(shape) - 1.0))


def _window(
    spot: NDArray[np.float64], size: tuple[int, ...], shape: tuple[int, ...]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Where a crop about a spot lies in an image, and the part of the crop that does."""
    start = [round(float(s) - n / 2) for s, n in zip(spot, size, strict=True)]
    low = [max(s, 0) for s in start]
    high = [min(s + n, m) for s, n, m in zip(start, size, shape, strict=True)]
    there = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    part = tuple(slice(a - s, b - s) for a, b, s in zip(low, high, start, strict=True))
    return there, part


def _fits(
    labels: NDArray[np.int32],
    there: tuple[slice, ...],
    mask: NDArray[np.bool_],
    whole: NDArray[np.int64],
) -> bool:
    """Whether a new nucleus leaves enough of those below it in view."""
    below = labels[there][mask]
    if not len(below) or (below > 0).mean() > _MOST_ON_OTHERS:
        return False
    hit = np.flatnonzero(np.bincount(below))[1 if (below == 0).any() else 0 :]
    left = [(labels == n).sum() - (below == n).sum() for n in hit]
    return bool((np.array(left) >= _LEAST_IN_VIEW * whole[hit]).all())


def _put(light: Image, new: Image, mask: NDArray[np.bool_], solid: float) -> None:
    """Add a nucleus to the light, in place; what lies below shines through as it is not solid."""
    cover = ndimage.gaussian_filter(mask.astype(np.float32), 1.0)
    light *= 1 - solid * cover[..., None]
    light += new
