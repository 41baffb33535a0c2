"""Networks of Cellpose, as rounds know them. Light: networks are imported late."""

from __future__ import annotations

from napari_histo.learning.cellpose.params import CELLPOSE_FAMILY
from napari_histo.learning.course.family import Family, Training, evaluate_objects, load_finder

__all__ = ["CELLPOSE"]


def _training(parent: str) -> Training:
    """Cellpose-SAM has another trainer than the networks before it."""
    from napari_histo.learning.cellpose.preflight import preflight_of
    from napari_histo.learning.cellpose.training import trainer_of

    return trainer_of(parent), preflight_of(parent)


#: Cellpose finds cells: they teach and judge whole.
CELLPOSE = Family((CELLPOSE_FAMILY,), load_finder, _training, evaluate_objects, by_nuclei=False)
