"""Labelled nuclei from disk, brought to one pixel size, and random patches of them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from skimage.io import imread
from skimage.transform import resize
from torch import Tensor

from napari_histo.learning.course.warping import PatchShape, sampling_grid, warp_nearest
from napari_histo.learning.course.warping import warp as warp_image

NEVER = {("tnbc", p) for p in ("04", "08", "11")}  # the final test's patients
_PERCENTILE_PIXELS = 4096


@dataclass(frozen=True)
class LabelledImage:
    """One image at the model's pixel size.

    Attributes
    ----------
    image, labels
        ``(c, h, w)`` float32 in 0..1; ``(h, w)`` int32 instance ids.
    group, stain
        What must not be split between training and validation; the folder's kind.
    cut
        Ids of the objects that the frame cuts: their true outline is unknown.
    """

    id: str
    group: str
    stain: str
    image: Tensor
    labels: NDArray[np.int32]
    centres: NDArray[np.float64]
    cut: NDArray[np.int32]
    pixels: Tensor


def read_split(
    root: Path, split: str, *, stains: Sequence[str], channels: int, scale: Mapping[str, float]
) -> list[LabelledImage]:
    """All images of a split; ``scale`` gives the resampling factor of a group, of a stain, or 1."""
    with (root / "splits.csv").open() as f:
        rows = [r for r in csv.DictReader(f) if r["split"] == split and r["stain"] in stains]
    rows = [r for r in rows if (r["dataset"], r["group"]) not in NEVER]
    factor = [scale.get(r["group"], scale.get(r["stain"], 1.0)) for r in rows]
    return [_read(root, r, channels, k) for r, k in zip(rows, factor, strict=True)]


def _read(root: Path, row: Mapping[str, str], channels: int, factor: float) -> LabelledImage:
    folder, name = root / row["dataset"], row["id"] + ".png"
    image = _channels(np.asarray(imread(folder / "images" / name)), channels)
    labels = np.asarray(imread(folder / "labels" / name)).astype(np.int32)
    if factor != 1:
        image, labels = rescale(image, labels, factor)
    return _labelled(row["id"], row["group"], row["stain"], image, labels)


def labelled_image(name: str, image: NDArray[np.uint8], labels: NDArray[np.int32]) -> LabelledImage:
    """An image (h, w, 3) that stands for itself."""
    return _labelled(name, name, "", (image / np.float32(255)).astype(np.float32), labels)


def _labelled(
    name: str, group: str, stain: str, image: NDArray[np.float32], labels: NDArray[np.int32]
) -> LabelledImage:
    ids = np.unique(labels)
    ids = ids[ids > 0]
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    centres = np.array(ndimage.center_of_mass(labels > 0, labels, ids)).reshape(-1, 2)
    flat = image.reshape(-1, image.shape[-1])
    some = np.random.default_rng(0).choice(len(flat), _PERCENTILE_PIXELS)
    return LabelledImage(
        id=name,
        group=group,
        stain=stain,
        image=torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
        labels=labels,
        centres=centres,
        cut=np.setdiff1d(edge, [0]),
        pixels=torch.from_numpy(flat[some].T.copy()),
    )


def _channels(image: NDArray[np.uint8], channels: int) -> NDArray[np.float32]:
    image = image[..., None] if image.ndim == 2 else image[..., :3]
    if channels == 1:  # full exposure, so that noise can be told in its parts
        image = image.mean(axis=-1, keepdims=True)
        image = np.clip(image * (255 / max(np.percentile(image, 99.8), 1)), 0, 510)
    elif image.shape[-1] == 1:
        image = np.repeat(image, 3, axis=-1)
    return (image / np.float32(255)).astype(np.float32)


def rescale(
    image: NDArray[np.float32], labels: NDArray[np.int32], factor: float
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Resample both; the image smoothed before it shrinks, the labels by nearest pixel."""
    h, w = (max(1, round(n * factor)) for n in labels.shape)
    image = resize(image, (h, w), order=1, anti_aliasing=factor < 1)
    labels = resize(labels, (h, w), order=0, preserve_range=True, anti_aliasing=False)
    return image.astype(np.float32), labels.astype(np.int32)


def cut_patch(
    source: LabelledImage, shape: PatchShape, rng: np.random.Generator
) -> tuple[Tensor, NDArray[np.int32], NDArray[np.bool_]]:
    """A rotated, flipped, stretched, elastically warped patch.

    Returns
    -------
    image, labels, known
        ``(c, s, s)`` float32; ``(s, s)`` int32; ``(s, s)`` false outside of the source.
    """
    return warp(source, _sampling_grid(source, shape, rng))


def warp(
    source: LabelledImage, grid: Tensor
) -> tuple[Tensor, NDArray[np.int32], NDArray[np.bool_]]:
    """Image, labels and what lies inside of the frame, sampled at a grid of `sampling_grid`."""
    labels = warp_nearest(source.labels, grid)
    return warp_image(source.image, grid), np.maximum(labels, 0), labels >= 0


def _sampling_grid(source: LabelledImage, shape: PatchShape, rng: np.random.Generator) -> Tensor:
    log2 = np.clip(
        rng.normal(0, shape.log2_scale_sigma), -shape.log2_scale_max, shape.log2_scale_max
    )
    centre = _centre(source, shape, rng)
    return sampling_grid(source.labels.shape, shape, rng, centre=centre, zoom=2.0**log2)


def _centre(
    source: LabelledImage, shape: PatchShape, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(x, y) of the patch's centre; mostly near an object, and not far over the frame."""
    h, w = source.labels.shape
    if len(source.centres) and rng.random() < shape.on_object:
        centre = source.centres[rng.integers(len(source.centres))]
        centre = centre + rng.uniform(-0.4, 0.4, 2) * shape.side
    else:
        centre = rng.uniform((0, 0), (h, w))
    margin = np.minimum(0.4 * shape.side, (h / 2, w / 2))
    return np.asarray(np.clip(centre, margin, np.array([h, w]) - margin)[::-1])


def normalise(
    x: Tensor, pixels: Tensor, percentiles: tuple[float, float]
) -> tuple[Tensor, float, float]:
    """(x - low) / (high - low), low and high over all channels of the whole image's ``pixels``."""
    low, high = np.percentile(pixels.numpy(), percentiles)
    return (x - float(low)) / max(float(high - low), 1e-3), float(low), float(high)
