"""Which trainer and which judge goes with which family of models."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from napari_histo.core import CancelToken, Progress, PromptSegmenter, Segmenter
from napari_histo.core.regions import RegionSegmenter
from napari_histo.errors import ModelError
from napari_histo.learning.cellpose.params import CELLPOSE_FAMILY
from napari_histo.learning.click.params import CLICK_FAMILY, ClickTraining
from napari_histo.learning.course.params import CourseParams
from napari_histo.learning.tissue.params import REGION_FAMILY, RegionTuning
from napari_histo.learning.training import Example, Preflight, StarDistTraining, Trainer

if TYPE_CHECKING:
    from napari_histo.learning.rounds.tools import Score, TrainJob

__all__ = [
    "ahead_of_job",
    "composes",
    "evaluate_regions",
    "load_any",
    "train_job",
    "training_settings",
]

#: Of fewer steps, measuring how long they take would take a good part of the time itself.
_LEAST_STEPS = 40
#: Settings of a training that do not change what comes out, beyond rounding.
_MACHINE = ("device", "precision", "workers", "name", "seed")
AnyModel = Segmenter | PromptSegmenter | RegionSegmenter


def load_any(name: str, device: str) -> AnyModel:
    """A model by name or folder: one that finds objects, answers clicks, or tells tissues apart."""
    from napari_histo.models import registry

    family = registry.get_info(name).family
    if family == CLICK_FAMILY:
        return registry.load_prompt_model(name, device=device)
    if family == REGION_FAMILY:
        return registry.load_region_model(name, device=device)
    return registry.load_model(name, device=device)


@dataclass(frozen=True)
class _Plan:
    """A trainer with its words."""

    trainer: Trainer
    params: CourseParams
    parent: Any
    family: str
    from_scratch: bool = False
    #: Says beforehand what it takes, in the words of `CoursePreflight`; None where nobody can tell.
    preflight: Callable[..., Preflight] | None = None


def train_job(
    job: TrainJob, device: str, cancel: CancelToken
) -> Generator[Progress, None, dict[str, Any]]:
    """Train as the parent's family is trained; see `Tools.train`."""
    plan = _plan(job, device)
    done = yield from plan.trainer(
        plan.parent,
        _outlined_for(plan.family, job.regions),
        _outlined_for(plan.family, job.replay),
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
    if plan.preflight is None or plan.params.steps < _LEAST_STEPS:
        return None
    new, old = (_outlined_for(plan.family, some) for some in (job.regions, job.replay))
    return plan.preflight(plan.parent, new, old, plan.params, cancel)


def evaluate_regions(
    model: AnyModel, examples: Sequence[Example], cancel: CancelToken
) -> Iterable[Score]:
    """Objects found by themselves, answers to a click on each, or the tissue of each pixel."""
    from napari_histo.learning.click.evaluation import evaluate_clicks
    from napari_histo.learning.course.evaluation import evaluate_model
    from napari_histo.learning.tissue.evaluation import evaluate_areas

    if model.info.family == REGION_FAMILY:
        return evaluate_areas(cast("RegionSegmenter", model), examples, cancel=cancel)
    examples = _outlined_for(model.info.family, examples)
    if model.info.family == CLICK_FAMILY:
        return evaluate_clicks(cast("PromptSegmenter", model), examples, cancel=cancel)
    return evaluate_model(cast("Segmenter", model), examples, cancel=cancel)


def composes(model: str) -> bool:
    """Whether training from a model, by name or folder, can add artificial patches.

    False where it cannot be read, for then it cannot be trained either.
    """
    from napari_histo.models.registry import get_info

    try:
        family = get_info(model).family
    except ModelError:
        return False
    return family not in (CLICK_FAMILY, CELLPOSE_FAMILY, REGION_FAMILY)


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

    words = {**job.settings, "name": job.name, "seed": job.seed, "device": device}
    family = get_info(job.parent).family
    if family == CLICK_FAMILY:
        from napari_histo.learning.click.preflight import preflight as click_preflight
        from napari_histo.learning.click.training import train_click

        params = ClickTraining(**_known(words, ClickTraining))
        return _Plan(train_click, params, job.parent, family, preflight=click_preflight)
    if family == CELLPOSE_FAMILY:
        from napari_histo.learning.cellpose.preflight import preflight_of
        from napari_histo.learning.cellpose.training import trainer_of

        trainer, ahead = trainer_of(str(job.parent)), preflight_of(str(job.parent))
        own = trainer.params(**_known(words, trainer.params))
        return _Plan(trainer, own, job.parent, family, preflight=ahead)
    if family == REGION_FAMILY:
        from napari_histo.learning.tissue.preflight import preflight as region_preflight
        from napari_histo.learning.tissue.tuning import tune_regions

        tuning = RegionTuning(**_known(words, RegionTuning))
        return _Plan(tune_regions, tuning, job.parent, family, preflight=region_preflight)
    from napari_histo.learning.stardist.preflight import preflight
    from napari_histo.learning.stardist.start import small_config
    from napari_histo.learning.stardist.training import train_stardist

    is_stardist = Path(job.parent).is_dir() or family == "stardist"
    # A model without weights, such as the classical one, has nothing to go on from.
    channels = 3 if job.regions[0].reader.info.is_rgb else 1
    parent = job.parent if is_stardist else small_config(channels)
    settings = StarDistTraining(**words)
    return _Plan(train_stardist, settings, parent, family, not is_stardist, preflight)


def _outlined_for(family: str, examples: Sequence[Example]) -> list[Example]:
    """Cells whole for Cellpose, which finds cells; for other models, of nuclei, their nuclei."""
    return [e if family == CELLPOSE_FAMILY else e.by_nuclei() for e in examples]


def _known(words: Mapping[str, Any], params: type[CourseParams]) -> dict[str, Any]:
    names = {f.name for f in fields(params)}
    return {k: v for k, v in words.items() if k in names}
