"""Cellpose-SAM: the package against our tiles, same file, same picture, each in its own process.

    python benchmarks/cellpose_sam.py [--weights FILE] [--side PX] [--tile PX] [--small]

Prints seconds, memory and objects of each, and the share of pixels in the same object as there.
Without `--weights` the network is the real one with random weights, but for its readout, which is
fitted to pictures like this one: it costs what the real one costs and finds real objects. `--small`
takes a transformer of two layers, to try the benchmark out. Needs the package `cellpose`
(NAPARI_HISTO_CELLPOSE may name a folder that holds it).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

CHILD = Path(__file__).with_name("_cellpose_child.py")
WAYS = {"package": "cellpose package", "ours": "ours, in one piece", "tiled": "ours, in tiles"}


def in_child(mode: str, folder: Path) -> dict[str, Any]:
    """What a process of its own says of itself."""
    done = subprocess.run(
        [sys.executable, str(CHILD), mode, str(folder)], capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def same(folder: Path, mode: str) -> float:
    """Share of the pixels that belong to the same object as in the package's masks."""
    theirs, ours = (np.load(folder / f"{m}.npy") for m in ("package", mode))
    return float((_numbered(theirs) == _numbered(ours)).mean())


def _numbered(labels: np.ndarray) -> np.ndarray:
    """Numbers by first pixel, so that their order does not count."""
    values, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.where(values == 0, 0, first + 1)[inverse].reshape(labels.shape)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, help="a file of Cellpose-SAM")
    parser.add_argument("--side", type=int, default=768, help="of the picture, px")
    parser.add_argument("--tile", type=int, default=256, help="px")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", default="bfloat16", choices=("bfloat16", "float32"))
    parser.add_argument("--small", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        job = vars(args) | {"weights": str(args.weights or folder / "weights")}
        (folder / "job.json").write_text(json.dumps(job))
        if args.weights is None:
            in_child("make", folder)
        print(f"{args.side} x {args.side} px, {args.precision}, {args.threads} threads")
        print("| | seconds | of the processor | objects | memory [MB] | for the picture | same |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
        for mode, words in WAYS.items():
            found = in_child(mode, folder)
            times = f"{found['seconds']:.1f} | {found['cpu']:.1f} | {found['objects']}"
            memory = f"{found['peak_mb']:.0f} | {found['more_mb']:.0f}"
            print(f"| {words} | {times} | {memory} | {same(folder, mode):.6f} |")


if __name__ == "__main__":
    main()
