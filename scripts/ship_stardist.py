"""Make a shipped model of a training run: thresholds, weights, measured card.

    python scripts/ship_stardist.py he-nuclei --data DIR --run RUN

Batch statistics of the averaged weights are taken anew from training patches (Izmailov et al.,
UAI 2018), thresholds chosen on the validation images, and the figures of the card measured with
the files as shipped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stardist.geometry import polygons_to_label
from stardist.nms import non_maximum_suppression
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from _stardist_augment import normalise, stain_shift
from _stardist_cards import make_card, write_card
from _stardist_data import LabelledImage
from _stardist_loop import Score, best_thresholds, predict, renew_batch_statistics
from napari_histo.models._stardist_files import Thresholds, load_shipped, save_shipped
from napari_histo.models._stardist_net import StarDistNet, fold_batch_norm
from train_stardist import RECIPES, Recipe, batches

WEIGHTS = Path(__file__).parents[1] / "src/napari_histo/models/weights"
TRAIN = "python scripts/train_stardist.py"
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Condition:
    """How the image reaches the model: its own scale (1 as on disk), and its colours."""

    name: str
    given: float = 1.0
    colour: Callable[[Tensor], Tensor] | None = None


HE_CONDITIONS = [
    Condition("0.25 µm/px"),
    Condition("0.5 µm/px", given=0.5),
    Condition("haematoxylin × 0.7, eosin × 1.3", colour=stain_shift(0.7, 1.3)),
    Condition("haematoxylin × 1.3, eosin × 0.7", colour=stain_shift(1.3, 0.7)),
    Condition("hue turned by 12°", colour=stain_shift(1.0, 1.0, hue=0.21)),
]
FLUO_CONDITIONS = [
    Condition("as published"),
    Condition("half the pixels a side", given=0.5),
    Condition("gamma 0.6", colour=lambda x: x**0.6),
]


Raw = tuple[NDArray[np.float32], NDArray[np.float32], float]


def raw(net: StarDistNet, source: LabelledImage, recipe: Recipe, condition: Condition) -> Raw:
    """prob, dist and source pixels per model pixel."""
    image = condition.colour(source.image) if condition.colour else source.image
    image = _resized(_resized(image, condition.given), recipe.zoom / condition.given)
    flat = image.reshape(len(image), -1)
    return *predict(net, normalise(image, flat, recipe.percentiles)[0], CPU), 1 / recipe.zoom


def _resized(image: Tensor, factor: float) -> Tensor:
    if factor == 1:
        return image
    size = [round(n * factor) for n in image.shape[1:]]
    return F.interpolate(image[None], size, mode="bilinear", antialias=factor < 1)[0]


def score(source: LabelledImage, out: Raw, net: StarDistNet, t: Thresholds) -> Score:
    prob, dist, k = out
    points, scores, rays = non_maximum_suppression(
        dist, prob, grid=net.config.grid, prob_thresh=t.prob, nms_thresh=t.nms
    )
    shape = source.labels.shape
    found = polygons_to_label(rays * k, points * k, shape, prob=scores)
    return Score.of(source.labels, np.asarray(found, np.int32))


def choose(
    net: StarDistNet, val: Sequence[LabelledImage], recipe: Recipe, condition: Condition
) -> Thresholds:
    """The best probability at a middling overlap, then the best overlap at that probability."""
    outputs = [raw(net, source, recipe, condition) for source in val]

    def best(pairs: list[Thresholds]) -> Thresholds:
        scores: dict[tuple[float, float], list[Score]] = {
            t: [score(s, o, net, t) for s, o in zip(val, outputs, strict=True)] for t in pairs
        }
        pair, figures = best_thresholds(scores)
        print(pair, {k: round(v, 4) for k, v in figures.items()}, flush=True)
        return Thresholds(*pair)

    prob = best([Thresholds(p / 100, 0.3) for p in range(30, 76, 5)]).prob
    return best([Thresholds(prob, n) for n in (0.15, 0.2, 0.3, 0.4, 0.5)])


def measure(
    net: StarDistNet,
    val: Sequence[LabelledImage],
    recipe: Recipe,
    condition: Condition,
    thresholds: Thresholds,
) -> dict[str, Any]:
    """One row of the card."""
    each = [score(s, raw(net, s, recipe, condition), net, thresholds) for s in val]
    pooled, alone = sum(each, Score()), [s.figures() for s in each]
    row: dict[str, Any] = {"condition": condition.name, "images": len(val)}
    row["nuclei"] = pooled.tp + pooled.fn
    row |= {k: round(v, 4) for k, v in pooled.figures().items()}
    return row | {
        f"mean_{k}": round(float(np.mean([a[k] for a in alone])), 4) for k in ("f1", "pq")
    }


def validation_sets(name: str, root: Path) -> dict[str, list[LabelledImage]]:
    if name == "fluo-nuclei":
        return {"Data Science Bowl, fluorescence": RECIPES[name].read(root, "val", "fluorescence")}
    full = RECIPES["he-nuclei"]
    return {
        "TNBC, unseen patients": full.read(root, "val", "H&E"),
        "Data Science Bowl, purple on purple": full.read(root, "val", "purple_on_purple"),
    }


def ship(name: str, args: argparse.Namespace) -> None:
    recipe, folder = RECIPES[name], WEIGHTS / name
    saved = torch.load(args.run / args.checkpoint, map_location="cpu", weights_only=True)
    net = StarDistNet(recipe.net)
    net.load_state_dict(saved["ema"])
    if args.renew:
        train = recipe.read(args.data, "train")
        renew_batch_statistics(net, batches(recipe, train, seed=0), args.renew)
    sets = validation_sets(name, args.data)
    conditions = FLUO_CONDITIONS if name == "fluo-nuclei" else HE_CONDITIONS
    first = next(iter(sets.values()))
    thresholds = choose(fold_batch_norm(net), first, recipe, conditions[0])
    if args.dry:
        return
    save_shipped(folder, net, thresholds)
    net = fold_batch_norm(load_shipped(folder)[0])
    rows = []
    for data, val in sets.items():
        for condition in conditions if val is first else conditions[:1]:
            row = {"data": data, "method": name, **measure(net, val, recipe, condition, thresholds)}
            print(json.dumps(row, ensure_ascii=False), flush=True)
            rows.append(row)
    minutes = round(saved["spent_s"] / 60)
    card = make_card(
        name,
        folder / "weights.safetensors",
        metrics=rows,
        percentiles=list(recipe.percentiles),
        thresholds=thresholds._asdict(),
        parameters=sum(p.numel() for p in net.parameters()),
        training={
            "command": f"{TRAIN} {name} --data DIR --out RUN --minutes {minutes}",
            "steps": saved["step"],
            "batch": recipe.batch,
            "minutes": minutes,
        },
        measured_by=f"python scripts/ship_stardist.py {name} --data DIR --run RUN",
    )
    write_card(folder, card)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", choices=list(RECIPES))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--checkpoint", default="last.pt")
    parser.add_argument("--renew", type=int, default=60, help="batches for batch statistics")
    parser.add_argument("--dry", action="store_true", help="choose thresholds and stop")
    arguments = parser.parse_args()
    ship(arguments.recipe, arguments)
