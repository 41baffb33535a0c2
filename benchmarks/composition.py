"""What artificial images, composed of single nuclei, add to training on fluorescence.

    python benchmarks/composition.py DATA --work FOLDER --model fluo-nuclei --steps 40 --seeds 0 1
    python benchmarks/composition.py DATA --work FOLDER --model new --images 60 --steps 800

DATA holds ``splits.csv`` and ``dsb2018/``. For each seed the same images of the split ``train``
teach with and without composition, for as many steps; some of other groups choose the threshold.
Measured are the images of the split ``val``, counts pooled, at the pixels that they have (0.5 µm is
said of all). Touching nuclei are those that come within 2 px of another. ``new`` is a small
network. Models and figures are kept in FOLDER: the same command goes on. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage

from napari_histo.core import PixelSize, Segmenter
from napari_histo.core.progress import result_of
from napari_histo.learning.course.evaluation import Exam
from napari_histo.learning.course.sheets import Slides
from napari_histo.learning.simulation.truth_folder import read_examples
from napari_histo.learning.stardist.start import small_config
from napari_histo.learning.stardist.training import train_stardist
from napari_histo.learning.training import Example, StarDistTraining, hold_out
from napari_histo.models import load_model
from napari_histo.ops.metrics import THRESHOLDS, Agreement

FIGURES = ("F1@0.5", "F1@0.7", "PQ", "found of touching @0.5", "@0.7")
_AT_07 = THRESHOLDS.index(0.7)
_JUDGES = 24


def touching(truth: np.ndarray) -> np.ndarray:
    """(n,) bool for labels 0 to n - 1: another lies within 2 px."""
    highest = ndimage.maximum_filter(truth, 5)
    lowest = ndimage.minimum_filter(np.where(truth, truth, truth.max(initial=0)), 5)
    near = (truth > 0) & ((highest != truth) | (lowest < truth))
    return np.asarray(np.bincount(truth[near], minlength=truth.max(initial=0) + 1) > 0)


def measure(model: Segmenter, examples: list[Example]) -> dict[str, float]:
    """The figures of a model on images."""
    slides, every, close = Slides(model), Agreement(), Agreement()
    for example in examples:
        exam = Exam.of(example, slides, full_resolution=True)
        found = exam.propose(exam.slide.model, model.info.thresholds.prob)
        every += exam.mark(exam.slide.model, found, model.info.thresholds)
        owned = exam.owned.copy()
        owned[: exam.truth.max(initial=0) + 1] &= touching(exam.truth)
        some = replace(exam, owned=owned)
        close += some.mark(exam.slide.model, found, model.info.thresholds)
    f1_07 = 2 * every.n_matched[_AT_07] / (every.n_truth + every.n_pred)
    recalls = (close.n_matched[0] / close.n_truth, close.n_matched[_AT_07] / close.n_truth)
    figures = dict(zip(FIGURES, (every.f1, f1_07, every.pq, *recalls), strict=True))
    return figures | {"nuclei": every.n_truth, "touching": close.n_truth}


def examples(args: argparse.Namespace, split: str, stack: ExitStack) -> list[Example]:
    """Fluorescence images of a split."""
    found = read_examples(args.data, "fluorescence", split, stack)
    return [e._replace(pixel_size=PixelSize.square(0.5)) for e in found]


def drawn(train: list[Example], n: int, seed: int) -> tuple[list[Example], list[Example]]:
    """Images that teach, one a group first where they are few, and those that judge."""
    teach, judge = hold_out(train, 0.2, seed)
    order = np.random.default_rng(seed).permutation(len(teach))
    kin: dict[str, list[int]] = {}
    for i in order.tolist():
        kin.setdefault(teach[i].kin, []).append(i)
    first = [some[0] for some in kin.values()]
    chosen = (first + [i for i in order.tolist() if i not in set(first)])[:n]
    few = np.random.default_rng(seed).permutation(len(judge))[:_JUDGES]
    return [teach[i] for i in chosen], [judge[i] for i in few]


def tell(step: Any) -> None:
    """Progress, beside the table."""
    if step.done % 20 == 0:
        print(step.done, step.message, file=sys.stderr, flush=True)


def play(
    args: argparse.Namespace, train: list[Example], val: list[Example], share: float, seed: int
) -> dict[str, Any]:
    """Train and measure one model, unless it was."""
    about = (args.model, args.images, args.steps, args.patch, share, seed)
    folder = args.work / "-".join(map(str, about))
    kept = folder.with_name(f"{folder.name}.json")
    if not kept.exists():
        teach, judge = drawn(train, args.images, seed)
        params = StarDistTraining(
            steps=args.steps,
            batch=8,
            rate=args.rate,
            judge_every=args.steps,
            patch_px=args.patch,
            seed=seed,
            compose=share,
            device=args.device,
        )
        parent = small_config(1) if args.model == "new" else args.model
        resume, began = folder.with_name(f"{folder.name}.training").exists(), time.monotonic()
        work = train_stardist(parent, teach, [], folder, params, validation=judge, resume=resume)
        model = result_of(work, tell).model
        took = time.monotonic() - began
        found = {"share": share, "seed": seed, "images": len(teach), "seconds": round(took)}
        kept.write_text(json.dumps(found | measure(model, val)))
    return dict(json.loads(kept.read_text()))


def table(runs: list[dict[str, Any]]) -> str:
    """A row a run, the means of the arms, and the gain seed by seed."""
    lines = [["composed", "seed", *FIGURES], ["---"] * (2 + len(FIGURES))]
    lines += [[f"{r['share']:g}", str(r["seed"]), *(f"{r[k]:.3f}" for k in FIGURES)] for r in runs]
    arms = {
        share: np.array([[r[k] for k in FIGURES] for r in runs if r["share"] == share])
        for share in dict.fromkeys(r["share"] for r in runs)
    }
    plain, *others = arms
    for share, rows in arms.items():
        lines.append([f"{share:g}", "mean", *(f"{v:.3f}" for v in rows.mean(0))])
    for share in others:
        gain = arms[share] - arms[plain]
        words = [f"{m:+.3f} ({a:+.3f} to {b:+.3f})" for m, a, b in _spread(gain)]
        lines.append([f"{share:g} less {plain:g}", "each", *words])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _spread(gain: np.ndarray) -> list[tuple[float, float, float]]:
    return list(zip(gain.mean(0), gain.min(0), gain.max(0), strict=True))


def main(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    args.work.mkdir(parents=True, exist_ok=True)
    runs = []
    with ExitStack() as stack:
        train, val = (examples(args, split, stack) for split in ("train", "val"))
        if args.model != "new":
            before = measure(load_model(args.model, device=args.device), val)
            print("before:", json.dumps(before), flush=True)
        for seed in args.seeds:
            for share in args.shares:
                runs.append(play(args, train, val, share, seed))
                print(json.dumps(runs[-1]), flush=True)
    print(table(runs))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="folder for models and figures")
    parser.add_argument("--model", default="fluo-nuclei", help="to go on from, or 'new'")
    parser.add_argument("--images", type=int, default=1000, help="at most, that teach")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.0, 0.3])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--rate", type=float, help="largest; the trainer's own by default")
    parser.add_argument("--patch", type=int, default=128, help="px")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    main(parser.parse_args())
