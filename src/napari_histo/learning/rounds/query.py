"""The first step of a round: which regions to annotate."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, CancelToken, Progress
from napari_histo.core.learning import Candidate, Pool, Selection
from napari_histo.core.rounds import Split
from napari_histo.errors import LearningError
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.rounds.alike import ALIKE, Spot, alike, check_spots
from napari_histo.learning.rounds.folder import RoundFolder, Stage
from napari_histo.learning.rounds.tools import Tools
from napari_histo.learning.rounds.work import write_work

__all__ = ["QueryWish", "query"]

#: A candidate of which more than this share was looked at already is not asked for again.
_OVERLAP = 0.25
_VALIDATION = "Judges the model: drawn at random, and never learnt from"


@dataclass(frozen=True, slots=True)
class QueryWish:
    """What the user asks for; None where the project decides.

    Attributes
    ----------
    strategy : str
        By name; ``alike`` looks for regions like those of `like`.
    n : int or None
        Regions to learn from.
    n_validation : int or None
        Regions of validation images beside them; by default what is lacking.
    seed : int or None
    like : tuple of Spot
        What the user pointed at; implies the strategy ``alike``.
    """

    strategy: str = "auto"
    n: int | None = None
    n_validation: int | None = None
    seed: int | None = None
    like: tuple[Spot, ...] = ()

    @property
    def way(self) -> str:
        """Name of the strategy."""
        return ALIKE if self.like and self.strategy == "auto" else self.strategy

    def asked(self) -> dict[str, Any]:
        """For JSON; what was left open is None."""
        words = {"strategy": self.way, "n": self.n, "seed": self.seed}
        return words | ({"like": [spot.as_row() for spot in self.like]} if self.like else {})


def query(
    project: LearningProject,
    wish: QueryWish,
    tools: Tools,
    cancel: CancelToken | None = None,
) -> Generator[Progress, None, RoundFolder]:
    """Begin a round: choose regions, seal the choice, and lay them out to be annotated.

    A round whose query is sealed already is gone on with: what is lacking of its files in ``work``
    is made, and what lies there is left alone.

    Raises
    ------
    LearningError
        A round is in work, or nothing is left to choose.
    ImageError, ModelError, WriteError, Cancelled
    """
    cancel = cancel or CancelToken()
    with project.editing():
        found = project.open_round
        if found is None:
            found = project.round(len(project.rounds) + 1)
            content = yield from _choose(project, found.number, wish, tools, cancel)
            found.seal_query(content)
            project.log(f"round {found.number}: chose {len(content['regions'])} regions")
        elif found.stage != Stage.QUERIED:
            raise LearningError(
                f"Round {found.number} is {found.state}; next is: {found.next_step}. "
                "A new round begins when this one is decided."
            )
        else:
            _check_same(found, wish, tools)
        yield from write_work(project, found, tools, cancel)
    return found


def round_seed(project: LearningProject, number: int) -> int:
    """Seed of a round, from the project's."""
    state = np.random.SeedSequence([project.facts.seed, number]).generate_state(1)
    return int(state[0])


def _check_same(found: RoundFolder, wish: QueryWish, tools: Tools) -> None:
    there = found.query["asked"]
    given = {k: v for k, v in wish.asked().items() if v not in (None, "auto")}
    other = [f"{k}: then {there.get(k)}, now {v}" for k, v in given.items() if there.get(k) != v]
    then, now = found.query.get("encoder", {}), tools.encoder
    if now and then.get("sha256") != now["sha256"]:
        other.append(f"encoder: then {then.get('name', 'the model itself')}, now {now['name']}")
    if other:
        raise LearningError(
            f"Round {found.number} was chosen otherwise ({'; '.join(other)}) and waits to be "
            "annotated. Annotate and collect it first."
        )


def _choose(
    project: LearningProject, number: int, wish: QueryWish, tools: Tools, cancel: CancelToken
) -> Generator[Progress, None, dict[str, Any]]:
    settings = project.facts.settings
    seed = round_seed(project, number) if wish.seed is None else wish.seed
    n = settings.regions if wish.n is None else wish.n
    lacking = wish.n_validation
    if lacking is None:
        lacking = max(0, settings.validation_regions - _n_validation(project))
    check_spots(project, wish.way, wish.like)
    named = None if wish.way == ALIKE else tools.strategy(wish.way)
    model = tools.load_model(project.looks_with)
    pool = yield from _pool(project, "train", tools, (model, seed, cancel))
    strategy = named or alike(pool, wish.like)
    picked = strategy.select(pool, n, np.random.default_rng([seed, 0]))
    if not len(picked):
        raise LearningError(
            "Nothing is left to choose: every region of the training images was looked at, or "
            "they show no tissue. Add images in a new project."
        )
    judged = Selection((), (), ())
    if lacking and project.facts.of_split("validation"):
        others = yield from _pool(project, "validation", tools, (model, seed, cancel))
        groups = {image.id: image.group for image in project.facts.images}
        judged = _spread(others, lacking, groups, np.random.default_rng([seed, 1]))
    chosen: list[tuple[Split, Selection]] = [("train", picked), ("validation", judged)]
    before = project.rounds
    return {
        "after": before[-1].last_seal if before else None,
        "asked": {**wish.asked(), "n": n, "n_validation": lacking, "seed": seed},
        "candidates": len(pool),
        **({"encoder": dict(tools.encoder)} if tools.encoder else {}),
        "model": project.model_facts(),
        "region_px": settings.region_px,
        "regions": _rows(project, number, seed, chosen),
    }


def _rows(
    project: LearningProject, number: int, seed: int, chosen: Sequence[tuple[Split, Selection]]
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for split, selection in chosen:
        parts = zip(selection.candidates, selection.scores, selection.reasons, strict=True)
        for candidate, score, reason in parts:
            box = candidate.region
            place = f"{project.facts.name}/{seed}/{number}/{candidate.image}/{box}"
            rows.append(
                {
                    "id": str(uuid5(NAMESPACE_OID, place)),
                    "image": candidate.image,
                    "box": [box.x, box.y, box.width, box.height],
                    "split": split,
                    "rank": len(rows) + 1,
                    # Networks agree between machines to some 5 figures.
                    "score": round(float(score), 4),
                    "reason": reason,
                }
            )
    return rows


def _n_validation(project: LearningProject) -> int:
    rows = [row for r in project.kept_rounds for row in r.label_rows]
    labelled = sum(1 for row in rows if row["split"] == "validation")
    return labelled + len(project.start_labels("validation"))


# -- candidates ----------------------------------------------------------------------------------


def _pool(
    project: LearningProject, split: Split, tools: Tools, how: tuple[Any, int, CancelToken]
) -> Generator[Progress, None, Pool]:
    """Candidates of one split; what was looked at already is apart, in ``seen``."""
    model, seed, cancel = how
    with ExitStack() as stack:
        readers = {
            image.id: stack.enter_context(project.open_image(image))
            for image in project.facts.of_split(split)
        }
        region_px = project.facts.settings.region_px
        pool = yield from tools.score(readers, model, region_px, seed, cancel)
    return _without_seen(pool, looked_at(project))


def looked_at(project: LearningProject) -> dict[str, list[Box]]:
    """Regions that somebody was asked for or that are labelled, by image."""
    found: dict[str, list[Box]] = {}
    for kept in project.start_labels():
        found.setdefault(kept.labels.image, []).append(kept.labels.region)
    for number in project.kept_rounds:
        for row in [*number.query["regions"], *number.label_rows]:
            found.setdefault(row["image"], []).append(Box(*row["box"]))
    return found


def _without_seen(pool: Pool, seen: Mapping[str, Sequence[Box]]) -> Pool:
    is_seen = np.array([_is_seen(c, seen.get(c.image, ())) for c in pool.candidates], bool)
    if not is_seen.any():
        return pool
    rows, known = np.flatnonzero(~is_seen), np.flatnonzero(is_seen)
    return replace(
        pool,
        candidates=tuple(pool.candidates[i] for i in rows),
        features=pool.features[rows],
        signals={name: values[rows] for name, values in pool.signals.items()},
        class_counts=_of_rows(pool.class_counts, rows),
        views=_of_rows(pool.views, rows),
        seen=pool.features[known],
        seen_candidates=tuple(pool.candidates[i] for i in known),
    )


def _is_seen(candidate: Candidate, boxes: Sequence[Box]) -> bool:
    region = candidate.region
    return any(region.intersect(box).area > _OVERLAP * region.area for box in boxes)


def _of_rows(values: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    return values[rows] if len(values) else values


def _spread(pool: Pool, n: int, groups: Mapping[str, str], rng: np.random.Generator) -> Selection:
    """Random candidates, from each group in turn, that judge every patient alike.

    Chance alone: what a model finds hard or easy would flatter one model or another.
    """
    waiting: dict[str, list[Candidate]] = {}
    for row in rng.permutation(len(pool)):
        candidate = pool.candidates[row]
        waiting.setdefault(groups[candidate.image], []).append(candidate)
    taken: list[Candidate] = []
    while waiting and len(taken) < n:
        for group in sorted(waiting):
            if len(taken) < n:
                taken.append(waiting[group].pop(0))
            if not waiting[group]:
                del waiting[group]
    return Selection(tuple(taken), (0.0,) * len(taken), (_VALIDATION,) * len(taken))
