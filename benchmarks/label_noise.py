"""Whether doubted labels are those that were spoiled: `rank_labels` on labels with known damage.

    python benchmarks/label_noise.py DATA --stain "H&E" --stain purple_on_purple --work FOLDER

DATA is a folder as `napari-histo learn simulate` takes it. Its images, those of the test split
left out, are cut into regions of 64 µm; regions with three nuclei or more count. Regions are
drawn until they hold a fifth of all nuclei (`--within 0.5`), and in each of them half of the
nuclei are removed, shifted by a radius, or merged with their neighbour: a tenth of all nuclei.
These are the damaged regions. (Were the tenth spread evenly, nearly every region would be
damaged, and none would stand out.) A small network learns from the damaged labels alone, without
weights to begin with; then it ranks them. Told is how many of the damaged regions are among the
first fifth of the list; chance finds a fifth, and a flawless list all but a few, where more than
a fifth of the regions are damaged.

Models are kept in FOLDER: the same command goes on, or only ranks anew. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import shapely

from napari_histo.core import Box, Contours, ObjectTable
from napari_histo.core.learning import Candidate
from napari_histo.learning.labels.quality import Suspect, rank_labels
from napari_histo.learning.simulation.curves import interval
from napari_histo.learning.simulation.truth import TruthImage
from napari_histo.learning.simulation.truth_folder import open_truth
from napari_histo.learning.stardist.start import small_config
from napari_histo.learning.stardist.training import train_stardist
from napari_histo.learning.training import Example, StarDistTraining
from napari_histo.models import load_model

KINDS = ("removed", "shifted", "merged")
#: Ways to rank: what the suite shows, and each of its parts by itself.
SCORES = ("score", "presence", "shape", "difference")
SIDE_UM, FEWEST, FIRST, NOISE = 64.0, 3, 0.2, 0.1


class Spoiled(NamedTuple):
    """Labelled regions, and what was done to each: a kind, "mixed", or "" for nothing."""

    examples: list[Example]
    damage: list[str]
    n_nuclei: int
    n_damaged: int


def regions_of(image: TruthImage) -> list[Example]:
    """An image in squares; those at its right and lower edge are narrower, by half at most."""
    side = int(SIDE_UM / image.pixel_size.x_um)
    width, height = image.reader.info.width, image.reader.info.height
    boxes = [
        Box(x, y, min(side, width - x), min(side, height - y))
        for y in range(0, height - side // 2, side)
        for x in range(0, width - side // 2, side)
    ]
    found = [image.labelled(Candidate(image.name, box)) for box in boxes]
    return [e for e in found if len(e.labels.objects) >= FEWEST]


def spoil(examples: Sequence[Example], kinds: str, within: float, seed: int) -> Spoiled:
    """Damage a tenth of all nuclei: the share `within` of those of some regions."""
    rng = np.random.default_rng(seed)
    counts = [len(e.labels.objects) for e in examples]
    spoiled, damage, n_damaged, held = list(examples), [""] * len(examples), 0, 0
    for i in rng.permutation(len(examples)):
        if held >= NOISE / within * sum(counts):
            break
        held += counts[i]
        table = examples[i].labels.objects
        n = max(1, round(within * len(table)))
        allowed = KINDS if kinds == "mixed" else (kinds,)
        if kinds == "one":
            allowed = (KINDS[int(rng.integers(3))],)
        table = damaged(table, rng.choice(len(table), n, replace=False), allowed, rng)
        labels = replace(examples[i].labels, objects=table)
        spoiled[i] = examples[i]._replace(labels=labels)
        damage[i] = allowed[0] if len(allowed) == 1 else "mixed"
        n_damaged += n
    return Spoiled(spoiled, damage, sum(counts), n_damaged)


def damaged(
    table: ObjectTable, rows: Sequence[int], kinds: Sequence[str], rng: np.random.Generator
) -> ObjectTable:
    """Nuclei of some rows removed, shifted by their radius, or merged with the nearest."""
    shapes, gone = list(table.to_shapely()), set()
    for row in rows:
        kind = kinds[int(rng.integers(len(kinds)))]
        if row in gone:
            continue
        if kind == "removed":
            gone.add(int(row))
        elif kind == "shifted":
            far, angle = np.sqrt(shapes[row].area / np.pi), rng.uniform(0, 2 * np.pi)
            shift = far * np.cos(angle), far * np.sin(angle)
            shapes[row] = shapely.affinity.translate(shapes[row], *shift)
        else:
            away = np.hypot(*(table.centroids - table.centroids[row]).T)
            away[[row, *gone]] = np.inf
            other = int(np.argmin(away))
            if np.isfinite(away[other]):
                shapes[row] = shapely.union_all([shapes[row], shapes[other]]).convex_hull
                gone.add(other)
    kept = [i for i in range(len(table)) if i not in gone]
    return table.with_columns(contours=Contours.from_shapely(shapes)).select(kept)


def found_first(ranked: Sequence[Suspect], damage: dict[int, str], by: str) -> dict[str, float]:
    """Share of the damaged regions in the first fifth: of all, and of each kind."""
    order = sorted(ranked, key=lambda s: -getattr(s, by))
    first = {id(s.labels) for s in order[: round(FIRST * len(order))]}
    kinds = dict.fromkeys(kind for kind in damage.values() if kind)
    groups = {"all": [k for k, kind in damage.items() if kind]}
    groups |= {kind: [k for k, own in damage.items() if own == kind] for kind in kinds}
    return {name: len(first.intersection(keys)) / len(keys) for name, keys in groups.items()}


def play(images: Sequence[TruthImage], seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """Spoil, learn, rank; what came out."""
    regions = [e for image in images if image.split != "test" for e in regions_of(image)]
    spoiled = spoil(regions, args.kinds, args.within, seed)
    folder = args.work / f"{args.kinds}-{args.within:g}-{args.steps}-{seed}"
    if not folder.exists():
        how = StarDistTraining(
            steps=args.steps, batch=8, judge_every=100, patience=0, device=args.device, seed=seed
        )
        resume = folder.with_name(f"{folder.name}.training").exists()
        last(train_stardist(small_config(), spoiled.examples, [], folder, how, resume=resume))
    model = load_model(str(folder), device=args.device)
    ranked = last(rank_labels(spoiled.examples, model))
    damage = {id(e.labels): d for e, d in zip(spoiled.examples, spoiled.damage, strict=True)}
    return {
        "seed": seed,
        "regions": len(regions),
        "damaged": sum(d != "" for d in spoiled.damage),
        "nuclei": spoiled.n_nuclei,
        "damaged_nuclei": spoiled.n_damaged,
        "found": {by: found_first(ranked, damage, by) for by in SCORES},
    }


def last(work: Any) -> Any:
    """Result of a generator of progress."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def table(runs: Sequence[dict[str, Any]]) -> str:
    """A row a seed, and the mean with its 95 % interval."""
    kinds = [k for k in KINDS if any(k in run["found"]["score"] for run in runs)]
    kinds = kinds if len(kinds) > 1 else []
    head = ["seed", "regions", "damaged", "nuclei damaged", "found", *(f"of {k}" for k in kinds)]
    head += [f"by {name} alone" for name in SCORES[1:]]
    lines = [head, ["---"] * len(head)]
    columns = [("score", "all"), *(("score", k) for k in kinds), *((s, "all") for s in SCORES[1:])]
    for run in runs:
        share = f"{run['damaged_nuclei']} of {run['nuclei']}"
        figures = [f"{100 * run['found'][by].get(k, np.nan):.0f} %" for by, k in columns]
        lines.append([str(run[k]) for k in ("seed", "regions", "damaged")] + [share, *figures])
    means = []
    for by, kind in columns:
        mean, half = interval([run["found"][by].get(kind, np.nan) for run in runs])
        means.append(f"{100 * mean:.0f} ± {100 * half:.0f} %")
    lines.append(["mean", "", "", "", *means])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="folder for models and figures")
    parser.add_argument("--stain", action="append", help="only images of this stain; several times")
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3, 4, 5])
    parser.add_argument(
        "--kinds",
        choices=("mixed", "one", *KINDS),
        default="mixed",
        help="of damage: all in each region, one in each region, or this one alone",
    )
    parser.add_argument("--within", type=float, default=0.5, help="share of a region's nuclei")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    runs = []
    with open_truth(args.data, args.stain or ()) as images:
        for seed in args.seeds:
            runs.append(play(images, seed, args))
            print(json.dumps(runs[-1]), flush=True)
    print(table(runs))


if __name__ == "__main__":
    main()
