"""The loop of active learning played on images whose truth is known, to compare ways of doing it.

A labelled set stands in for the annotator: regions are chosen as they would be, their true outlines
are handed over, a model is trained, and images that nobody learns from judge it. Ways to do it
("arms") differ in how regions are chosen and in how a round learns: from scratch from all regions
so far, or from the last model with earlier regions replayed. All arms start without weights, are
given the same number of objects, the same images and the same seeds.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_histo.core import CancelToken, Progress, Segmenter
from napari_histo.core.learning import Candidate, Pool
from napari_histo.errors import LearningError
from napari_histo.learning.course.evaluation import evaluate_model, pooled
from napari_histo.learning.scoring import ScoreRequest, join, list_regions, score_image
from napari_histo.learning.simulation.arms import ARMS, Arm, in_order
from napari_histo.learning.simulation.record import RoundScore, check_same, keep_round, kept_round
from napari_histo.learning.simulation.truth import TruthImage
from napari_histo.learning.stardist.start import small_config
from napari_histo.learning.stardist.training import train_stardist
from napari_histo.learning.strategies import strategy
from napari_histo.learning.training import Example, StarDistTraining, TrainedModel
from napari_histo.learning.views import VIEWS
from napari_histo.models import load_model

__all__ = ["Simulation", "simulate"]

#: What is kept of a finished round.
_ROUND = "round.json"


@dataclass(frozen=True)
class Simulation:
    """What is played.

    Attributes
    ----------
    budgets : tuple of int
        Objects annotated after each round, rising.
    region_px : int
        Side of a region, px of the model.
    at_once : int
        Regions asked for at a time, until the budget is reached.
    encoder : str
        Model that says what regions look like before there is one of our own; it must not have
        learned from these images.
    training : StarDistTraining
        Of a model from scratch.
    next_steps, next_rate : int, float
        Steps and learning rate of a model that goes on.
    """

    budgets: tuple[int, ...] = (50, 100, 200, 400, 800)
    region_px: int = 128
    at_once: int = 8
    encoder: str = "fluo-nuclei"
    training: StarDistTraining = field(
        default_factory=lambda: StarDistTraining(steps=350, batch=4, workers=0)
    )
    next_steps: int = 100
    next_rate: float = 2e-3

    def __post_init__(self) -> None:
        if not self.budgets or list(self.budgets) != sorted(set(self.budgets)):
            raise LearningError(f"Budgets are {self.budgets}; give rising numbers of objects.")


def simulate(
    images: Sequence[TruthImage],
    folder: Path | str,
    arms: Sequence[Arm] = (ARMS["default"], ARMS["random-scratch"]),
    seeds: Sequence[int] = range(5),
    params: Simulation | None = None,
    cancel: CancelToken | None = None,
) -> Generator[Progress, None, list[RoundScore]]:
    """Play all rounds of all arms with all seeds.

    Each finished round is kept in `folder`; the same call goes on where it was stopped.

    Raises
    ------
    LearningError
        A split has no images, the folder holds another simulation, or an arm follows one that is
        not played.
    Cancelled
    """
    folder, params, cancel = Path(folder), params or Simulation(), cancel or CancelToken()
    by_split = {s: [i for i in images if i.split == s] for s in ("train", "judge", "test")}
    missing = [s for s, own in by_split.items() if not own]
    if missing:
        raise LearningError(
            f"No image is in the split {' or '.join(missing)}. A simulation needs images to choose "
            "from (train), to choose thresholds (judge) and to judge (test)."
        )
    arms = in_order(arms)
    known = sorted([i.name, i.split, len(i.truth)] for i in images)
    check_same(folder, {"params": asdict(params), "images": known})
    scores: list[RoundScore] = []
    total = len(arms) * len(seeds) * len(params.budgets)
    for seed in seeds:
        for arm in arms:
            game = _Game(by_split, folder / arm.name / f"seed-{seed}", arm, seed, params, cancel)
            for number in range(1, len(params.budgets) + 1):
                for step in game.play(number):
                    yield Progress(len(scores), total, f"{arm.name}, seed {seed}: {step.message}")
                scores.append(game.scores[-1])
    return scores


class _Game:
    """One arm with one seed."""

    def __init__(
        self,
        images: Mapping[str, Sequence[TruthImage]],
        folder: Path,
        arm: Arm,
        seed: int,
        params: Simulation,
        cancel: CancelToken,
    ) -> None:
        self.images, self.folder, self.arm, self.seed = images, folder, arm, seed
        self.params, self.cancel = params, cancel
        self.chosen: list[tuple[int, Candidate]] = []
        self.scores: list[RoundScore] = []
        self._named = {image.name: image for image in images["train"]}

    def play(self, number: int) -> Generator[Progress]:
        """A round, or what was kept of it."""
        place = self.folder / f"round-{number}"
        kept = place / _ROUND
        if kept.is_file():
            self._read(kept)
            return
        yield from self._query(number)
        if number == 1 and self.arm.follows:
            self._take_first(kept)
            return
        done = yield from self._train(number, place / "model")
        yield Progress(0, 0, "judging")
        score = self._judge(number, done)
        self.scores.append(score)
        keep_round(kept, score, (c for n, c in self.chosen if n == number))

    def _query(self, number: int) -> Generator[Progress]:
        """Choose regions until the budget is reached."""
        if self.arm.follows:
            yield Progress(0, 0, f"taking the regions of {self.arm.follows}")
            self.chosen += kept_round(self._leader / f"round-{number}" / _ROUND)[1]
            return
        rng = np.random.default_rng([self.seed, number])
        pool = yield from self._pool(number)
        while self._n_objects < self.params.budgets[number - 1]:
            taken = {candidate for _, candidate in self.chosen}
            rows = [i for i, c in enumerate(pool.candidates) if c in taken]
            pool = replace(
                pool,
                seen=pool.features[rows],
                seen_candidates=tuple(pool.candidates[i] for i in rows),
            )
            new = strategy(self.arm.strategy).select(pool, self.params.at_once, rng).candidates
            if not new:
                return
            for candidate in new:
                self.chosen.append((number, candidate))
                if self._n_objects >= self.params.budgets[number - 1]:
                    break

    @property
    def _leader(self) -> Path:
        """Folder of the arm that this one follows, with the same seed."""
        return self.folder.parent.parent / self.arm.follows / self.folder.name

    def _take_first(self, kept: Path) -> None:
        """The leader's first round: the same training from scratch, on the same regions."""
        score, regions = kept_round(self._leader / "round-1" / _ROUND)
        self.scores.append(replace(score, arm=self.arm.name))
        kept.parent.mkdir(parents=True, exist_ok=True)
        keep_round(kept, self.scores[-1], (c for _, c in regions))

    def _pool(self, number: int) -> Generator[Progress, None, Pool]:
        """All regions as the last model sees them, or the encoder before there is one."""
        first, method = number == 1, self.arm.strategy
        model = self._encoder() if first else self._last_model(number - 1)
        asks_doubt = not first or method not in ("auto", "typical", "diverse", "contrast")
        request = ScoreRequest(
            self.params.region_px,
            most=10**6,
            objects=asks_doubt,
            views=VIEWS[1:3] if asks_doubt or method == "contrast" else (),
        )
        pools = []
        for image in self._named.values():
            own = replace(request, pixel_size=image.pixel_size)
            if method in ("random", "grid"):
                pools.append(list_regions(image.name, image.reader, model, own))
                continue
            look = score_image(image.name, image.reader, model, own, self.cancel)
            pools.append((yield from look))
        return join(pools)

    def _train(self, number: int, folder: Path) -> Generator[Progress, None, TrainedModel]:
        params = replace(self.params.training, seed=1000 * self.seed + number, name=self.arm.name)
        parent: Any = small_config()
        new = [self._named[c.image].labelled(c, n) for n, c in self.chosen]
        replayed: list[Example] = []
        if self.arm.goes_on and number > 1:
            parent = self.folder / f"round-{number - 1}" / "model"
            params = replace(params, steps=self.params.next_steps, rate=self.params.next_rate)
            replayed = [e for e in new if e.labels.round < number]
            new = [e for e in new if e.labels.round == number]
        judge = [image.labelled() for image in self.images["judge"]]
        folder.parent.mkdir(parents=True, exist_ok=True)
        resume = folder.with_name(f"{folder.name}.training").exists()
        return (
            yield from train_stardist(
                parent, new, replayed, folder, params, self.cancel,
                validation=judge, resume=resume,
            )
        )  # fmt: skip

    def _judge(self, number: int, done: TrainedModel) -> RoundScore:
        test = [image.labelled() for image in self.images["test"]]
        first = [self._named[c.image].labelled(c) for n, c in self.chosen if n == 1]
        found = pooled(list(evaluate_model(done.model, test, cancel=self.cancel)))
        return RoundScore(
            self.arm.name,
            self.seed,
            number,
            self._n_objects,
            len(self.chosen),
            len({c.image for _, c in self.chosen}),
            round(found.pq, 5),
            round(found.f1, 5),
            round(pooled(list(evaluate_model(done.model, first, cancel=self.cancel))).pq, 5),
            round(done.seconds, 2),
        )

    @property
    def _n_objects(self) -> int:
        """Objects whose centroids lie in the chosen regions."""
        return sum(self._named[c.image].n_owned(c) for _, c in self.chosen)

    def _encoder(self) -> Segmenter:
        return load_model(self.params.encoder, device=self.params.training.device)

    def _last_model(self, number: int) -> Segmenter:
        folder = self.folder / f"round-{number}" / "model"
        return load_model(str(folder), device=self.params.training.device)

    def _read(self, path: Path) -> None:
        score, regions = kept_round(path)
        self.scores.append(score)
        self.chosen += regions
