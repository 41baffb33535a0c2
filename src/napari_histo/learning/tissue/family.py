"""Models that tell tissues apart, as rounds know them. Light: networks are imported late."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from napari_histo.core import Box, CancelToken, ObjectTable, SlideReader
from napari_histo.core.regions import RegionSegmenter
from napari_histo.learning.course.family import Family, Training
from napari_histo.learning.tissue.params import REGION_FAMILY
from napari_histo.learning.training import Example

if TYPE_CHECKING:
    from napari_histo.learning.tissue.evaluation import AreaScore

__all__ = ["REGIONS"]


def _load(name: str, device: str) -> RegionSegmenter:
    from napari_histo.models.registry import load_region_model

    return load_region_model(name, device=device)


def _training(_parent: str) -> Training:
    from napari_histo.learning.tissue.preflight import preflight
    from napari_histo.learning.tissue.tuning import tune_regions

    return tune_regions, preflight


def _evaluate(
    model: RegionSegmenter, examples: Sequence[Example], cancel: CancelToken
) -> Iterable[AreaScore]:
    from napari_histo.learning.tissue.evaluation import evaluate_areas

    return evaluate_areas(model, examples, cancel=cancel)


def _predict(reader: SlideReader, model: RegionSegmenter, box: Box, seed: int) -> ObjectTable:
    from napari_histo.learning.tissue.predicting import predict_areas

    return predict_areas(reader, model, box, seed)


#: Areas have no nuclei to stand by.
REGIONS = Family((REGION_FAMILY,), _load, _training, _evaluate, _predict, by_nuclei=False)
