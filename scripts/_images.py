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
from torch.nn import functional as F  # noqa: N812

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


@dataclass(frozen=True)
class PatchShape:
    """How patches are cut: side in pixels, and the spread of magnification (log2, 1 sigma)."""

    side: int
    log2_scale_sigma: float = 0.35
    log2_scale_max: float = 1.0
    stretch: float = 0.12
    elastic_px: float = 3.0
    on_object: float = 0.85


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
    image = F.grid_sample(source.image[None], grid, padding_mode="reflection", align_corners=False)
    # 1 is added so that 0 can mean "outside".
    ids = torch.from_numpy(source.labels.astype(np.float32) + 1)[None, None]
    warped = F.grid_sample(ids, grid, mode="nearest", align_corners=False)[0, 0].numpy()
    labels = np.maximum(warped.astype(np.int32) - 1, 0)
    return image[0], labels, warped > 0


def _sampling_grid(source: LabelledImage, shape: PatchShape, rng: np.random.Generator) -> Tensor:
    log2 = np.clip(
        rng.normal(0, shape.log2_scale_sigma), -shape.log2_scale_max, shape.log2_scale_max
    )
    centre = _centre(source, shape, rng)
    return sampling_grid(source.labels.shape, shape, rng, centre=centre, zoom=2.0**log2)


def sampling_grid(
    size: tuple[int, ...],
    shape: PatchShape,
    rng: np.random.Generator,
    *,
    centre: NDArray[np.float64],
    zoom: float,
) -> Tensor:
    """Where each patch pixel comes from, in grid_sample's -1..1.

    ``size`` is the source's (h, w); ``centre`` (x, y) px of it; ``zoom`` > 1 enlarges.
    """
    factors = zoom * (1 + rng.uniform(-shape.stretch, shape.stretch, 2))
    angle = rng.uniform(0, 2 * np.pi) if rng.random() < 0.5 else rng.integers(4) * np.pi / 2
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.diag([1 / factors[0], rng.choice([-1, 1]) / factors[1]])
    axis = np.arange(shape.side) - (shape.side - 1) / 2
    xy = np.stack(np.meshgrid(axis, axis, indexing="xy"), axis=-1)
    xy = (xy + _elastic(shape, rng)) @ matrix.T + centre
    return torch.from_numpy(((xy * 2 + 1) / size[::-1] - 1).astype(np.float32))[None]


def _elastic(shape: PatchShape, rng: np.random.Generator) -> NDArray[np.float64] | float:
    if rng.random() < 0.6:
        return 0.0
    knots = torch.from_numpy(rng.normal(0, shape.elastic_px, (1, 2, 6, 6)))
    smooth = F.interpolate(knots, (shape.side, shape.side), mode="bicubic", align_corners=True)
    return np.asarray(smooth[0].permute(1, 2, 0).numpy())


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
