"""How much tissue is missed and how much glass is skipped, on drawn slides with known truth.

    python benchmarks/tissue.py [--kinds dark faint fat ...] [--slides 4] [--pictures FOLDER]

Slides of 9.6 x 7.2 mm at 4 µm/px are drawn on glass of random tint, with light that falls off, the
scanner's stripes, noise and JPEG. A tile (256 µm, as 1024 px at 40x) is lost where it holds tissue
and the mask says that it does not.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_histo.core import Box, PixelSize
from napari_histo.ops.tissue import TissueMask
from napari_histo.pipeline.tissue import find_tissue
from napari_histo.slides import ArrayReader
from napari_histo.testing.synthetic import make_gland_field

HEIGHT, WIDTH, UM = 1800, 2400, 4.0
TILE_PX = 256 / UM
KINDS = {
    "dark": "H&E, strong",
    "pale": "H&E at a third of its stain",
    "faint": "H&E at a seventh of its stain",
    "mixed": "from strong to next to nothing within a piece",
    "fat": "walls 75 µm apart, a few µm thick",
    "biopsies": "needles of 0.1 to 2 mm",
    "dab": "brown",
    "pen": "a ring in green, blue or black ink",
    "frame": "black beyond the scan",
    "glow": "fluorescence, light that falls off",
    "dim": "fluorescence, twice the noise above the background",
    "glass": "glass alone",
    "all": "tissue alone",
}
INKS = ((30, 130, 70), (25, 60, 190), (20, 20, 25), (35, 40, 150))
#: Share of the drawn stain; 0.7 for others.
STAIN = {"dark": 1.0, "pale": 0.35, "faint": 0.15}


@dataclass(frozen=True)
class Drawn:
    """A slide and where its tissue and its ink are."""

    pixels: NDArray[Any]
    tissue: NDArray[np.bool_]
    ink: NDArray[np.bool_]


def draw(kind: str, seed: int) -> Drawn:
    """One slide."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    tissue = _shape(kind, rng, y, x)
    if kind in ("glow", "dim"):
        return Drawn(_fluorescence(kind, tissue, rng, y, x), tissue, np.zeros_like(tissue))
    glass = 243 - np.abs(rng.normal(0, 6, 3))
    cover = _blur(tissue.astype(np.float32), 1.0)[..., None]
    image = glass * 10 ** -(_density(kind, rng) * cover)
    shade = 1 - 0.06 * (((x - WIDTH / 2) / WIDTH) ** 2 + ((y - HEIGHT / 2) / HEIGHT) ** 2)
    image *= (shade * (1 + 0.006 * np.sin(x // 128 * 7.1)))[..., None]
    image += rng.normal(0, 2, image.shape)
    ink = np.zeros_like(tissue)
    if kind == "pen":
        ring = np.hypot(y - HEIGHT / 2, x - WIDTH / 2) - HEIGHT * 0.47
        ink = (np.abs(ring) < 14) & (x > WIDTH * 0.2)
        share = _blur(ink * np.float32(rng.uniform(0.8, 1)), 1.5)[..., None]
        image = image * (1 - share) + np.array(INKS[seed % 4]) * share
    image = np.clip(image, 0, 255).astype(np.uint8)
    if kind == "frame":
        outside = (x < WIDTH * 0.2) | (y > HEIGHT * 0.8)
        image[outside] = 0
        tissue &= ~outside
    return Drawn(_as_jpeg(image), tissue, ink)


def _shape(
    kind: str, rng: np.random.Generator, y: NDArray[np.float32], x: NDArray[np.float32]
) -> NDArray[np.bool_]:
    if kind in ("glass", "all"):
        return np.full((HEIGHT, WIDTH), kind == "all")
    if kind != "biopsies":
        away = np.hypot((y - HEIGHT / 2) / HEIGHT, (x - WIDTH / 2) / WIDTH)
        return _clouds(rng, 160) - (4 * away) ** 2 > rng.uniform(-1.2, 0.3)
    shape = np.zeros((HEIGHT, WIDTH), bool)
    for _ in range(6):
        at_y, at_x, turn = rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9), rng.uniform(0, np.pi)
        dy, dx = y - at_y * HEIGHT, x - at_x * WIDTH
        across, along = dy * np.cos(turn) + dx * np.sin(turn), dx * np.cos(turn) - dy * np.sin(turn)
        shape |= (np.abs(across) < rng.uniform(15, 60)) & (np.abs(along) < rng.uniform(30, 250))
    return shape & (_clouds(rng, 12) > -1.6)


def _density(kind: str, rng: np.random.Generator) -> NDArray[np.float32]:
    """(h, w, 3) optical densities."""
    if kind == "fat":
        n = int(HEIGHT * WIDTH * (UM / 75) ** 2)
        centres = rng.random((n, 2)) * (HEIGHT, WIDTH)
        near, _ = cKDTree(centres).query(np.indices((HEIGHT, WIDTH)).reshape(2, -1).T, k=2)
        wall = (near[:, 1] - near[:, 0]).reshape(HEIGHT, WIDTH) < 1
        return _blur(wall.astype(np.float32), 0.6)[..., None] * (0.04, 0.12, 0.06)
    field = _glands(int(rng.integers(4)))
    density = -np.log10(np.maximum(field, 1) / np.float32(255))
    if kind == "dab":
        return density.mean(axis=2, keepdims=True) * (0.5, 1.0, 1.4)
    if kind == "mixed":
        return density * np.exp(0.8 * _clouds(rng, 90) - 1.2)[..., None]
    return density * np.float32(STAIN.get(kind, 0.7))


@lru_cache
def _glands(seed: int) -> NDArray[np.uint8]:
    field = make_gland_field(np.random.default_rng(seed), (HEIGHT // 2, WIDTH // 2), UM).image
    twice = np.concatenate([field, field[:, ::-1]], axis=1)
    return np.concatenate([twice, twice[::-1]])


def _fluorescence(
    kind: str,
    tissue: NDArray[np.bool_],
    rng: np.random.Generator,
    y: NDArray[np.float32],
    x: NDArray[np.float32],
) -> NDArray[np.uint16]:
    """Two channels: nuclei, and what glows by itself."""
    fall = 1 - 0.3 * (((x - WIDTH / 2) / WIDTH) ** 2 + ((y - HEIGHT / 2) / HEIGHT) ** 2)
    noise = 12.0
    own = tissue * (2 * noise if kind == "dim" else 150) * (1 + 0.3 * _clouds(rng, 12))
    nuclei = tissue * 2000 * (_blur(rng.normal(size=tissue.shape), 1.5) > 0.3)
    planes = np.stack([nuclei * (kind == "glow"), own], axis=2) * fall[..., None] + 110
    return np.clip(planes + rng.normal(0, noise, planes.shape), 0, 65535).astype(np.uint16)


def _clouds(rng: np.random.Generator, size_px: float) -> NDArray[np.float32]:
    """Noise of mean 0 and standard deviation 1 with structures of a size."""
    small = _blur(rng.normal(size=(HEIGHT // 8, WIDTH // 8)), size_px / 8)
    return np.asarray(ndimage.zoom(small / small.std(), 8, order=1), np.float32)


def _blur(plane: NDArray[Any], sigma: float) -> NDArray[np.float32]:
    return np.asarray(ndimage.gaussian_filter(plane.astype(np.float32), sigma, mode="wrap"))


def _as_jpeg(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=70)
    return np.asarray(Image.open(file))


def measure(drawn: Drawn, mask: TissueMask) -> dict[str, float]:
    """Shares of tissue, tiles and ink."""
    on = np.asarray(Image.fromarray(mask.cells).resize((WIDTH, HEIGHT), Image.Resampling.NEAREST))
    tiles = [(mask.touches(box), _holds(drawn.tissue, box)) for box in _tiles()]
    glass = sum(not true for _, true in tiles)
    return {
        "missed": _share(drawn.tissue & ~on, drawn.tissue),
        "skipped": sum(not found and not true for found, true in tiles) / max(glass, 1),
        "lost": sum(true and not found for found, true in tiles),
        "tiles": sum(true for _, true in tiles),
        "ink": _share(drawn.ink & on, drawn.ink),
    }


def _tiles() -> Iterator[Box]:
    for y in np.arange(0, HEIGHT, TILE_PX):
        for x in np.arange(0, WIDTH, TILE_PX):
            yield Box(int(x), int(y), int(TILE_PX), int(TILE_PX))


def _holds(tissue: NDArray[np.bool_], box: Box) -> bool:
    return bool(tissue[box.y : box.bottom, box.x : box.right].any())


def _share(part: NDArray[np.bool_], whole: NDArray[np.bool_]) -> float:
    return float(part.sum() / max(1, whole.sum()))


def save_picture(path: Path, drawn: Drawn, mask: TissueMask) -> None:
    """The slide, and beside it with what is no tissue darkened."""
    pixels = drawn.pixels
    if pixels.dtype != np.uint8:
        light = np.sqrt(pixels.max(axis=2) / pixels.max())
        pixels = np.repeat((255 * light).astype(np.uint8)[..., None], 3, axis=2)
    on = np.asarray(Image.fromarray(mask.cells).resize((WIDTH, HEIGHT), Image.Resampling.NEAREST))
    shown = np.where(on[..., None], pixels, pixels // 2)
    Image.fromarray(np.concatenate([pixels, shown], axis=1)[::4, ::4]).save(path)


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--slides", type=int, default=4)
    parser.add_argument("--pictures", type=Path)
    chosen = parser.parse_args()
    print("| slide | tissue missed | worst | glass tiles skipped | tissue tiles lost | ink kept |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind in chosen.kinds:
        rows = []
        for seed in range(chosen.slides):
            drawn = draw(kind, seed)
            mask = find_tissue(ArrayReader(drawn.pixels, pixel_size=PixelSize.square(UM)))
            rows.append(measure(drawn, mask))
            if chosen.pictures:
                save_picture(chosen.pictures / f"{kind}-{seed}.png", drawn, mask)
        mean = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
        lost, tiles = (int(sum(row[key] for row in rows)) for key in ("lost", "tiles"))
        ink = f"{mean['ink']:.0%}" if kind == "pen" else ""
        print(
            f"| {KINDS[kind]} | {mean['missed']:.2%} | {max(r['missed'] for r in rows):.2%} "
            f"| {mean['skipped']:.1%} | {lost} of {tiles:,} | {ink} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
