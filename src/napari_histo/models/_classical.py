"""The model ``classical``: stain or brightness, Otsu's threshold, distance watershed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from napari_histo.core import Contours, ModelInfo, Proposals, Thresholds
from napari_histo.models._device import room
from napari_histo.models._proposing import OutlinedSegmenter, no_proposals
from napari_histo.models._watershed import contrasts, local_otsu, means, noise, part
from napari_histo.ops.finite import finite
from napari_histo.ops.stain import brightest, is_gray, nuclear_density, optical_density

__all__ = ["CLASSICAL_INFO", "ClassicalSegmenter", "Polarity", "centres"]

Polarity = Literal["auto", "bright", "dark"]

CLASSICAL_INFO = ModelInfo(
    "classical",
    "classical",
    pixel_size_um=0.5,
    pixel_size_nominal=True,
    channels="any",
    licence="BSD-3-Clause",
    source="scikit-image: Otsu's threshold and a distance watershed",
    size_bytes=0,
    thresholds=Thresholds(prob=0.5, nms=0.4),
    description=(
        "No network: dark stain (haematoxylin, nuclear DAB) or bright fluorescence, thresholded "
        "and parted by shape. The baseline that a trained model has to beat."
    ),
)

_BLOCK_PX, _BLOCK_REACH = 32, 2
#: Memory that a pixel takes on its way, about.
_BYTES_A_PX = 200
_SMOOTH_PX = 1.0
_SEED_PX = 3
_HOLE_UM2 = 15.0
_AREA_UM2 = (7.5, 1000.0)
_NECK = 0.88
_RING_PX = 2
#: Smoothed white noise makes blobs that stand out by up to its own standard deviation.
_NOISE = 1.25
#: What the darkest percentile of a brightfield image lets through: the pipeline maps it to 0,
#: and optical density needs a share of light.
_DARKEST = 0.25


@dataclass(frozen=True)
class _Signal:
    """What marks nuclei, with what a trusted contrast and the highest threshold are."""

    pixels: NDArray[np.float32]
    contrast: float
    top: float


class ClassicalSegmenter(OutlinedSegmenter):
    """Thresholding and watershed behind the same protocol as the networks.

    The probability is a score of contrast ``c / (c + c0)``: 0.5 is the least contrast with its
    surroundings that tells nuclei from texture, 1 cannot be reached.

    Parameters
    ----------
    polarity : {"auto", "bright", "dark"}
        Whether nuclei are brighter or darker than their surroundings. ``auto`` takes images for
        fluorescence when they are mostly dark: grey ones by their median, coloured ones by their
        share of black pixels. A field filled with nuclei can mislead it.
    coloured : bool, optional
        Whether colours of RGB images mean stains; by default looked at in each image.
    """

    edge_px = 0
    align_px = _BLOCK_PX
    batch_size = 1

    def __init__(self, polarity: Polarity = "auto", *, coloured: bool | None = None) -> None:
        super().__init__(CLASSICAL_INFO)
        self.polarity = polarity
        self.coloured = coloured

    def __repr__(self) -> str:
        return f"<ClassicalSegmenter polarity={self.polarity}>"

    @property
    def margin_px(self) -> int:
        """Blocks that reach a pixel's threshold, and the largest object beyond."""
        diameter = 2 * np.sqrt(_AREA_UM2[1] / np.pi) / _pixel_um()
        blocks = _BLOCK_PX * (_BLOCK_REACH + 2)
        return int(blocks + np.ceil(diameter / _BLOCK_PX) * _BLOCK_PX)

    @property
    def percentiles(self) -> tuple[float, float] | None:
        """Percentiles of the image that become 0 and 1."""
        return 1.0, 99.8

    def adapt(self, samples: NDArray[np.float32]) -> ClassicalSegmenter:
        """See `Segmenter.adapt`: colour and polarity are those of the whole region."""
        image = samples[:, None, :]
        coloured = _is_coloured(image)
        if self.polarity != "auto":
            return ClassicalSegmenter(self.polarity, coloured=coloured)
        polarity: Polarity = "bright" if _is_fluorescence(image, coloured) else "dark"
        return ClassicalSegmenter(polarity, coloured=coloured)

    def room(self, side_px: int) -> int:
        """See `Segmenter.room`."""
        return room("cpu", side_px**2 * _BYTES_A_PX)

    def on_cpu(self) -> ClassicalSegmenter:
        """See `Segmenter.on_cpu`; it runs nowhere else."""
        return self

    def propose(self, images: NDArray[np.float32], min_prob: float) -> list[Proposals]:
        """See `Segmenter.propose`; the outlines are finished."""
        return [self._propose_one(image, min_prob) for image in images]

    def _propose_one(self, image: NDArray[np.float32], min_prob: float) -> Proposals:
        if not image.size:
            return no_proposals()
        signal = nuclear_signal(finite(image), self.polarity, self.coloured)
        labels, prob = _label(signal)
        keep = prob > min_prob
        if not keep.any():
            return no_proposals()
        kept = np.where(keep, np.cumsum(keep), 0)[labels]
        return Proposals(
            centres(kept),
            prob[keep].astype(np.float32),
            contours=_outlines(kept),
        )


def nuclear_signal(
    image: NDArray[np.float32], polarity: Polarity, coloured: bool | None = None
) -> _Signal:
    """What marks nuclei in an image (h, w, c) normalised to 0..1: high in them, low elsewhere."""
    coloured = _is_coloured(image) if coloured is None else coloured
    bright = _is_fluorescence(image, coloured) if polarity == "auto" else polarity == "bright"
    if bright:
        return _Signal(brightest(image), contrast=0.05, top=1.2)
    od = optical_density(_DARKEST + (1 - _DARKEST) * image)
    if coloured:
        return _Signal(nuclear_density(od), contrast=0.09, top=1.0)
    return _Signal(od.mean(axis=2), contrast=0.06, top=1.0)


def _is_coloured(image: NDArray[np.float32]) -> bool:
    return image.shape[2] == 3 and not is_gray(image)


def _is_fluorescence(image: NDArray[np.float32], coloured: bool) -> bool:
    if coloured:
        # Dense haematoxylin is dark but never black.
        return bool((brightest(image) < 0.2).mean() > 0.2)
    return bool(np.median(image) < 0.5)


def _label(signal: _Signal) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Numbered pixels, and the score of each number; 0 for the background and misfits."""
    px_um2 = _pixel_um() ** 2
    smooth = ndi.gaussian_filter(signal.pixels, _SMOOTH_PX)
    otsu = local_otsu(smooth, block_px=_BLOCK_PX, reach=_BLOCK_REACH, top=signal.top)
    hole_px = round(_HOLE_UM2 / px_um2)
    labels = part(smooth > otsu, smooth, seed_px=_SEED_PX, hole_px=hole_px, neck=_NECK)
    contrast = np.maximum(contrasts(labels, smooth, otsu, _RING_PX), 0)
    area_um2 = np.bincount(labels.ravel()) * px_um2
    trusted = np.maximum(
        signal.contrast, _NOISE * means(labels, noise(signal.pixels), len(contrast))
    )
    prob = contrast / (contrast + trusted)
    prob[(area_um2 < _AREA_UM2[0]) | (area_um2 > _AREA_UM2[1])] = 0
    prob[0] = 0
    return labels, prob


def centres(labels: NDArray[np.integer]) -> NDArray[np.float32]:
    """Centroids of labels 1..n, x before y, to 1/16 px, which every tile rounds alike."""
    n = int(labels.max())
    area = np.bincount(labels.ravel(), minlength=n + 1)[1:]
    rows, columns = (np.arange(k, dtype=np.float64) for k in labels.shape)
    grids = np.broadcast_arrays(columns[None, :], rows[:, None])
    sums = [np.bincount(labels.ravel(), g.ravel(), n + 1)[1:] for g in grids]
    return np.asarray(np.round((np.stack(sums, 1) / area[:, None] + 0.5) * 16) / 16, np.float32)


def _outlines(labels: NDArray[np.integer]) -> Contours:
    """Outline of each object, between its own pixels and others, in pixel corners."""
    from skimage.measure import find_contours

    rings = []
    for number, where in enumerate(ndi.find_objects(labels), start=1):
        inside = np.pad(labels[where] == number, 1)
        outlines = find_contours(inside.astype(np.float32), 0.5)  # type: ignore[no-untyped-call]
        longest = max(outlines, key=len)
        corner = np.array([where[1].start, where[0].start]) - 0.5
        rings.append(longest[:, ::-1] + corner)
    return Contours.from_rings(rings)


def _pixel_um() -> float:
    assert CLASSICAL_INFO.pixel_size_um is not None
    return CLASSICAL_INFO.pixel_size_um
