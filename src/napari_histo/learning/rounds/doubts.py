"""Labels of a project that are likely wrong."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack

from napari_histo.core import CancelToken, Progress
from napari_histo.core.segmenters import Describer
from napari_histo.errors import LearningError
from napari_histo.learning.labels.quality import Suspect, rank_labels
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.rounds.examples import OpenExamples

__all__ = ["labels_in_doubt"]


def labels_in_doubt(
    project: LearningProject, device: str = "auto", cancel: CancelToken | None = None
) -> Generator[Progress, None, list[Suspect]]:
    """All labelled regions, the most suspicious first, by what the others and the model teach.

    Raises
    ------
    LearningError
        There are too few regions, or the model in use does not show what it sees.
    """
    from napari_histo.models import load_model

    if project.facts.start.of_areas:
        raise LearningError(
            "Labels of areas cannot be held against each other yet; those of objects can. Compare "
            "two models in the Active learning panel instead."
        )
    model = load_model(project.model(project.current), device=device)
    if not isinstance(model, Describer):
        raise LearningError(
            f"The model {model.info.name!r} does not show what it sees, so labels cannot be held "
            "against each other. Train a round first, or begin a project with a StarDist model."
        )
    kept = [*project.earlier_labels(len(project.rounds) + 1), *project.validation_labels()]
    with ExitStack() as stack:
        examples = OpenExamples(project, stack).of(kept)
        return (yield from rank_labels(examples, model, cancel=cancel))
