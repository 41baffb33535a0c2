"""How well the models find nuclei in real validation images, as a Markdown table.

    python benchmarks/accuracy.py --data DIR [--models he-nuclei classical ...] [--sets tnbc ...]
        [--pixel-size 0.25 0.5] [--stain-shift 0.7,1.3] [--limit N] [--json FILE]

Each image goes through the whole pipeline, as it would from the window or the command line, and is
compared with its truth at full resolution. `--pixel-size` shows H&E images as a coarser scanner
would (0.25 µm/px is how they are). `--stain-shift` multiplies haematoxylin and eosin. Figures are
pooled over all nuclei of a set; seconds are for 512 x 512 px as given, reading included. Images of
unknown pixel size are taken to have the model's own.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, ObjectTable, PixelSize, Segmenter, SlideReader
from napari_histo.models import get_info, list_models, load_model
from napari_histo.ops.metrics import Agreement, compare_labels
from napari_histo.ops.resample import resample
from napari_histo.ops.stain import HED_FROM_OD, OD_FROM_HED, optical_density
from napari_histo.pipeline import SegmentRequest, segment
from napari_histo.slides import ArrayReader, open_slide
from napari_histo.store import rasterise
from napari_histo.store.dispatch import read_labels

#: Named sets of validation images: folders of `DIR/nuclei`, and whether they are brightfield.
SETS = {
    "tnbc": (("tnbc",), True),
    "purple": (("dsb2018/purple_on_purple", "dsb2018/purple_on_white"), True),
    "fluorescence": (("dsb2018/fluorescence",), False),
}


@dataclass(frozen=True)
class Condition:
    """How images are changed before a model sees them: `shrink` times, stains multiplied."""

    shrink: float = 1.0
    stain: tuple[float, float] | None = None

    def __str__(self) -> str:
        words = [] if self.shrink == 1 else [f"shrunk {self.shrink:g} times"]
        if self.stain:
            words.append("haematoxylin x {:g}, eosin x {:g}".format(*self.stain))
        return ", ".join(words) or "as published"


@dataclass(frozen=True)
class Image:
    """A validation image with its truth; `pixel_size` is None where nobody knows it."""

    name: str
    path: Path
    labels: NDArray[np.integer]
    pixel_size: PixelSize | None


def read_set(data: Path, name: str, limit: int | None) -> Iterator[Image]:
    """Validation images of a set."""
    folders, _ = SETS[name]
    with (data / "nuclei" / "splits.csv").open(encoding="utf-8", newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["dataset"] in folders and r["split"] == "val"]
    for row in rows[:limit]:
        folder = data / "nuclei" / row["dataset"]
        truth = next((folder / "labels").glob(f"{row['id']}.*"))
        size_um = row["pixel_size_um"]
        pixel_size = PixelSize(float(size_um), float(size_um)) if size_um else None
        image = next((folder / "images").glob(f"{row['id']}.*"))
        yield Image(row["id"], image, read_labels(truth), pixel_size)


def changed(reader: SlideReader, condition: Condition) -> SlideReader:
    """The image as the condition shows it."""
    if condition == Condition():
        return reader
    pixels = reader.read(reader.info.box).astype(np.float32)
    if condition.stain and reader.info.is_rgb:
        pixels = shift_stains(pixels, *condition.stain)
    if condition.shrink != 1:
        source, k = reader.info.box, condition.shrink
        target = Box(0, 0, round(source.width / k), round(source.height / k))
        pixels = resample(pixels, source, target, (k, k))
    pixels = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return ArrayReader(pixels, name=reader.info.name, is_rgb=reader.info.is_rgb)


def shift_stains(
    rgb: NDArray[np.float32], haematoxylin: float, eosin: float
) -> NDArray[np.float32]:
    """(h, w, 3) 0 to 255 with the amounts of the stains multiplied."""
    amounts = optical_density(rgb / 255) @ HED_FROM_OD
    od = (amounts * (haematoxylin, eosin, 1.0)) @ OD_FROM_HED
    return np.asarray(255 * 10**-od, np.float32)


def found_in(reader: SlideReader, model: Segmenter, pixel_size: PixelSize | None) -> ObjectTable:
    """Objects by the whole pipeline."""
    own = model.info.pixel_size_um
    if pixel_size is None and own is not None:
        pixel_size = PixelSize(own, own)
    work = segment(reader, model, SegmentRequest(pixel_size=pixel_size, seed=0))
    while True:
        try:
            next(work)
        except StopIteration as end:
            table: ObjectTable = end.value.table
            return table


def score(image: Image, model: Segmenter, condition: Condition) -> tuple[Agreement, float]:
    """Agreement with the truth, and seconds."""
    reader = changed(open_slide(image.path), condition)
    size = image.pixel_size and image.pixel_size.at_downsample(condition.shrink)
    start = time.perf_counter()
    table = found_in(reader, model, size)
    seconds = time.perf_counter() - start
    height, width = image.labels.shape
    ratio = width / reader.info.width, height / reader.info.height
    drawn = rasterise(table.transform(ratio, (0.0, 0.0)), Box(0, 0, width, height))
    return compare_labels(image.labels, drawn), seconds


def run(images: list[Image], model: Segmenter, condition: Condition) -> tuple[Agreement, float]:
    """Pooled agreement, and seconds for each 512 x 512 px."""
    score(images[0], model, condition)  # warm up
    scores = [score(image, model, condition) for image in images]
    n_px = sum(image.labels.size for image in images)
    return reduce(add, (a for a, _ in scores)), sum(s for _, s in scores) / n_px * 512**2


def fits(model: str, set_name: str) -> bool:
    """Whether a model is meant for the images of a set."""
    return get_info(model).channels in ("any", "rgb" if SETS[set_name][1] else "gray")


def conditions(args: argparse.Namespace, set_name: str) -> Iterator[Condition]:
    """The images as they are, then as asked for; stain only where there is any."""
    shrinks = [um / 0.25 for um in args.pixel_size] if set_name == "tnbc" else [1.0]
    yield from (Condition(k) for k in shrinks)
    if SETS[set_name][1]:
        yield from (Condition(stain=s) for s in args.stain_shift)


def row(set_name: str, condition: Condition, model: str, pooled: Agreement, s: float) -> str:
    """A line of the Markdown table."""
    ratios = (pooled.f1, pooled.pq, pooled.precision, pooled.recall, pooled.aji, pooled.mean_ap)
    cells = (set_name, str(condition), model, str(pooled.n_truth), *(f"{r:.3f}" for r in ratios))
    return f"| {' | '.join(cells)} | {s:.2f} |"


def _pair(text: str) -> tuple[float, float]:
    haematoxylin, eosin = (float(x) for x in text.split(","))
    return haematoxylin, eosin


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    data = Path(os.environ.get("NAPARI_HISTO_DATA", beside))
    shipped = [i.name for i in list_models() if not i.source.startswith("http")]
    parser.add_argument("--data", type=Path, default=data)
    parser.add_argument("--models", nargs="+", default=shipped)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--pixel-size", nargs="+", type=float, default=[0.25])
    parser.add_argument("--stain-shift", nargs="+", type=_pair, default=[])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def main() -> None:
    """Print the table row by row, and keep it as JSON where asked."""
    args = _arguments()
    models = {name: load_model(name, device=args.device) for name in args.models}
    print("| images | shown | model | nuclei | F1@0.5 | PQ | prec. | rec. | AJI | AP | s / 512² |")
    print("| --- | --- | --- | --: | --: | --: | --: | --: | --: | --: | --: |")
    kept = []
    for set_name in args.sets:
        images = list(read_set(args.data, set_name, args.limit))
        for condition in conditions(args, set_name):
            for name in (m for m in models if fits(m, set_name)):
                pooled, seconds = run(images, models[name], condition)
                print(row(set_name, condition, name, pooled, seconds), flush=True)
                facts = {"set": set_name, "condition": asdict(condition), "model": name}
                kept.append(facts | {"seconds": seconds, **pooled.as_dict()})
    if args.json:
        args.json.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
