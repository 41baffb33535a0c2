"""What each normalisation of colours does to a model's accuracy on shifted stains, as Markdown.

    python benchmarks/stain_shift.py --data DIR [--models he-nuclei] [--sets tnbc purple]
        [--arms none reinhard macenko] [--as-published] [--limit N] [--json FILE]
    python benchmarks/stain_shift.py --data DIR --models fluo-nuclei classical --arms none he auto
    python benchmarks/stain_shift.py --data DIR --reference

Validation images go through the whole pipeline as they are and with their stains shifted: amounts
of haematoxylin and eosin multiplied, colours turned, a yellowed or darkened glass. The images of a
patient (of one staining, where patients are unknown) are laid side by side into one slide before
the normalisation looks at them, as a real slide is looked at: fitted to crops of 512 px it does
worse. The arms `he` and `auto` show the model haematoxylin alone. Figures are pooled over all
nuclei. `--reference` measures the training images whose colours
are the normalisations' target.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accuracy import SETS, Image, found_in, read_set, shift_stains
from napari_histo.core import Box, Segmenter, SlideReader
from napari_histo.errors import StainError
from napari_histo.models import load_model
from napari_histo.ops.metrics import Agreement, compare_labels
from napari_histo.ops.stain_transfer import Appearance
from napari_histo.pipeline.colour_choice import ColourChoice, Colours
from napari_histo.pipeline.splits import find_split
from napari_histo.slides import ArrayReader, open_slide
from napari_histo.store import rasterise

Rgb = NDArray[np.float32]
#: Columns of the table: normalisations, and stains for models of one channel.
ARMS = {
    "none": ColourChoice(),
    "reinhard": ColourChoice("reinhard"),
    "macenko": ColourChoice("macenko"),
    "he": ColourChoice(stains="he"),
    "auto": ColourChoice(stains="auto"),
}


@dataclass(frozen=True)
class Shift:
    """A way in which another laboratory's slides differ."""

    name: str
    change: Callable[[Rgb], Rgb]


def turned(degrees: float) -> Callable[[Rgb], Rgb]:
    """Colours turned about the axis of greys."""
    angle = np.radians(degrees)
    axis = np.full((3, 3), 1 / 3)
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
    turn = np.cos(angle) * np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * axis

    def apply(rgb: Rgb) -> Rgb:
        return np.asarray(rgb @ turn.T, np.float32)

    return apply


def lit(red: float, green: float, blue: float) -> Callable[[Rgb], Rgb]:
    """Another lamp, or glass and mounting medium of another colour."""
    return lambda rgb: rgb * np.array([red, green, blue], np.float32)


SHIFTS = (
    Shift("as published", lambda rgb: rgb),
    Shift("haematoxylin × 0.7, eosin × 1.3", lambda rgb: shift_stains(rgb, 0.7, 1.3)),
    Shift("haematoxylin × 1.3, eosin × 0.7", lambda rgb: shift_stains(rgb, 1.3, 0.7)),
    Shift("both stains × 0.5 (faded)", lambda rgb: shift_stains(rgb, 0.5, 0.5)),
    Shift("both stains × 1.8 (thick)", lambda rgb: shift_stains(rgb, 1.8, 1.8)),
    Shift("hue turned by 12°", turned(12)),
    Shift("hue turned by 40°", turned(40)),
    Shift("yellow glass", lit(0.96, 0.9, 0.75)),
    Shift("lamp at 60 %", lit(0.6, 0.6, 0.6)),
)


def shifted(image: Image, shift: Shift) -> SlideReader:
    """An image in the colours of another laboratory."""
    with open_slide(image.path) as reader:
        pixels = shift.change(reader.read(reader.info.box).astype(np.float32))
    rounded = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return ArrayReader(rounded, name=image.name, is_rgb=True)


def slide_of(readers: list[SlideReader]) -> SlideReader:
    """Images side by side, for the normalisation to look at; only what all have in height."""
    height = min(reader.info.height for reader in readers)
    parts = [r.read(Box(0, 0, r.info.width, height)) for r in readers]
    return ArrayReader(np.concatenate(parts, axis=1), is_rgb=True)


def fits_of(
    images: list[Image], readers: list[SlideReader], choice: ColourChoice, set_name: str
) -> list[Colours | None]:
    """The colours that each image's own slide is given; None where its stains cannot be told."""
    slides = [_slide_name(image, set_name) for image in images]
    fitted: dict[str, Colours | None] = {}
    for name in dict.fromkeys(slides):
        own = [r for r, slide in zip(readers, slides, strict=True) if slide == name]
        try:
            fitted[name] = choice.fit(slide_of(own))
        except StainError:
            fitted[name] = None
    return [fitted[slide] for slide in slides]


def _slide_name(image: Image, set_name: str) -> str:
    """PATIENT_n in TNBC; elsewhere nobody knows, and a folder is of one staining."""
    return image.name.split("_")[0] if set_name == "tnbc" else image.path.parent.parent.name


def run(
    images: list[Image], model: Segmenter, shift: Shift, choice: ColourChoice, set_name: str
) -> Agreement:
    """Pooled agreement with the truth."""
    readers = [shifted(image, shift) for image in images]
    colours = fits_of(images, readers, choice, set_name)
    found = []
    for image, reader, fitted in zip(images, readers, colours, strict=True):
        view = reader if fitted is None else fitted.view(reader)
        table = found_in(view, model, image.pixel_size)
        height, width = image.labels.shape
        found.append(compare_labels(image.labels, rasterise(table, Box(0, 0, width, height))))
    return reduce(add, found)


def reference(data: Path) -> Appearance:
    """The colours of the H&E models' training images of tissue."""
    folder = data / "nuclei" / "tnbc" / "images"
    names = find_split([folder], "train")
    pixels = []
    for path in sorted(p for p in folder.iterdir() if p.stem in names):
        with open_slide(path) as reader:
            pixels.append(reader.read(reader.info.box).reshape(-1, 3)[::7])
    return Appearance.of(np.concatenate(pixels))


def rows(args: argparse.Namespace) -> Iterator[dict[str, object]]:
    """A row for each set, shift and model, with the three normalisations side by side."""
    models = {name: load_model(name, device=args.device) for name in args.models}
    for set_name in args.sets:
        images = list(read_set(args.data, set_name, args.limit))
        for shift in SHIFTS[:1] if args.as_published else SHIFTS:
            for name, model in models.items():
                found = {arm: run(images, model, shift, ARMS[arm], set_name) for arm in args.arms}
                facts = {"set": set_name, "shift": shift.name, "model": name}
                yield facts | {arm: each.as_dict() for arm, each in found.items()}
                cells = [f"{each.f1:.3f} / {each.pq:.3f}" for each in found.values()]
                print(f"| {set_name} | {shift.name} | {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Print the table row by row, and keep it as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", nargs="+", default=["he-nuclei"])
    stained = [name for name, (_, is_stained) in SETS.items() if is_stained]
    parser.add_argument("--sets", nargs="+", default=stained, choices=stained)
    parser.add_argument("--arms", nargs="+", default=list(ARMS)[:3], choices=list(ARMS))
    parser.add_argument("--as-published", action="store_true", help="leave the shifts out")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--reference", action="store_true")
    args = parser.parse_args()
    if args.reference:
        print(reference(args.data))
        return
    print(f"| images | shown | model | {' | '.join(args.arms)} |")
    print(f"| --- | --- | --- |{' --: |' * len(args.arms)}")
    kept = list(rows(args))
    if args.json:
        args.json.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
