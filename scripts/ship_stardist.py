"""Make a shipped model of a training run: averaged weights, thresholds, card.

python scripts/ship_stardist.py he-nuclei --data DIR --run RUN
python scripts/measure_models.py he-nuclei --data DIR
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, astuple
from itertools import islice
from pathlib import Path

import torch

from _cards import WEIGHTS, make_card, write_card
from _images import LabelledImage, normalise
from _stardist_loop import Score, best_thresholds, outline, predict
from napari_histo.core import Thresholds
from napari_histo.learning.stardist.norms import renew_batch_statistics
from napari_histo.models.shelf.folder import SHIPPED_WEIGHTS
from napari_histo.models.stardist.files import save_shipped
from napari_histo.models.stardist.net import StarDistNet, fold_batch_norm
from train_stardist import RECIPES, Recipe, batches


def choose(net: StarDistNet, val: Sequence[LabelledImage], recipe: Recipe) -> Thresholds:
    """The best probability at a middling overlap, then the best overlap at that probability."""
    folded = fold_batch_norm(net)
    flat = [s.image.reshape(len(s.image), -1) for s in val]
    ready = [normalise(s.image, f, recipe.percentiles)[0] for s, f in zip(val, flat, strict=True)]
    outputs = [predict(folded, image, torch.device("cpu")) for image in ready]

    def best(choices: list[Thresholds]) -> Thresholds:
        pairs = [astuple(t) for t in choices]
        scores: dict[tuple[float, float], list[Score]] = {t: [] for t in pairs}
        for t in pairs:
            for source, (prob, dist) in zip(val, outputs, strict=True):
                found = outline(prob, dist, net.config, source.labels.shape, t)
                scores[t].append(Score.of(source.labels, found))
        pair, figures = best_thresholds(scores)
        print(pair, {k: round(v, 4) for k, v in figures.items()}, flush=True)
        return Thresholds(*pair)

    prob = best([Thresholds(p / 100, 0.3) for p in range(30, 76, 5)]).prob
    return best([Thresholds(prob, n) for n in (0.15, 0.2, 0.3, 0.4, 0.5)])


def ship(name: str, args: argparse.Namespace) -> None:
    recipe, folder = RECIPES[name], WEIGHTS / name
    saved = torch.load(args.run / args.checkpoint, map_location="cpu", weights_only=True)
    net = StarDistNet(recipe.net)
    net.load_state_dict(saved["ema"])
    train = recipe.read(args.data, "train")
    stream = islice(batches(recipe, train, seed=0), args.renew)
    renew_batch_statistics(net, (b.image for b in stream))
    thresholds = choose(net, recipe.read(args.data, "val", recipe.validation), recipe)
    if args.dry:
        return
    save_shipped(folder, net, thresholds)
    minutes = round(saved["spent_s"] / 60)
    words = f"{name} --data DIR --out RUN --minutes {minutes} {args.words}".strip()
    training = {"command": f"python scripts/train_stardist.py {words}", "note": args.note}
    card = make_card(
        name,
        folder / SHIPPED_WEIGHTS,
        percentiles=list(recipe.percentiles),
        thresholds=asdict(thresholds),
        parameters=sum(p.numel() for p in fold_batch_norm(net).parameters()),
        training=training | {"steps": saved["step"], "batch": recipe.batch, "minutes": minutes},
        metrics=[],
        measured_by="not measured yet: python scripts/measure_models.py",
    )
    write_card(folder, card)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", choices=list(RECIPES))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--checkpoint", default="last.pt")
    parser.add_argument("--words", default="", help="other words of the training command")
    parser.add_argument("--note", default="", help="what else the card should say of training")
    parser.add_argument("--renew", type=int, default=60, help="batches for batch statistics")
    parser.add_argument("--dry", action="store_true", help="choose thresholds and stop")
    arguments = parser.parse_args()
    ship(arguments.recipe, arguments)
