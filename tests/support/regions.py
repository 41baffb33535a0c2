"""Painted slides and a region model that needs no network."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from napari_histo.core import ClassScheme, ModelInfo, PixelSize
from napari_histo.learning.tissue.examples import RegionExample
from napari_histo.slides import ArrayReader
from napari_histo.store import labels_to_table
from napari_histo.testing.synthetic.regions import REGIONS, make_region_field

CLASSES = ClassScheme.of(*REGIONS)
PAINTED = ClassScheme.of("Ignore*", *REGIONS)
GLASS, PINK, BLUE = (243, 243, 243), (225, 150, 190), (110, 90, 170)


def drive(work):
    """Run a generator to its end: its steps and its result."""
    steps = []
    while True:
        try:
            steps.append(next(work))
        except StopIteration as end:
            return steps, end.value


def slide(seed, side, pixel_um=4.0):
    """A drawn slide and its truth."""
    drawn = make_region_field(np.random.default_rng(seed), (side, side), pixel_um)
    return ArrayReader(drawn.image, pixel_size=PixelSize.square(pixel_um)), drawn.regions


def patches(side=192, pixel_um=4.0, seed=0):
    """A slide of three colours in plain squares, and its truth: 0 glass, 1 pink, 2 blue."""
    rng = np.random.default_rng(seed)
    truth = np.kron(rng.integers(0, 3, (side // 32, side // 32)), np.ones((32, 32))).astype(int)
    truth[:32, :96] = np.repeat([0, 1, 2], 32)
    image = np.array([GLASS, PINK, BLUE])[truth] + rng.normal(0, 4, (side, side, 1))
    image = np.clip(image, 0, 255).astype(np.uint8)
    return ArrayReader(image, pixel_size=PixelSize.square(pixel_um)), truth


def painted(reader, truth, scheme=PAINTED, windows=None):
    """An example in which windows of a slide, by default all of it, are outlined."""
    labels = np.zeros(truth.shape, np.int32)
    for rows, columns in windows or [np.s_[:, :]]:
        labels[rows, columns] = truth[rows, columns] + 1
    present = np.unique(labels[labels > 0]) - 1
    return RegionExample(reader, labels_to_table(labels, classes=scheme, class_id=present))


def windows_around(truth, n, side=128):
    """Windows around a random pixel of each class in turn, as people paint."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(n):
        places = np.argwhere(truth == number % (truth.max() + 1))
        y, x = np.clip(places[rng.integers(len(places))] - side // 2, 0, len(truth) - side)
        found.append(np.s_[y : y + side, x : x + side])
    return found


def ious(found, truth):
    """IoU of each number in the truth."""
    numbers = range(int(truth.max()) + 1)
    return [
        float(((found == i) & (truth == i)).sum() / ((found == i) | (truth == i)).sum())
        for i in numbers
    ]


@dataclass
class ByColour:
    """Tells glass, pink and blue by the green of each pixel; notes what it was asked."""

    pixel_um: float = 4.0
    guide: object = None
    sure: float = 0.98
    margin_px: int = 16
    align_px: int = 16
    most_px: int = 10**9
    calls: list = field(default_factory=list)

    @property
    def info(self):
        return ModelInfo(
            "by colour", "regions", self.pixel_um, channels="rgb", classes=ClassScheme.of("A", "B")
        )

    def on_cpu(self):
        return self

    def predict(self, images, guide=None):
        if images[0].size > self.most_px * 3:
            raise MemoryError
        self.calls.append((images.shape[1:3], guide))
        green = images[..., 1]
        number = (green > 0.25).astype(int) + (green > 0.75)
        wrong = (1 - self.sure) / 2
        return np.where(np.eye(3)[number] > 0, self.sure, wrong).astype(np.float32)


def random_model(folder, classes=("Stroma", "Tumor"), pixel_um=4.0):
    """A folder with a small region model of random weights."""
    import torch

    from napari_histo.models.region.segmenter import (
        NetShape,
        TorchRegionSegmenter,
        save_region_model,
    )

    torch.manual_seed(0)
    shape = NetShape(3, len(classes) + 1, width=8)
    scheme = ClassScheme.of(*classes)
    info = ModelInfo("m", "regions", pixel_um, channels="rgb", classes=scheme)
    save_region_model(folder, TorchRegionSegmenter(shape.build(), shape, info, device="cpu"))
    return folder
