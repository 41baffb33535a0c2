"""A learning project on drawn H&E, small enough for the real tools."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile

from napari_histo.core import PixelSize
from napari_histo.learning.project.facts import Settings
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.project.making import NewImage, NewProject, create_project
from napari_histo.testing.synthetic import make_he_field

SIZE = PixelSize.square(0.25)


def make_tiles(folder: Path, n: int = 2, side: int = 320) -> list[Path]:
    """Drawn images of 0.25 µm per px; the files carry no pixel size."""
    rngs = [np.random.default_rng(seed) for seed in range(n)]
    return write_tiles(folder, [make_he_field(rng, side).image for rng in rngs])


def write_tiles(folder: Path, pictures: Sequence[np.ndarray]) -> list[Path]:
    """Pictures (h, w, 3) uint8 as files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"tile {number}.tif" for number in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        tifffile.imwrite(path, picture, photometric="rgb")
    return paths


def make_tile_project(folder: Path, tiles: list[Path] | None = None) -> LearningProject:
    """A project in ``folder/p``: one image teaches, the other judges."""
    tiles = make_tiles(folder / "tiles") if tiles is None else tiles
    images = [
        NewImage(path, split=split, pixel_size=SIZE)
        for path, split in zip(tiles, ("train", "validation"), strict=True)
    ]
    settings = Settings(region_px=80, regions=2, validation_regions=1)
    wanted = NewProject(images, "he-nuclei-fast", name="p", settings=settings)
    return create_project(folder / "p", wanted)
