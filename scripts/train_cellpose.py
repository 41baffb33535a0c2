"""Train a Cellpose network (CPnet) on the images of one stain, with the trainer that users have.

    python scripts/train_cellpose.py --data DIR --stain fluorescence --out RUN/dsb-cpnet --steps 400

``DIR`` holds ``splits.csv`` and ``dsb2018/``. Taught are images of the split ``train``; a tenth of
their groups are held out and say which weights are kept. Images of the split ``val`` are not
looked at: measure them with ``napari-histo segment`` and ``napari-histo evaluate --split val``.
Images without a pixel size are taken as they are. Stopped with Ctrl+C it goes on from where it
was when called again.
"""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack
from pathlib import Path

import torch

from napari_histo.learning.cellpose.params import CellposeTraining
from napari_histo.learning.cellpose.training import train_cellpose
from napari_histo.learning.simulation.truth_folder import read_examples
from napari_histo.models.cellpose.net import CellposeShape


def main(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    params = CellposeTraining(
        name=args.out.name,
        steps=args.steps,
        rate=args.rate,
        judge_every=args.judge_every,
        held_out=0.1,
        zoom=0.35,
        seed=args.seed,
        device=args.device,
        precision=args.precision,
    )
    began = time.monotonic()
    with ExitStack() as stack:
        taught = read_examples(args.data, args.stain, "train", stack)
        print(f"{len(taught)} images", flush=True)
        parent = args.init or CellposeShape()
        for step in train_cellpose(parent, taught, [], args.out, params, resume=True):
            if step.point or (step.done and step.done % 20 == 0):
                print(f"{step.done} {step.message} loss {step.loss:.4f}", end=" ")
                print(f"{time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--stain", default="fluorescence")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")
    parser.add_argument("--init", help="model to go on from; a new network by default")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--judge-every", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="bfloat16")
    main(parser.parse_args())
