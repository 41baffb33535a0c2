"""Measure the shipped click model on images that it never saw, and write its card.

    python scripts/measure_prompts.py --data DIR [--glands DIR]

Every figure comes from ``napari-histo evaluate-prompts``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from skimage.io import imsave

from _cards import WEIGHTS
from _prompt_cards import make_card, write_card
from _prompt_data import gland_files
from napari_histo.models.shelf.folder import SHIPPED_WEIGHTS
from napari_histo.testing.synthetic import make_gland_field

CLI = [str(Path(sys.executable).with_name("napari-histo")), "evaluate-prompts", "--json"]
GESTURES: dict[str, Sequence[str]] = {
    "one click at the centroid": (),
    "… neighbours excluded": ("--exclude",),
    "… moved by up to 3 px": ("--jitter", "3"),
    "… moved by up to 5 px": ("--jitter", "5"),
    "one click anywhere in the object": ("--gesture", "random"),
    "… neighbours excluded ": ("--gesture", "random", "--exclude"),
    "two clicks, the second where it was most wrong": ("--clicks", "2"),
    "three clicks": ("--clicks", "3"),
    "a box": ("--gesture", "box"),
    "a squiggle": ("--gesture", "squiggle"),
}
FEW = ("one click at the centroid", "… neighbours excluded", "three clicks", "a box")
DRAWN = ("a squiggle", "a box")
STAINS = {
    "fluorescence": "Fluorescence, Data Science Bowl 2018",
    "purple_on_purple": "Purple on purple, Data Science Bowl 2018",
    "purple_on_white": "Purple on white, Data Science Bowl 2018",
    "brightfield_pap_gray": "Grey brightfield (Papanicolaou), Data Science Bowl 2018",
}


def measure(data: str, place: Path, gesture: str, *words: str) -> list[dict[str, Any]]:
    """One row of the card; of the first gesture, also one for each size of objects."""
    folders = [str(place / "images"), str(place / "labels")]
    run = subprocess.run(
        [*CLI, *folders, *GESTURES[gesture], *words], capture_output=True, text=True, check=True
    )
    found = json.loads(run.stdout)
    sizes = found.pop("by_size")
    rows = [{"data": data, "gesture": gesture.strip(), **found}]
    if gesture == next(iter(GESTURES)):
        rows += [
            {"data": f"{data}, by diameter", "gesture": name, **part, "aji": None, "pq": None}
            for name, part in sizes.items()
        ]
    print(json.dumps(rows[0]), flush=True)
    return rows


def nuclei(root: Path) -> Iterator[dict[str, Any]]:
    tnbc = "H&E: TNBC, unseen patients"
    words = ("--split", "val", "--pixel-size", "0.25")
    for gesture in GESTURES:
        yield from measure(tnbc, root / "tnbc", gesture, *words)
    for folder, title in STAINS.items():
        for gesture in FEW:
            yield from measure(title, root / "dsb2018" / folder, gesture, "--split", "val")


def glands(real: Path | None, work: Path) -> Iterator[dict[str, Any]]:
    for gesture in DRAWN:
        yield from measure(
            "Glands: drawn ones, other seeds than in training", drawn_glands(work), gesture
        )
    if real is not None:
        title = "Glands: colon (EBHI-Seg), biopsies that were not learnt from"
        for gesture in DRAWN:
            yield from measure(title, held_glands(real, work), gesture, "--pixel-size", "0.5")


def drawn_glands(work: Path) -> Path:
    place = work / "drawn"
    rng = np.random.default_rng(4242)
    for i in range(20 if not place.exists() else 0):
        field = make_gland_field(rng, (512, 512), 1.0)
        save(place, f"{i:02d}", field.image, field.glands)
    return place


def held_glands(real: Path, work: Path) -> Path:
    place = work / "real"
    for file in gland_files(real, validation=True):
        for kind, name in (("images", file.name.replace("_labels", "")), ("labels", file.name)):
            (place / kind).mkdir(parents=True, exist_ok=True)
            shutil.copy(file.with_name(name), place / kind / name.replace("_labels", ""))
    return place


def save(place: Path, name: str, image: Any, labels: Any) -> None:
    for kind, pixels in (("images", image), ("labels", labels.astype(np.uint16))):
        (place / kind).mkdir(parents=True, exist_ok=True)
        imsave(place / kind / f"{name}.png", pixels, check_contrast=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--glands", type=Path)
    arguments = parser.parse_args()
    folder = WEIGHTS / "click"
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as temporary:
        rows = [*nuclei(arguments.data), *glands(arguments.glands, Path(temporary))]
    card = make_card(
        folder / SHIPPED_WEIGHTS,
        parameters=card["parameters"],
        training=card["training"],
        metrics=rows,
        measured_by="python scripts/measure_prompts.py --data DIR --glands DIR",
    )
    write_card(folder, card)
