"""A classifier as a folder that runs no code: ``classifier.json`` and ``weights.safetensors``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import ClassDef, ClassScheme
from napari_histo.errors import LearningError
from napari_histo.learning.cells.classifier import CellClassifier

__all__ = ["CARD_FILE", "load_classifier", "save_classifier"]

CARD_FILE = "classifier.json"
_WEIGHTS = "weights.safetensors"
_VERSION = 1
_ARRAYS = ("centre", "scale", "weights", "bias")


def save_classifier(folder: Path | str, classifier: CellClassifier) -> None:
    """Write a classifier; the folder is whole or not there.

    Raises
    ------
    WriteError
    """
    from safetensors.numpy import save_file

    from napari_histo.store.write import atomic_path

    with atomic_path(folder, folder=True) as work:
        arrays = {n: np.ascontiguousarray(getattr(classifier, n)) for n in _ARRAYS}
        save_file(arrays, work / _WEIGHTS)
        (work / _WEIGHTS).chmod(0o644)  # safetensors writes for the owner alone
        text = json.dumps(_card(classifier), indent=2, ensure_ascii=False)
        (work / CARD_FILE).write_text(text + "\n", encoding="utf-8")


def load_classifier(folder: Path | str) -> CellClassifier:
    """Read what `save_classifier` wrote.

    Raises
    ------
    LearningError
        The folder holds no classifier, or a damaged one.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    folder = Path(folder)
    try:
        card = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
        arrays = load_file(folder / _WEIGHTS)
        return _built(card, arrays)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise LearningError(
            f"{folder} holds no classifier that can be read ({type(error).__name__}: {error}). "
            f"It is a folder with {CARD_FILE} and {_WEIGHTS}, as 'napari-histo classify train' "
            "writes it; copy it again, or train anew."
        ) from error


def _card(classifier: CellClassifier) -> dict[str, Any]:
    return {
        "format": "napari-histo cell classifier",
        "version": _VERSION,
        "kind": "logistic regression",
        "classes": [
            {"name": c.name, "rgb": list(c.rgb), "examples": classifier.counts.get(c.name, 0)}
            for c in classifier.classes
        ],
        "quality": dict(classifier.quality),
        "pixel_sizes_um": list(classifier.pixel_sizes_um),
        "recipe": dict(classifier.recipe),
        "seed": classifier.seed,
        "features": list(classifier.names),
    }


def _built(card: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> CellClassifier:
    if card.get("version") != _VERSION:
        raise ValueError(f"its version is {card.get('version')!r}, known is {_VERSION}")
    classes = tuple(ClassDef(c["name"], _rgb(c["rgb"])) for c in card["classes"])
    names = tuple(str(name) for name in card["features"])
    f, k = len(names), len(classes)
    wanted = {"centre": (f,), "scale": (f,), "weights": (f, k), "bias": (k,)}
    for name, shape in wanted.items():
        if arrays[name].shape != shape or not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} has shape {arrays[name].shape} or no numbers; wanted {shape}")
    return CellClassifier(
        names,
        ClassScheme(classes),
        **{name: arrays[name].astype(np.float32) for name in _ARRAYS},
        counts={c["name"]: int(c["examples"]) for c in card["classes"]},
        pixel_sizes_um=tuple(float(v) for v in card["pixel_sizes_um"]),
        recipe=card["recipe"],
        quality=card["quality"],
        seed=int(card["seed"]),
    )


def _rgb(values: list[int]) -> tuple[int, int, int]:
    red, green, blue = (int(v) for v in values)
    return red, green, blue
