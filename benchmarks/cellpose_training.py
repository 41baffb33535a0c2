"""What a Cellpose network gains from a few images of a stain that it has never seen.

    python benchmarks/cellpose_training.py MODEL --data DIR --stain purple_on_purple

``MODEL`` is a file, a folder or a name; ``new`` learns from nothing, to compare with. ``DIR`` holds
``splits.csv`` and ``dsb2018/``. Each seed draws its own images from the split ``train``; a fifth
of them is held out by the trainer, as it does for everyone, and says which weights and threshold
are kept. Measured are the images of the split ``val``, of other groups. All are taken at the
pixels they have.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch

from napari_histo.core import Segmenter
from napari_histo.core.progress import result_of
from napari_histo.learning.cellpose.training import train_cellpose, trainer_of
from napari_histo.learning.course.evaluation import evaluate_model, pooled
from napari_histo.learning.simulation.truth_folder import read_examples
from napari_histo.learning.training import Example
from napari_histo.models import load_model
from napari_histo.models.cellpose.net import CellposeShape


def figures(model: Segmenter, examples: list[Example]) -> str:
    """F1 and panoptic quality at an IoU of 0.5, all images in one pot."""
    found = pooled(evaluate_model(model, examples))
    return f"F1 {found.f1:.3f}, PQ {found.pq:.3f} ({found.n_truth} nuclei)"


def drawn(examples: list[Example], n: int, seed: int) -> list[Example]:
    """Some images at random."""
    chosen = np.random.default_rng(seed).permutation(len(examples))[:n]
    return [examples[i] for i in sorted(chosen.tolist())]


def main(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        train, val = (read_examples(args.data, args.stain, s, stack) for s in ("train", "val"))
        is_new = args.model == "new"
        parent = CellposeShape() if is_new else args.model
        trainer = train_cellpose if is_new else trainer_of(args.model)
        print(f"{args.stain}, {len(val)} images, from {args.model}")
        if not is_new:
            before = load_model(args.model, device=args.device)
            print(f"  before: {figures(before, val)}", flush=True)
        for seed in range(args.seeds):
            some = drawn(train, args.images, seed)
            params = trainer.params(
                steps=args.steps,
                batch=args.batch,
                rate=args.rate,
                seed=seed,
                judge_every=max(args.steps // 2, 1),
                device=args.device,
                precision="bfloat16",
            )
            began = time.monotonic()
            place = Path(folder) / f"seed-{seed}"
            done = result_of(trainer(parent, some, [], place, params))
            took = time.monotonic() - began
            n = sum(len(e.labels.objects) for e in some)
            print(f"  seed {seed}, {len(some)} images, {n} nuclei, {args.steps} steps, ", end="")
            print(f"{took:.0f} s: {figures(done.model, val)}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="network of Cellpose, or 'new' for one of 1 to 3")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--stain", default="purple_on_purple")
    parser.add_argument("--images", type=int, default=5)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="auto")
    main(parser.parse_args())
