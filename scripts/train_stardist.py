"""Train a StarDist network that ships with the package.

    python scripts/train_stardist.py he-nuclei --data DIR --out RUN --minutes 90

``DIR`` holds ``splits.csv``, ``tnbc/`` and ``dsb2018/``. The run folder gets ``metrics.jsonl``,
``last.pt`` (everything that ``--resume`` needs, written every few minutes) and ``best.pt``.
"""

from __future__ import annotations

import argparse
import copy
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from _images import LabelledImage, cut_patch, normalise, read_split
from _loop import Schedule, State, log
from _stardist_loop import best_thresholds, train_steps, validate
from napari_histo.learning.course.augment import (
    Step,
    fluo_colour,
    fluo_texture,
    he_colour,
    he_texture,
    jitter_range,
)
from napari_histo.learning.course.warping import PatchShape
from napari_histo.learning.stardist.norms import renew_batch_statistics
from napari_histo.learning.stardist.targets import Batch, Patch
from napari_histo.models.stardist.config import StarDistConfig
from napari_histo.models.stardist.net import StarDistNet

# Brings each group's median nucleus near that of TNBC at 0.25 µm/px (20.5 px across).
_HE_SCALE = {
    "purple_on_purple_004": 0.64,
    "purple_on_purple_159": 1.4,
    "purple_on_purple_044": 0.42,
    "purple_on_purple_075": 1.3,
    "purple_on_purple_098": 1.17,
    "purple_on_white_003": 1.5,
}


@dataclass(frozen=True)
class Recipe:
    """What is learnt from what, and how."""

    net: StarDistConfig
    stains: Mapping[str, float]  # share of the patches
    colour: Callable[[np.random.Generator], Step]
    texture: Callable[[Tensor, np.random.Generator], Tensor]
    patch: PatchShape
    batch: int
    validation: str
    scale: Mapping[str, float] = field(default_factory=dict)
    zoom: float = 1.0
    percentiles: tuple[float, float] = (1.0, 99.8)

    def read(self, root: Path, split: str, stain: str | None = None) -> list[LabelledImage]:
        stains = [stain] if stain else list(self.stains)
        scale = dict.fromkeys(stains, self.zoom) | {g: k * self.zoom for g, k in self.scale.items()}
        return read_split(root, split, stains=stains, channels=self.net.n_channel_in, scale=scale)


_HE_STAINS = {"H&E": 0.7, "purple_on_purple": 0.22, "purple_on_white": 0.08}
RECIPES = {
    "he-nuclei": Recipe(
        net=StarDistConfig(grid=(2, 2), n_channel_in=3, unet_batch_norm=True),
        stains=_HE_STAINS,
        colour=he_colour,
        texture=he_texture,
        patch=PatchShape(side=256),
        batch=4,
        validation="H&E",
        scale=_HE_SCALE,
    ),
    "he-nuclei-fast": Recipe(
        net=StarDistConfig(grid=(2, 2), n_channel_in=3, unet_batch_norm=True),
        stains=_HE_STAINS,
        colour=he_colour,
        texture=he_texture,
        patch=PatchShape(side=160, elastic_px=1.5),
        batch=12,
        validation="H&E",
        scale=_HE_SCALE,
        zoom=0.5,
    ),
    "fluo-nuclei": Recipe(
        net=StarDistConfig(grid=(2, 2), n_channel_in=1, unet_batch_norm=True),
        stains={"fluorescence": 1.0},
        colour=fluo_colour,
        texture=fluo_texture,
        patch=PatchShape(side=224),
        batch=8,
        validation="fluorescence",
    ),
}


def shares(recipe: Recipe, images: list[LabelledImage]) -> np.ndarray:
    """Chance of each image: its stain's share, groups in it weighed by the root of their size."""
    groups = Counter(i.group for i in images)
    raw = np.array([1 / np.sqrt(groups[i.group]) * i.image[0].numel() ** 0.5 for i in images])
    for stain, share in recipe.stains.items():
        own = np.array([i.stain == stain for i in images])
        raw[own] *= share / raw[own].sum()
    return raw / raw.sum()


def example(source: LabelledImage, recipe: Recipe, rng: np.random.Generator) -> Patch:
    """One augmented, normalised patch; the draw of colour also shifts the percentiles."""
    image, labels, known = cut_patch(source, recipe.patch, rng)
    colour = recipe.colour(rng)
    image, pixels = colour(image), colour(source.pixels)
    if rng.random() < 0.25:
        pixels = image.reshape(len(image), -1)
    image = normalise(recipe.texture(image, rng), pixels, recipe.percentiles)[0]
    if rng.random() < 0.7:
        image = jitter_range(image, rng)
    return Patch(image, labels, known, ~np.isin(labels, source.cut))


def batches(recipe: Recipe, images: list[LabelledImage], seed: int) -> Iterator[Batch]:
    rng = np.random.default_rng(seed)
    chance = shares(recipe, images)
    while True:
        drawn = rng.choice(len(images), recipe.batch, p=chance)
        yield Batch.of([example(images[i], recipe, rng) for i in drawn], recipe.net)


def start(recipe: Recipe, device: torch.device, init: Path | None) -> State[StarDistNet]:
    net = StarDistNet(recipe.net)
    if init:
        net.load_state_dict(torch.load(init, map_location="cpu", weights_only=True)["ema"])
    net = net.to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.02)
    ema = copy.deepcopy(net).requires_grad_(False)
    return State(net=net, ema=ema, optimiser=optimiser)


def run(recipe: Recipe, args: argparse.Namespace) -> None:
    device = torch.device(args.device)
    args.out.mkdir(parents=True, exist_ok=True)
    state, last = start(recipe, device, args.init), args.out / "last.pt"
    if args.resume and last.exists():
        state.load(last)
    train, val = recipe.read(args.data, "train"), recipe.read(args.data, "val", recipe.validation)
    print(f"{len(train)} images to learn from, {len(val)} to check", flush=True)
    schedule = Schedule(minutes=args.minutes, peak=args.rate)
    checked, losses = state.spent_s, []
    stream = batches(recipe, train, seed=1 + state.step)
    for terms in train_steps(state, stream, schedule, device):
        losses.append(terms)
        if state.step % 50 == 0:
            mean = {k: round(float(np.mean([t[k] for t in losses])), 5) for k in terms}
            log(
                args.out / "metrics.jsonl",
                {"step": state.step, "spent_s": round(state.spent_s)} | mean,
            )
            losses = []
        if state.spent_s - checked > args.every * 60:
            checked = state.spent_s
            check(recipe, state, val, args.out, stream)
    check(recipe, state, val, args.out, stream)


def check(
    recipe: Recipe,
    state: State[StarDistNet],
    val: list[LabelledImage],
    out: Path,
    stream: Iterator[Batch],
) -> None:
    """Validate the averaged weights, and write the checkpoints."""
    device = next(state.ema.parameters()).device
    renew_batch_statistics(state.ema, (b.image for b in islice(stream, 160 // recipe.batch)))
    scores = validate(state.ema, val, device, percentiles=recipe.percentiles)
    (prob, nms), figures = best_thresholds(scores)
    record = {"step": state.step, "spent_s": round(state.spent_s), "prob": prob, "nms": nms}
    log(out / "metrics.jsonl", record | {k: round(v, 4) for k, v in figures.items()})
    state.net.train()
    if figures["f1"] + figures["pq"] > state.best:
        state.best = figures["f1"] + figures["pq"]
        state.save(out / "best.pt")
    state.save(out / "last.pt")


def parse() -> argparse.Namespace:
    auto = "cuda" if torch.cuda.is_available() else "cpu"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", choices=list(RECIPES))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60, help="of training, checks not counted")
    parser.add_argument("--every", type=float, default=5, help="minutes between checks")
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--init", type=Path, help="start from the averaged weights of a checkpoint")
    parser.add_argument("--resume", action="store_true", help="go on from OUT/last.pt")
    args = parser.parse_args()
    args.device = auto if args.device == "auto" else args.device
    return args


if __name__ == "__main__":
    arguments = parse()
    run(RECIPES[arguments.recipe], arguments)
