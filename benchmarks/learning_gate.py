"""Whether learning rounds are safe: what the gate lets through, seen on images that it never saw.

    python benchmarks/learning_gate.py DATA -o FOLDER [--seeds 4] [--stain "H&E" ...] [--steps 250]
        [--next-steps 100] [--rate 2e-3] [--images 24] [--device cpu]
    python benchmarks/learning_gate.py DATA -o FOLDER --simulated SIM [--arm default] [--seeds 5]

DATA is a folder as `napari-histo learn simulate` takes it. Each seed is a learning project of its
own, with other patients as judges and other images to choose from. A first round trains a small
network without weights, which is taken on request whatever the gate says (`--force`). Then come
five good rounds, annotated as the truth is, and among them two poisoned ones: outlines shuffled
among the regions, discs anywhere, or regions declared done without an outline. Query, labels,
training and decision are the product's own. Each new model and its parent are then held against the
test images, which the loop never opens.

With `--simulated` nothing is trained: SIM is what `napari-histo learn simulate DATA -o SIM` left
for the same stains, and the gate judges each of its rounds against the one before, by the images
that also chose thresholds there, for both models alike.

It ends with 1 where a promoted model is worse than its parent on the test images by more than the
gate's margin, or where a poisoned one was promoted. Stopped, the same command goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_histo.learning.project.facts import Settings
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.rounds.folder import RoundFolder, Stage
from napari_histo.learning.rounds.promotion import Counts, Gate, Pair, decide
from napari_histo.learning.rounds.promotion_figures import Interval, interval, pq_of
from napari_histo.learning.rounds.query import QueryWish, query
from napari_histo.learning.rounds.steps import TrainWish, collect, evaluate, train
from napari_histo.learning.rounds.tools import Tools, real_tools
from napari_histo.learning.simulation.rounds import Drawn, annotate_round, project_on_truth
from napari_histo.learning.simulation.truth import TruthImage
from napari_histo.learning.simulation.truth_folder import open_truth
from napari_histo.store import atomic_path

POISONS = (Drawn.SHUFFLED, Drawn.BLOBS, Drawn.NOTHING)


def plan(seed: int) -> list[Drawn]:
    """What is drawn in each round, the first included that gives a model to lose."""
    first, second = (POISONS[(2 * seed + i) % len(POISONS)] for i in range(2))
    good = Drawn.TRUTH
    return [good, good, first, good, good, second, good, good]


@dataclass(frozen=True)
class Row:
    """A round: what the gate saw and said, and what came of it on the test images."""

    seed: int
    round: int
    drawn: Drawn
    n_objects: int
    promoted: bool
    verdict: str
    doubted: bool
    margin: float
    validation: tuple[float, float, float]
    test: tuple[float, float, float]
    test_pq: float

    @property
    def is_start(self) -> bool:
        """The network that began without weights; the gate has no say."""
        return self.round == 1

    @property
    def is_bad(self) -> bool:
        """A poisoned model that got through, or one that is worse beyond the bound."""
        return (
            not self.is_start
            and self.promoted
            and (self.drawn is not Drawn.TRUTH or self.test[0] < -self.margin)
        )


def main() -> int:
    """Play, print the table and what it shows."""
    asked = _arguments()
    rows = []
    for seed in range(asked.seeds):
        # A simulation has the same judges for all seeds.
        draw = 0 if asked.simulated else seed
        with open_truth(asked.data, asked.stain, seed=draw) as images:
            played = judged if asked.simulated else play
            for row in played(asked.output / f"seed-{seed}", images, seed, asked):
                rows.append(row)
                print(line(row), flush=True)
    with atomic_path(asked.output / "gate.json") as work:
        work.write_text(json.dumps([asdict(row) for row in rows], indent=1), encoding="utf-8")
    print("\n" + table(rows) + "\n\n" + summary(rows))
    return int(any(row.is_bad for row in rows))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--stain", action="append", default=None)
    parser.add_argument("--steps", type=int, default=250, help="of a network without weights")
    parser.add_argument("--next-steps", type=int, default=100, help="of one that goes on")
    parser.add_argument("--rate", type=float, default=2e-3, help="of one that goes on")
    parser.add_argument("--images", type=int, default=24, help="to choose from")
    parser.add_argument("--model", default="classical", help="to begin with")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--simulated", type=Path, default=None)
    parser.add_argument("--arm", default="default", help="of the simulation")
    asked = parser.parse_args()
    asked.stain = asked.stain or ("H&E", "purple_on_purple")
    return asked


# -- playing -------------------------------------------------------------------------------------


def play(
    folder: Path, images: Sequence[TruthImage], seed: int, asked: argparse.Namespace
) -> Generator[Row]:
    """All rounds of one project."""
    settings = Settings(region_px=128, regions=6, validation_regions=32)
    project = project_on_truth(
        _fewer(images, asked.images, seed),
        folder / "project",
        model=asked.model,
        settings=settings,
        seed=seed,
    )
    test, tools = Test(folder / "test", images), real_tools(asked.device)
    truth = {image.name: image.truth for image in images}
    for number, drawn in enumerate(plan(seed), start=1):
        if len(project.rounds) < number or not project.round(number).is_over:
            _one_round(project, tools, truth, drawn, asked)
        found = project.round(number)
        parent = int(found.training["parent"]["round"])
        counts = {n: test.counts(project.model(n), n, tools) for n in (number, parent)}
        taught = [row for row in found.label_rows if row["split"] == "train"]
        n_objects = sum(row["objects"] for row in taught)
        tested = (counts[number], counts[parent])
        yield _row((seed, number), found.decision, drawn, n_objects, tested)


def judged(
    folder: Path, images: Sequence[TruthImage], seed: int, asked: argparse.Namespace
) -> Generator[Row]:
    """Rounds of a simulation, each held against the one before."""
    place, tools = asked.simulated / asked.arm / f"seed-{seed}", real_tools(asked.device)
    judges = [image for image in images if image.split == "judge"]
    on = {split: Test(folder / split, images, split) for split in ("judge", "test")}
    counts: dict[str, list[np.ndarray]] = {split: [] for split in on}
    for number in range(1, len(list(place.glob("round-*"))) + 1):
        for split, found in on.items():
            model = str(place / f"round-{number}" / "model")
            counts[split].append(found.counts(model, number, tools))
        if number == 1:
            continue
        new, parent = counts["judge"][-1], counts["judge"][-2]
        pairs = [
            Pair(image.group, image.name, _counts(n), _counts(p))
            for image, n, p in zip(judges, new, parent, strict=True)
        ]
        said = asdict(decide(pairs, Gate(seed=1000 * seed + number)))
        score = json.loads((place / f"round-{number}" / "round.json").read_text())["score"]
        tested = (counts["test"][-1], counts["test"][-2])
        yield _row((seed, number), said, Drawn.TRUTH, score["n_objects"], tested)


def _counts(row: np.ndarray) -> Counts:
    return Counts(*(int(v) for v in row[:3]), float(row[3]))


def _fewer(images: Sequence[TruthImage], n: int, seed: int) -> list[TruthImage]:
    """`n` images to choose from, and all that judge."""
    rows = [i for i, image in enumerate(images) if image.split == "train"]
    left = set(rows) - set(np.random.default_rng(seed).permutation(rows)[:n].tolist())
    return [image for i, image in enumerate(images) if i not in left]


def _one_round(
    project: LearningProject, tools: Tools, truth: Any, drawn: Drawn, asked: argparse.Namespace
) -> None:
    """All that is left of a round."""
    found = project.open_round
    if found is None or found.stage == Stage.QUERIED:
        found = _last(query(project, QueryWish(), tools))
        annotate_round(project, found, truth, drawn)
    collect(project)
    goes_on = Path(project.model()).is_dir()
    settings: dict[str, Any] = {"steps": asked.next_steps if goes_on else asked.steps, "batch": 4}
    if goes_on:
        settings["rate"] = asked.rate
    _last(train(project, TrainWish(settings), tools))
    _last(evaluate(project, tools, force=found.number == 1))


class Test:
    """Counts of models on the test images, or those of another split; each is looked at once."""

    def __init__(self, folder: Path, images: Sequence[TruthImage], split: str = "test") -> None:
        self._folder = folder
        self._examples = [image.labelled() for image in images if image.split == split]

    def counts(self, model: str, number: int, tools: Tools) -> np.ndarray:
        """(images, 4) found, invented, missed, and the sum of intersections over union."""
        kept = self._folder / f"{number:04d}.json"
        if not kept.is_file():
            scores = tools.evaluate(tools.load_model(model), self._examples, _never())
            self._folder.mkdir(parents=True, exist_ok=True)
            with atomic_path(kept) as work:
                rows = [[s.tp, s.fp, s.fn, s.iou_sum] for s in scores]
                work.write_text(json.dumps(rows), encoding="utf-8")
        return np.array(json.loads(kept.read_text(encoding="utf-8")), float)


def _never() -> Any:
    from napari_histo.core import CancelToken

    return CancelToken()


def _last(work: Generator[Any, None, RoundFolder]) -> RoundFolder:
    while True:
        try:
            next(work)
        except StopIteration as end:
            found: RoundFolder = end.value
            return found


def _row(
    which: tuple[int, int],
    said: Mapping[str, Any],
    drawn: Drawn,
    n_objects: int,
    tested: tuple[np.ndarray, np.ndarray],
) -> Row:
    """Seed and round; a decision's words; and counts of both models on the test images."""
    how = {"draws": said["draws"], "seed": said["seed"], "confidence": said["confidence"]}
    test: Interval = interval(*tested, pq_of, **how)
    return Row(
        *which,
        drawn,
        n_objects,
        said["promoted"],
        said["verdict"],
        said["labels_doubted"],
        said["margin_pq"],
        (said["pq_difference"], said["pq_lower"], said["pq_upper"]),
        (test.difference, test.lower, test.upper),
        float(pq_of(tested[0].sum(axis=0, keepdims=True))[0]),
    )


# -- telling -------------------------------------------------------------------------------------

HEAD = (
    "| seed | round | drawn | objects | validation PQ (95 %) | verdict | | test PQ (95 %) | "
    "test PQ of the new |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)


def table(rows: Sequence[Row]) -> str:
    """In Markdown."""
    return "\n".join([HEAD, *map(line, rows)])


def line(row: Row) -> str:
    """A row of it."""
    kept = "promoted" if row.promoted else "kept the parent"
    kept = "taken on request" if row.is_start else kept
    doubted = ", labels doubted" if row.doubted else ""
    return (
        f"| {row.seed} | {row.round} | {row.drawn} | {row.n_objects} | {_span(row.validation)} | "
        f"{row.verdict} | {kept}{doubted}{' (!)' if row.is_bad else ''} | {_span(row.test)} | "
        f"{row.test_pq:.3f} |"
    )


def _span(values: tuple[float, float, float]) -> str:
    return "{:+.3f} ({:+.3f} to {:+.3f})".format(*values)


def summary(rows: Sequence[Row]) -> str:
    """What it shows, in sentences."""
    good = [row for row in rows if row.drawn is Drawn.TRUTH and not row.is_start]
    poisoned = [row for row in rows if row.drawn is not Drawn.TRUTH]
    taken, kept = ([r for r in good if r.promoted is which] for which in (True, False))
    margin = rows[0].margin
    worse = [row for row in taken if row.test[0] < -margin]
    sure = [row for row in taken if row.test[2] < -margin]
    lines = [
        f"- {len(good)} good rounds: {len(taken)} promoted, {len(kept)} not.",
        f"- Of the promoted, {len(worse)} are worse than their parent by more than {margin:g} PQ on"
        f" the test images, {len(sure)} of them with 95 % confidence; the least difference is "
        f"{min((r.test[0] for r in taken), default=np.nan):+.3f}, the mean "
        f"{_mean([r.test[0] for r in taken]):+.3f}.",
        f"- Of the good ones that were not promoted, {sum(r.test[0] > 0 for r in kept)} would have "
        "been better on the test images; the mean of all is "
        f"{_mean([r.test[0] for r in kept]):+.3f}.",
        f"- {len(poisoned)} poisoned rounds: {sum(r.promoted for r in poisoned)} promoted; the "
        f"labels of {sum(r.doubted for r in poisoned)} were left out of later rounds.",
    ]
    return "\n".join(lines)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


if __name__ == "__main__":
    raise SystemExit(main())
