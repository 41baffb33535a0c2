"""From a network that has learned to a model's folder: thresholds, card, files."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from napari_histo.core import Thresholds
from napari_histo.learning.course.sheets import nuclei_of
from napari_histo.learning.stardist.evaluation import Exam, best_thresholds
from napari_histo.learning.stardist.start import Start
from napari_histo.learning.training import Example, StarDistTraining
from napari_histo.models._model_folder import SHIPPED_WEIGHTS
from napari_histo.models._stardist import StarDistSegmenter
from napari_histo.models._stardist_files import save_shipped
from napari_histo.models._stardist_net import StarDistNet
from napari_histo.ops.metrics import Agreement
from napari_histo.store import atomic_path

__all__ = [
    "as_saved",
    "choose_thresholds",
    "data_facts",
    "described",
    "fingerprint",
    "metrics_rows",
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
    """Write what `load_model` reads, whole or not at all; gives the card.

    The same training gives the same bytes: no time, no machine in them.
    """
    info = start.info
    card = {
        "name": info.name,
        "family": info.family,
        "pixel_size_um": info.pixel_size_um,
        "pixel_size_nominal": info.pixel_size_nominal,
        "channels": info.channels,
        "licence": info.licence,
        "classes": list(info.classes.names),
        "source": "trained by napari-histo",
        "description": info.description,
        "percentiles": list(start.percentiles),
        "thresholds": asdict(thresholds),
        **about,
    }
    with atomic_path(folder, folder=True) as work:
        save_shipped(work, net, thresholds)
        card["sha256"] = hashlib.sha256((work / SHIPPED_WEIGHTS).read_bytes()).hexdigest()
        text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
        (work / "card.json").write_text(text, encoding="utf-8")
    return card


def described(start: Start, params: StarDistTraining, examples: Sequence[Example]) -> Start:
    """The start under the new model's name and description."""
    images = {e.labels.image for e in examples}
    objects = sum(len(nuclei_of(e.labels.objects)) for e in examples)
    origin = f", from {start.parent}" if start.parent else ""
    text = f"Learned from {objects} objects in {len(images)} image(s){origin}."
    return replace(start, info=replace(start.info, name=params.name, description=text))


def data_facts(name: str, examples: Sequence[Example]) -> dict[str, Any]:
    """What a card says of labelled regions."""
    return {
        "name": name,
        "images": len({e.labels.image for e in examples}),
        "regions": len(examples),
        "objects": sum(len(nuclei_of(e.labels.objects)) for e in examples),
        "sha256": fingerprint(examples),
    }


def fingerprint(examples: Sequence[Example]) -> str:
    """SHA-256 of the labels: the same ones give the same, in the same order."""
    digest = hashlib.sha256()
    for example in examples:
        labels = example.labels
        digest.update(repr((labels.image, labels.region, example.pixel_size)).encode())
        table = nuclei_of(labels.objects)
        digest.update(repr(table.class_names.tolist()).encode())
        for contours in (table.contours, labels.ignored):
            for name in ("xy", "ring_offsets", "part_offsets", "object_offsets"):
                digest.update(getattr(contours, name).tobytes())
    return digest.hexdigest()


def metrics_rows(agreement: Agreement, n_regions: int) -> list[dict[str, Any]]:
    """What a card says of how well the model does."""
    if not agreement.n_truth and not agreement.n_pred:
        return []
    names = ("f1", "pq", "precision", "recall", "sq", "aji")
    row = {"data": "regions that judged", "regions": n_regions, "nuclei": agreement.n_truth}
    values = {n: getattr(agreement, n) for n in names}
    return [row | {k: None if math.isnan(v) else round(v, 4) for k, v in values.items()}]
