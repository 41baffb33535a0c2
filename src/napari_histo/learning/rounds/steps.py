"""The later steps of a round: collect, train, evaluate. Each seals its stage; each can be repeated.

A step whose stage is sealed already does nothing and gives back the round, so that a script which
was killed may simply run again.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_histo.core import CancelToken, Progress
from napari_histo.errors import LearningError
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.rounds.decision import decision_words, gate_words, region_row
from napari_histo.learning.rounds.examples import OpenExamples
from napari_histo.learning.rounds.folder import RoundFolder, Stage
from napari_histo.learning.rounds.harvest import Harvest, skipped_in
from napari_histo.learning.rounds.promotion import Counts, Gate
from napari_histo.learning.rounds.query import round_seed
from napari_histo.learning.rounds.several import Merging
from napari_histo.learning.rounds.tools import Tools, TrainJob
from napari_histo.learning.rounds.work import Gathered, gather_work, waiting
from napari_histo.learning.tissue.collecting import check_areas
from napari_histo.learning.training import TrainingStep

__all__ = ["TrainWish", "abandon", "collect", "evaluate", "train"]


@dataclass(frozen=True)
class TrainWish:
    """How to train.

    Attributes
    ----------
    settings : mapping
        Of `StarDistTraining`, those that are not its defaults.
    seed : int or None
        By default the round's.
    replay : bool
        Whether earlier rounds teach too.
    anew : bool
        Begin again where a training was stopped, instead of going on.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    replay: bool = True
    anew: bool = False


def collect(
    project: LearningProject,
    elsewhere: Sequence[Gathered] = (),
    *,
    partial: bool = False,
    annotator: str = "",
    merging: Merging = "majority",
    open_here: Collection[Path] = (),
) -> RoundFolder:
    """Seal what was annotated in the round in work.

    Parameters
    ----------
    project : LearningProject
    elsewhere : sequence of Gathered
        What lies in other places than the project's folder: a QuPath project, somebody's copy.
    partial : bool
        Go on though some regions still wait; they are not asked for again.
    annotator : str
        Of regions that do not say who annotated them.
    merging : {"majority", "staple", "first"}
        How a region that several people did becomes one; each one's labels are kept beside it.
        "first" takes the project's folder, then the other places in their order.
    open_here : collection of Path
        Files of work that whoever asks has open, and has saved as they are to be collected.

    Raises
    ------
    LearningError
        No round is in work, regions still wait, or no training region is done.
    ObjectsFileError, WriteError
    """
    with project.editing():
        found = _in_work(project, Stage.QUERIED)
        if found.stage > Stage.QUERIED:
            return found
        asked = found.query["regions"]
        folder = project.work_path(found.number)
        places = [gather_work(project, folder, "napari", open_here), *elsewhere]
        where = " or ".join([str(folder), *(place.name for place in elsewhere if place.name)])
        left = waiting(asked, places)
        if left and not partial:
            raise LearningError(
                f"{len(left)} of {len(asked)} regions still wait to be annotated in {where}. Give "
                "each the class 'Region: done' (or 'Region: skipped'), or go on without them with "
                "--partial."
            )
        harvest = Harvest(project, found.number, annotator=annotator, merging=merging)
        for place in places:
            harvest.take(place)
        done = harvest.settle()
        teaching = [kept for kept in done if kept.split == "train"]
        if not teaching:
            raise LearningError(
                f"No region of a training image is done in {where}. "
                "Annotate at least one and give it the class 'Region: done'."
            )
        if project.facts.start.of_areas:
            harvest.remarks += check_areas([kept.labels for kept in teaching], where)
        about = {"waiting": left, "skipped": skipped_in(places), "remarks": harvest.remarks}
        found.seal_labels(done, about | {"origins": dict(harvest.origins)})
        project.log(f"round {found.number}: collected {len(done)} regions")
    return found


def train(
    project: LearningProject,
    wish: TrainWish,
    tools: Tools,
    cancel: CancelToken | None = None,
) -> Generator[Progress, None, RoundFolder]:
    """Train the round's model, from the model in use; stopped, it goes on where it was.

    Raises
    ------
    LearningError
        No round is in work, or it has no labels yet.
    ImageError, ModelError, ObjectsFileError, WriteError, Cancelled
    """
    with project.editing(), ExitStack() as stack:
        found = _in_work(project, Stage.LABELLED)
        if found.stage > Stage.LABELLED:
            return found
        if wish.anew:
            shutil.rmtree(_stopped(found.model_path), ignore_errors=True)
        earlier = project.earlier_labels(found.number) if wish.replay else []
        examples = OpenExamples(project, stack)
        number, seed = project.current, wish.seed
        job = TrainJob(
            parent=project.model(number),
            regions=examples.of(found.labels("train")),
            replay=examples.of(earlier),
            folder=found.model_path,
            name=f"{project.facts.name}-{found.number:04d}",
            seed=round_seed(project, found.number) if seed is None else seed,
            settings=wish.settings,
            about={"project": project.facts.name, "round": found.number},
        )
        cancel = cancel or CancelToken()
        yield from _told_ahead(job, tools, cancel)
        went = yield from tools.train(job, cancel)
        found.seal_training(
            {
                **went,
                "seed": job.seed,
                "parent": project.model_facts(number),
                "regions": [kept.region_id for kept in found.labels("train")],
                "replayed": [kept.region_id for kept in earlier],
            }
        )
        project.log(f"round {found.number}: trained")
    return found


def _stopped(model: Path) -> Path:
    """Where a training that was stopped keeps what it needs to go on."""
    return model.with_name(f"{model.name}.training")


def _told_ahead(
    job: TrainJob, tools: Tools, cancel: CancelToken
) -> Generator[Progress, None, None]:
    """What the training will take, in a step; one that goes on soon says what is left."""
    if _stopped(job.folder).exists():
        return
    yield Progress(0, 0, "Measuring how long it will take")
    ahead = tools.preflight(job, cancel)
    if ahead is not None:
        yield TrainingStep(0, 0, str(ahead), ahead=ahead)


def evaluate(
    project: LearningProject,
    tools: Tools,
    cancel: CancelToken | None = None,
    *,
    force: bool = False,
) -> Generator[Progress, None, RoundFolder]:
    """Hold the round's model against its parent on the validation regions, and decide.

    Parameters
    ----------
    project, tools, cancel
    force : bool
        Promote the model whatever comes out.

    Raises
    ------
    LearningError
        No round is in work, or it has no model yet.
    ImageError, ModelError, Cancelled
    """
    with project.editing():
        found = _in_work(project, Stage.TRAINED)
        if found.stage == Stage.TRAINED:
            content = yield from _evaluation(project, found, tools, cancel or CancelToken())
            found.seal_evaluation(content)
        if found.stage == Stage.EVALUATED:
            decision = decision_words(found.evaluation, force=force)
            found.seal_decision(decision)
            project.log(f"round {found.number}: {decision['sentence']}")
    return found


def abandon(project: LearningProject, reason: str = "") -> RoundFolder:
    """Give up the round in work: its files stay, its labels teach and judge no more.

    Its regions may be asked for again.

    Raises
    ------
    LearningError
        No round is in work.
    """
    with project.editing():
        found = project.open_round
        if found is None:
            raise LearningError("No round is in work, so there is none to give up.")
        found.abandon(reason)
        project.log(f"round {found.number}: given up: {reason or 'no reason given'}")
    return found


def _in_work(project: LearningProject, least: Stage) -> RoundFolder:
    """The last round, which must have come as far as `least`."""
    rounds = project.rounds
    if not rounds or rounds[-1].is_abandoned:
        raise LearningError(
            "No round is in work. Choose regions to annotate first: napari-histo learn query."
        )
    if rounds[-1].stage < least:
        raise LearningError(
            f"Round {rounds[-1].number} is {rounds[-1].state}; next is: {rounds[-1].next_step}."
        )
    return rounds[-1]


# -- evaluating ----------------------------------------------------------------------------------


def _evaluation(
    project: LearningProject, found: RoundFolder, tools: Tools, cancel: CancelToken
) -> Generator[Progress, None, dict[str, Any]]:
    kept = sorted(project.validation_labels(), key=lambda k: k.region_id)
    training = found.training
    parent = int(training["parent"]["round"])
    models = {"new": project.model(found.number), "parent": project.model(parent)}
    counts: dict[str, list[Counts]] = {}
    areas: list[int | None] = []
    with ExitStack() as stack:
        examples = OpenExamples(project, stack).of(kept)
        for which, name in models.items():
            counts[which] = []
            if not examples:
                continue
            areas = []
            for score in tools.evaluate(tools.load_model(name), examples, cancel):
                areas.append(getattr(score, "n_areas", None))
                counts[which].append(Counts(score.tp, score.fp, score.fn, score.iou_sum))
                done = sum(map(len, counts.values()))
                what = "the new model" if which == "new" else "the model in use"
                yield Progress(done, 2 * len(examples), f"Judging {what}")
    rows = [
        region_row(
            k.region_id,
            k.labels.image,
            project.facts.image(k.labels.image).group,
            {which: found[i] for which, found in counts.items()},
            areas[i],
        )
        for i, k in enumerate(kept)
    ]
    gate = project.facts.settings.gate
    return {
        "regions": rows,
        "new": project.model_facts(found.number),
        "parent": training["parent"],
        "gate": gate_words(
            Gate(
                gate.margin_pq,
                gate.draws,
                round_seed(project, found.number),
                gate.confidence,
                measure=project.facts.start.measure,
                doubts_labels=not training.get("from_scratch", False),
            )
        ),
    }
