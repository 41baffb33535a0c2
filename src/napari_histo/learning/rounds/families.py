"""Which trainer and which judge goes with which family of models."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from napari_histo.core import CancelToken, Progress
from napari_histo.errors import ModelError
from napari_histo.learning.cellpose.family import CELLPOSE
from napari_histo.learning.click.family import CLICKS
from napari_histo.learning.course.family import AnyModel, Family
from napari_histo.learning.course.params import CourseParams
from napari_histo.learning.stardist.family import STARDIST
from napari_histo.learning.tissue.family import REGIONS
from napari_histo.learning.training import Example, Preflight, StarDistTraining, Trainer

if TYPE_CHECKING:
    from napari_histo.learning.rounds.tools import Score, TrainJob

__all__ = [
    "FAMILIES",
    "ahead_of_job",
    "composes",
    "evaluate_regions",
    "family_of",
    "load_any",
    "train_job",
    "training_settings",
]

#: Of fewer steps, measuring how long they take would take a good part of the time itself.
_LEAST_STEPS = 40
#: Settings of a training that do not change what comes out, beyond rounding.
_MACHINE = ("device", "precision", "workers", "name", "seed")
#: By the family on a model's card. A new family needs a record of its own (see `Family`), here.
FAMILIES = {name: one for one in (STARDIST, CELLPOSE, CLICKS, REGIONS) for name in one.names}


def family_of(name: str) -> Family:
    """What a model is, by the family on its card; other models find objects, as StarDist does."""
    return FAMILIES.get(name, STARDIST)


def load_any(name: str, device: str) -> AnyModel:
    """A model by name or folder: one that finds objects, answers clicks, or tells tissues apart."""
    from napari_histo.models.registry import get_info

    return family_of(get_info(name).family).load(name, device)


@dataclass(frozen=True)
class _Plan:
    """A trainer with its words."""

    trainer: Trainer
    params: CourseParams
    parent: Any
    family: Family
    from_scratch: bool
    #: Says beforehand what it takes, in the words of `CoursePreflight`.
    preflight: Callable[..., Preflight]


def train_job(
    job: TrainJob, device: str, cancel: CancelToken
) -> Generator[Progress, None, dict[str, Any]]:
    """Train as the parent's family is trained; see `Tools.train`."""
    plan = _plan(job, device)
    done = yield from plan.trainer(
        plan.parent,
        plan.family.outlined(job.regions),
        plan.family.outlined(job.replay),
        job.folder,
        plan.params,
        cancel,
        about=job.about,
        resume=True,
    )
    return {
        "settings": {k: v for k, v in asdict(plan.params).items() if k not in _MACHINE},
        "curve": [asdict(point) for point in done.curve],
        "best_step": done.best_step,
        "judged": done.agreement.as_dict(),
        "from_scratch": plan.from_scratch,
    }


def ahead_of_job(job: TrainJob, device: str, cancel: CancelToken) -> Preflight | None:
    """What a training will take; see `Tools.preflight`."""
    plan = _plan(job, device)
    if plan.params.steps < _LEAST_STEPS:
        return None
    new, old = (plan.family.outlined(some) for some in (job.regions, job.replay))
    return plan.preflight(plan.parent, new, old, plan.params, cancel)


def evaluate_regions(
    model: AnyModel, examples: Sequence[Example], cancel: CancelToken
) -> Iterable[Score]:
    """Objects found by themselves, answers to a click on each, or the tissue of each pixel."""
    family = family_of(model.info.family)
    return family.evaluate(model, family.outlined(examples), cancel)


def composes(model: str) -> bool:
    """Whether training from a model, by name or folder, can add artificial patches.

    False where it cannot be read, for then it cannot be trained either.
    """
    from napari_histo.models.registry import get_info

    try:
        family = get_info(model).family
    except ModelError:
        return False
    return family_of(family).composes


def training_settings(**given: Any) -> dict[str, Any]:
    """Settings of a training that were given; raises ValueError for one that cannot be.

    Those of `StarDistTraining`; models of other families take those that they have too.
    """
    known = {f.name for f in fields(StarDistTraining)} - set(_MACHINE)
    settings = {k: v for k, v in given.items() if v is not None and k in known}
    StarDistTraining(**settings)
    return settings


def _plan(job: TrainJob, device: str) -> _Plan:
    from napari_histo.models.registry import get_info

    family = family_of(get_info(job.parent).family)
    trainer, preflight = family.training(str(job.parent))
    words = {**job.settings, "name": job.name, "seed": job.seed, "device": device}
    known = {f.name for f in fields(trainer.params)}
    params = trainer.params(**{k: v for k, v in words.items() if k in known})
    parent = family.start(job.parent, job.regions)
    return _Plan(trainer, params, parent, family, parent is not job.parent, preflight)
