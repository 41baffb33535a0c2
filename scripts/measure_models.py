"""Measure shipped models by the command line that users have, and write it into their cards.

    python scripts/measure_models.py he-nuclei he-nuclei-fast fluo-nuclei --data DIR

Each model, and ``classical`` beside it, segments the validation images as they are, at another
magnification and under other stains; ``napari-histo evaluate`` counts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from skimage.io import imsave
from torch import Tensor

from _cards import WEIGHTS, write_card
from _images import LabelledImage, rescale
from napari_histo.learning.course.augment import stain_shift
from train_stardist import RECIPES

CLI = [str(Path(sys.executable).with_name("napari-histo"))]


@dataclass(frozen=True)
class Condition:
    """How the images reach the model: their own scale (1 as on disk), and their colours."""

    name: str
    scale: float = 1.0
    colour: Callable[[Tensor], Tensor] | None = None


HE = [
    Condition("0.25 µm/px"),
    Condition("0.5 µm/px", scale=0.5),
    Condition("haematoxylin × 0.7, eosin × 1.3", colour=stain_shift(0.7, 1.3)),
    Condition("haematoxylin × 1.3, eosin × 0.7", colour=stain_shift(1.3, 0.7)),
    Condition("hue turned by 12°", colour=stain_shift(1.0, 1.0, hue=0.21)),
]
FLUO = [
    Condition("as published"),
    Condition("half the pixels a side", scale=0.5),
    Condition("gamma 0.6", colour=lambda x: x.clamp(0, 1) ** 0.6),
]
# Name of the images in the card, recipe that reads them, stain, µm/px as on disk, conditions.
HE_SETS = [
    ("TNBC, unseen patients", "he-nuclei", "H&E", 0.25, HE),
    ("Data Science Bowl, purple on purple", "he-nuclei", "purple_on_purple", 0.25, HE[:1]),
]
SETS = {
    "he-nuclei": HE_SETS,
    "he-nuclei-fast": HE_SETS,
    "fluo-nuclei": [("Data Science Bowl, fluorescence", "fluo-nuclei", "fluorescence", 0.5, FLUO)],
}


def write_images(images: Sequence[LabelledImage], condition: Condition, folder: Path) -> None:
    """``images/`` and ``truth/`` as a user would hand them in."""
    for kind in ("images", "truth"):
        (folder / kind).mkdir()
    for i, source in enumerate(images):
        changed = condition.colour(source.image) if condition.colour else source.image
        image, labels = changed.numpy().transpose(1, 2, 0), source.labels
        if condition.scale != 1:
            image, labels = rescale(image, labels, condition.scale)
        pixels = (image.clip(0, 1) * 255).round().astype(np.uint8)
        imsave(folder / f"images/{i:03}.png", pixels.squeeze(), check_contrast=False)
        imsave(folder / f"truth/{i:03}.png", labels.astype(np.uint16), check_contrast=False)


def measure(folder: Path, method: str, pixel_um: float) -> dict[str, Any]:
    """What ``evaluate`` prints, in the words of a card's row."""
    out = folder / method
    words = ["--model", method, "--pixel-size", str(pixel_um), "--format", "labels"]
    _run("segment", folder / "images", "-o", out, *words, "--device", "cpu")
    found = json.loads(_run("evaluate", out, folder / "truth", "--json"))
    mean = found["mean_over_images"]
    row = {"method": method, "images": found["n_images"], "nuclei": found["n_truth"]}
    row |= {k: round(found[k], 4) for k in ("f1", "pq", "precision", "recall", "sq", "aji")}
    return row | {"mean_f1": round(mean["f1"], 4), "mean_pq": round(mean["pq"], 4)}


def _run(*words: object) -> str:
    done = subprocess.run([*CLI, *map(str, words)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"napari-histo {' '.join(map(str, words))}\n{done.stderr}")
    return done.stdout


def rows(name: str, data: Path) -> list[dict[str, Any]]:
    found = []
    for title, recipe, stain, pixel_um, conditions in SETS[name]:
        images = RECIPES[recipe].read(data, "val", stain)
        for condition in conditions:
            with tempfile.TemporaryDirectory() as folder:
                write_images(images, condition, Path(folder))
                for method in (name, "classical"):
                    row = measure(Path(folder), method, pixel_um / condition.scale)
                    found.append({"data": title, "condition": condition.name} | row)
                    print(json.dumps(found[-1], ensure_ascii=False), flush=True)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", choices=list(SETS))
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    for model in arguments.models:
        card = json.loads((WEIGHTS / model / "card.json").read_text(encoding="utf-8"))
        card["metrics"] = rows(model, arguments.data)
        card["measured_by"] = f"python scripts/measure_models.py {model} --data DIR"
        write_card(WEIGHTS / model, card)
