"""From a network that has learned to a model's folder: thresholds, card, files."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from napari_histo.core import Thresholds
from napari_histo.learning.course.card import info_words, learned_from, write_model
from napari_histo.learning.course.evaluation import Exam, best_thresholds
from napari_histo.learning.stardist.start import Start
from napari_histo.learning.training import Example, StarDistTraining
from napari_histo.models.shelf.folder import SHIPPED_WEIGHTS
from napari_histo.models.stardist.files import save_shipped
from napari_histo.models.stardist.net import StarDistNet
from napari_histo.models.stardist.segmenter import StarDistSegmenter
from napari_histo.ops.metrics import Agreement

__all__ = [
    "as_saved",
    "choose_thresholds",
    "described",
    "save_model",
]

_PROBS = tuple(p / 100 for p in range(25, 81, 5))
_OVERLAPS = (0.2, 0.4, 0.5)
#: With fewer objects to judge by, thresholds would fit their noise.
_LEAST_OBJECTS = 20


def as_saved(net: StarDistNet) -> StarDistNet:
    """A copy rounded to the half precision that files have."""
    net = copy.deepcopy(net).cpu().eval()
    with torch.no_grad():
        for value in net.state_dict().values():
            if value.is_floating_point():
                value.copy_(value.half().float())
    return net


def choose_thresholds(
    model: StarDistSegmenter, exams: Sequence[Exam], default: Thresholds
) -> tuple[Thresholds, Agreement]:
    """The best on the regions that judge; the default where they hold too few objects."""
    if not exams:
        return default, Agreement()
    best, found = best_thresholds(exams, model, _PROBS, _OVERLAPS)
    if found.n_truth >= _LEAST_OBJECTS:
        return best, found
    return default, best_thresholds(exams, model, [default.prob], middle=default.nms)[1]


def save_model(
    folder: Path,
    net: StarDistNet,
    start: Start,
    thresholds: Thresholds,
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """Write what `load_model` reads, whole or not at all; gives the card."""
    card = {
        **info_words(start.info),
        "percentiles": list(start.percentiles),
        "thresholds": asdict(thresholds),
        **about,
    }
    return write_model(
        folder, card, SHIPPED_WEIGHTS, lambda work: save_shipped(work, net, thresholds)
    )


def described(start: Start, params: StarDistTraining, examples: Sequence[Example]) -> Start:
    """The start under the new model's name and description."""
    text = learned_from(examples, start.parent)
    return replace(start, info=replace(start.info, name=params.name, description=text))
