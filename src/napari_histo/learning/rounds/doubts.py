"""Labels of a project that are likely wrong."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack
from typing import Protocol

from napari_histo.core import CancelToken, Progress
from napari_histo.core.learning import LabelledRegion
from napari_histo.core.segmenters import Describer
from napari_histo.errors import LearningError
from napari_histo.learning.labels.quality import rank_labels
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.rounds.examples import OpenExamples
from napari_histo.learning.tissue.doubting import rank_areas

__all__ = ["Doubt", "labels_in_doubt"]


class Doubt(Protocol):
    """A labelled region that may be wrong."""

    @property
    def labels(self) -> LabelledRegion:
        """The region, as it was collected."""
        ...

    @property
    def score(self) -> float:
        """The more, the more suspicious."""
        ...

    @property
    def reason(self) -> str:
        """For people."""
        ...


def labels_in_doubt(
    project: LearningProject, device: str = "auto", cancel: CancelToken | None = None
) -> Generator[Progress, None, Sequence[Doubt]]:
    """All labelled regions, the most suspicious first.

    Regions of objects are held against what the others and the model teach, painted areas against
    the model's answer alone.

    Raises
    ------
    LearningError
        There are too few regions, none is painted, or the model in use does not show what it sees.
    """
    from napari_histo.models import load_model, load_region_model

    kept = [*project.earlier_labels(len(project.rounds) + 1), *project.validation_labels()]
    name = project.model(project.current)
    with ExitStack() as stack:
        examples = OpenExamples(project, stack).of(kept)
        if project.facts.start.of_areas:
            areas = load_region_model(name, device=device)
            found = yield from rank_areas(examples, areas, cancel)
            if not found:
                raise LearningError(
                    "Nothing was painted yet, so there is nothing to doubt. Paint the regions of a "
                    "round and collect them first: napari-histo learn collect."
                )
            return found
        model = load_model(name, device=device)
        if not isinstance(model, Describer):
            raise LearningError(
                f"The model {model.info.name!r} does not show what it sees, so labels cannot be "
                "held against each other. Train a round first, or begin a project with a StarDist "
                "model."
            )
        return (yield from rank_labels(examples, model, cancel=cancel))
