"""Patches for the click network: an object, what was drawn on it, and its mask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from skimage.io import imread
from torch import Tensor
from torch.utils.data import IterableDataset

from _images import LabelledImage, labelled_image, normalise, read_split, rescale, warp
from napari_histo.learning.click.drawing import NUCLEI, draw_gestures
from napari_histo.learning.click.samples import aim
from napari_histo.learning.course.augment import (
    fluo_colour,
    fluo_texture,
    he_colour,
    he_texture,
    jitter_range,
)
from napari_histo.learning.course.warping import PatchShape, sampling_grid
from napari_histo.testing.synthetic import make_gland_field

PERCENTILES = (1.0, 99.8)
_MIN_AREA_PX = 24


@dataclass(frozen=True)
class Kind:
    """What is shown of one source of objects.

    ``share`` of all patches; ``gestures``, the shares of click, box, squiggle; ``extent_px``, the
    range of object lengths in the patch.
    """

    share: float
    gestures: tuple[float, float, float]
    extent_px: tuple[float, float]
    fluorescent: bool = False


LARGE = (0.2, 0.2, 0.6)
KINDS: Mapping[str, Kind] = {
    "H&E": Kind(0.46, NUCLEI, (10, 76)),
    "purple_on_purple": Kind(0.14, NUCLEI, (10, 76)),
    "purple_on_white": Kind(0.06, NUCLEI, (10, 76)),
    "brightfield_pap_gray": Kind(0.02, NUCLEI, (10, 76)),
    "fluorescence": Kind(0.17, NUCLEI, (10, 76), fluorescent=True),
    "nests": Kind(0.03, (0.0, 0.3, 0.7), (24, 84)),
    "glands": Kind(0.08, LARGE, (24, 88)),
    "real glands": Kind(0.05, LARGE, (24, 88)),
}


@dataclass(frozen=True)
class Source:
    """One image, its objects' boxes, and how large they are drawn."""

    image: LabelledImage
    kind: Kind
    boxes: Mapping[int, tuple[slice, slice]]
    zoom: float


def read_sources(root: Path, split: str, scale: Mapping[str, float]) -> list[Source]:
    """All nuclei of a split; for training also the nests they form."""
    found = []
    for stain in ("H&E", "purple_on_purple", "purple_on_white", "brightfield_pap_gray"):
        images = read_split(root, split, stains=[stain], channels=3, scale=scale)
        found += [as_source(image, KINDS[stain]) for image in images]
    images = read_split(root, split, stains=["fluorescence"], channels=1, scale={})
    found += [as_source(i, KINDS["fluorescence"], typical_px=26.0) for i in images]
    if split == "train":
        nests = [_nests(s.image) for s in found if s.kind is KINDS["H&E"]]
        found += [as_source(image, KINDS["nests"]) for image in nests]
    return [s for s in found if s.boxes]


def synthetic_glands(n: int, seed: int) -> list[Source]:
    """Drawn H&E tissue, glands 20 to 200 px long."""
    rng = np.random.default_rng(seed)
    fields = (
        make_gland_field(rng, (320, 320), float(np.exp(rng.uniform(np.log(0.8), np.log(4)))))
        for _ in range(n)
    )
    images = [labelled_image(f"glands-{i}", f.image, f.glands) for i, f in enumerate(fields)]
    return [s for s in (as_source(image, KINDS["glands"]) for image in images) if s.boxes]


def gland_files(folder: Path, *, validation: bool) -> list[Path]:
    """Files ``BIOPSY-….._labels.png``, each beside its image; every fifth biopsy validates."""
    files = sorted(folder.glob("*_labels.png"))
    held = set(sorted({f.name.split("-")[0] for f in files})[::5])
    return [f for f in files if (f.name.split("-")[0] in held) == validation]


def real_glands(folder: Path, *, validation: bool) -> list[Source]:
    """Annotated glands, half as large as their files."""
    found = []
    for file in gland_files(folder, validation=validation):
        name = file.name.removesuffix("_labels.png")
        image = np.asarray(imread(file.with_name(f"{name}.png")))[..., :3]
        labels = np.asarray(imread(file)).astype(np.int32)
        image, labels = rescale((image / np.float32(255)).astype(np.float32), labels, 0.5)
        pixels = (image * 255).astype(np.uint8)
        found.append(as_source(labelled_image(name, pixels, labels), KINDS["real glands"]))
    return [s for s in found if s.boxes]


def as_source(image: LabelledImage, kind: Kind, typical_px: float | None = None) -> Source:
    """``typical_px``: where the pixel size is unknown, the length that the median object gets."""
    boxes = {
        i: where
        for i, where in enumerate(ndimage.find_objects(image.labels), start=1)
        if where is not None and (image.labels[where] == i).sum() >= _MIN_AREA_PX
    }
    zoom = 1.0
    if typical_px and boxes:
        zoom = typical_px / float(np.median([_extent(b) for b in boxes.values()]))
    return Source(image, kind, boxes, zoom)


def _nests(image: LabelledImage) -> LabelledImage:
    """Groups of touching nuclei as one object."""
    grown = ndimage.binary_closing(np.pad(image.labels > 0, 8), iterations=5)[8:-8, 8:-8]
    labels, n = ndimage.label(grown)
    sizes = np.bincount(labels.ravel(), minlength=n + 1)
    labels[np.isin(labels, np.flatnonzero(sizes < 1500))] = 0
    parts = image.__dict__ | {"labels": labels.astype(np.int32)}
    return LabelledImage(**parts)


def _extent(where: tuple[slice, slice]) -> float:
    return float(max(s.stop - s.start for s in where))


@dataclass(frozen=True)
class Sample:
    """``image`` (3, s, s) float32; ``maps`` (3, s, s) uint8; ``truth``, ``known`` (s, s) bool."""

    image: Tensor
    maps: NDArray[np.uint8]
    truth: NDArray[np.bool_]
    known: NDArray[np.bool_]


def sample(source: Source, side: int, rng: np.random.Generator) -> Sample | None:
    """One augmented example; None where the warp lost the object."""
    target = int(rng.choice(list(source.boxes)))
    where = source.boxes[target]
    mask = source.image.labels[where] == target
    extent = _extent(where)
    low, high = source.kind.extent_px
    if source.kind.gestures[0] < 0.5:  # large things are drawn at any size
        wanted = np.exp(rng.uniform(np.log(low), np.log(high)))
        wanted = np.clip(
            wanted, 0.4 * extent, 2.5 * extent
        )  # nothing is smoothed before it shrinks
    else:
        wanted = np.clip(extent * source.zoom * 2 ** rng.normal(0, 0.35), low, high)
    # What is seldom clicked is seldom in the middle.
    at_object = 0.7 * source.kind.gestures[0] / NUCLEI[0]
    centre = aim(mask, where, rng, at_object)
    shape = PatchShape(side=side, elastic_px=1.5)
    grid = sampling_grid(
        source.image.labels.shape, shape, rng, centre=centre, zoom=float(wanted / extent)
    )
    image, labels, known = warp(source.image, grid)
    truth = labels == target
    if truth.sum() < 16:
        return None
    maps = draw_gestures(labels, target, source.kind.gestures, rng)
    return Sample(_colour(image, source.kind, rng), maps, truth, known)


def _colour(image: Tensor, kind: Kind, rng: np.random.Generator) -> Tensor:
    colour, texture = (fluo_colour, fluo_texture) if kind.fluorescent else (he_colour, he_texture)
    image = texture(colour(rng)(image), rng)
    if kind.fluorescent:
        image = image.expand(3, -1, -1)
        if rng.random() < 0.3:
            image = 1 - image
    image = normalise(image, image.reshape(-1), PERCENTILES)[0]
    return jitter_range(image, rng) if rng.random() < 0.5 else image


class Batches(IterableDataset[tuple[Tensor, ...]]):
    """Endless batches: image and maps (b, 3, s, s), truth and known (b, 1, s, s).

    All float32 but for the maps, uint8.
    """

    #: A network that saw one side alone finds the centre by its distance to the padding, and fails
    #: on patches of another side.
    SIDES = (96, 96, 128)

    def __init__(self, sources: Sequence[Source], *, batch: int, seed: int) -> None:
        self.sources, self.batch, self.seed = list(sources), batch, seed

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        torch.set_num_threads(1)
        info = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.seed, info.id if info else 0])
        chance = self._chance()
        while True:
            drawn: list[Sample] = []
            side = int(rng.choice(self.SIDES))
            while len(drawn) < self.batch:
                source = self.sources[rng.choice(len(self.sources), p=chance)]
                one = sample(source, side, rng)
                if one is not None:
                    drawn.append(one)
            yield (
                torch.stack([s.image for s in drawn]),
                torch.from_numpy(np.stack([s.maps for s in drawn])),
                torch.from_numpy(np.stack([s.truth for s in drawn])[:, None]).float(),
                torch.from_numpy(np.stack([s.known for s in drawn])[:, None]).float(),
            )

    def _chance(self) -> NDArray[np.float64]:
        """A kind's share, spread by the root of each image's objects."""
        chance = np.sqrt([len(s.boxes) for s in self.sources])
        for kind in KINDS.values():
            own = np.array([s.kind is kind for s in self.sources])
            if own.any():
                chance[own] *= kind.share / chance[own].sum()
        return np.asarray(chance / chance.sum())
