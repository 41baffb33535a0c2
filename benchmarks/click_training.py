"""What the click model gains from a few outlined regions in a stain that it has never seen.

    python benchmarks/click_training.py --data DIR --stain green --steps 80

``DIR`` holds ``splits.csv`` and ``dsb2018/``. Taught are two fields of purple-stained tissue, cut
into regions of 128 px of which `--regions` are drawn; judged are two other fields and, for what was
known before, H&E of two patients. None of them was learnt from by the model that ships.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from skimage.io import imread

from napari_histo.core import Box, Contours, PromptSegmenter
from napari_histo.core.learning import LabelledRegion
from napari_histo.core.progress import result_of
from napari_histo.learning.click.evaluation import evaluate_clicks
from napari_histo.learning.click.params import ClickTraining
from napari_histo.learning.click.training import train_click
from napari_histo.learning.course.augment import stain_shift
from napari_histo.learning.training import Example
from napari_histo.models import load_prompt_model
from napari_histo.slides import ArrayReader
from napari_histo.store.labels import labels_to_table

#: Amounts of haematoxylin and eosin, and a turn of the hue.
STAINS = {"as it is": None, "green": (1.0, 1.0, 2.1), "pale blue": (0.5, 0.4, -1.2)}
TAUGHT = ("purple_on_purple_044", "purple_on_purple_075")
JUDGED = ("purple_on_purple_098", "purple_on_white_033")
KNOWN = ("02", "10")
_SIDE = 128


def read(data: Path, groups: tuple[str, ...], stain: str) -> list[Example]:
    """Whole images of groups, perhaps in other colours."""
    with (data / "splits.csv").open() as stream:
        rows = [r for r in csv.DictReader(stream) if r["group"] in groups and r["split"] == "val"]
    return [_example(data / r["dataset"], r["id"], r["group"], STAINS[stain]) for r in rows]


def _example(folder: Path, name: str, group: str, shift: tuple[float, ...] | None) -> Example:
    image, labels = (
        imread(next((folder / kind).glob(f"{name}.*"))) for kind in ("images", "labels")
    )
    image = np.asarray(image[..., :3])
    if shift is not None:
        x = torch.from_numpy((image / np.float32(255)).astype(np.float32)).permute(2, 0, 1)
        image = (stain_shift(*shift)(x).permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    reader = ArrayReader(image, name=name)
    table = labels_to_table(labels)
    return Example(
        reader, LabelledRegion(name, reader.info.box, table, Contours.empty()), group=group
    )


def regions(examples: list[Example], n: int, seed: int) -> list[Example]:
    """Squares of the images, drawn at random."""
    cut = []
    for one in examples:
        whole = one.labels.region
        for y in range(0, whole.height - _SIDE + 1, _SIDE):
            for x in range(0, whole.width - _SIDE + 1, _SIDE):
                part = LabelledRegion(
                    one.labels.image, Box(x, y, _SIDE, _SIDE), one.labels.objects, Contours.empty()
                )
                cut.append(one._replace(labels=part))
    drawn = np.random.default_rng(seed).permutation(len(cut))[:n]
    return [cut[i] for i in sorted(drawn)]


def figures(model: PromptSegmenter, examples: list[Example]) -> str:
    """Mean IoU of one click an object, and the share below one half."""
    ious = np.array([v for s in evaluate_clicks(model, examples) for v in s.report.iou])
    return f"IoU {ious.mean():.3f}, failures {(ious < 0.5).mean():.1%} ({len(ious)} objects)"


def main(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    taught = regions(read(args.data, TAUGHT, args.stain), args.regions, args.seed)
    judged, known = read(args.data, JUDGED, args.stain), read(args.data, KNOWN, "as it is")
    parent = load_prompt_model("click", device=args.device)
    with tempfile.TemporaryDirectory() as folder:
        params = ClickTraining(steps=args.steps, seed=args.seed, device=args.device, held_out=0)
        began = time.monotonic()
        done = result_of(train_click("click", taught, [], Path(folder) / "model", params))
        print(f"{args.stain}: {len(taught)} regions, {args.steps} steps, ", end="")
        print(f"{time.monotonic() - began:.0f} s")
        for name, examples in ((args.stain, judged), ("H&E, known before", known)):
            print(f"  {name}, before: {figures(parent, examples)}", flush=True)
            print(f"  {name}, after:  {figures(done.model, examples)}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--stain", choices=STAINS, default="green")
    parser.add_argument("--regions", type=int, default=8)
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    main(parser.parse_args())
