"""What a trained model's folder says of where it comes from."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari_histo.core import ModelInfo
from napari_histo.learning.course.sheets import nuclei_of
from napari_histo.learning.training import Example
from napari_histo.models.shelf.folder import beside_model
from napari_histo.ops.metrics import Agreement
from napari_histo.store import atomic_path

__all__ = [
    "data_facts",
    "fingerprint",
    "info_words",
    "learned_from",
    "metrics_rows",
    "write_model",
]


def info_words(info: ModelInfo) -> dict[str, Any]:
    """A card's words for what a model is."""
    return {
        "name": info.name,
        "family": info.family,
        "pixel_size_um": info.pixel_size_um,
        "pixel_size_nominal": info.pixel_size_nominal,
        "channels": info.channels,
        "licence": info.licence,
        "classes": list(info.classes.names),
        "source": "trained by napari-histo",
        "description": info.description,
    }


def data_facts(name: str, examples: Sequence[Example]) -> dict[str, Any]:
    """What a card says of labelled regions."""
    return {
        "name": name,
        "images": len({e.labels.image for e in examples}),
        "regions": len(examples),
        "objects": sum(len(nuclei_of(e.labels.objects)) for e in examples),
        "sha256": fingerprint(examples),
    }


def learned_from(examples: Sequence[Example], parent: str) -> str:
    """A card's description; `parent` is the name of the model that it goes on from, or empty."""
    images = {e.labels.image for e in examples}
    objects = sum(len(nuclei_of(e.labels.objects)) for e in examples)
    origin = f", from {parent}" if parent else ""
    return f"Learned from {objects} objects in {len(images)} image(s){origin}."


def metrics_rows(agreement: Agreement, n_regions: int) -> list[dict[str, Any]]:
    """What a card says of how well the model does."""
    if not agreement.n_truth and not agreement.n_pred:
        return []
    names = ("f1", "pq", "precision", "recall", "sq", "aji")
    row = {"data": "regions that judged", "regions": n_regions, "nuclei": agreement.n_truth}
    values = {n: getattr(agreement, n) for n in names}
    return [row | {k: None if math.isnan(v) else round(v, 4) for k, v in values.items()}]


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


def write_model(
    folder: Path, card: dict[str, Any], weights: str, save: Callable[[Path], object]
) -> dict[str, Any]:
    """Write a model's folder, whole or not at all; gives the card with the hash of the weights.

    The same training gives the same bytes: no time, no machine in them.

    Parameters
    ----------
    folder : path
        A model that stands there is replaced; a folder that holds anything else is not.
    card : dict
        For ``card.json``.
    weights : str
        Name of the file whose hash the card holds.
    save : callable
        Writes all files but the card into the folder that it is given.
    """
    with atomic_path(folder, folder=True, strangers=beside_model) as work:
        save(work)
        card["sha256"] = hashlib.sha256((work / weights).read_bytes()).hexdigest()
        text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
        (work / "card.json").write_text(text, encoding="utf-8")
    return card
