"""A classifier as a folder that runs no code.

::

    classifier.json         classes with colours and counts, features in order, recipe, quality
    weights.safetensors     centre, scale, weights, bias
    examples.safetensors    what it learned from, to go on with on other images; may be missing
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import ClassDef, ClassScheme
from napari_histo.errors import LearningError
from napari_histo.learning.cells.classifier import CellClassifier
from napari_histo.learning.cells.examples import Examples
from napari_histo.learning.cells.features import ObjectFeatures
from napari_histo.store.replacing import beside

__all__ = [
    "CARD_FILE",
    "beside_classifier",
    "load_classifier",
    "load_examples",
    "save_classifier",
]

CARD_FILE = "classifier.json"
_WEIGHTS = "weights.safetensors"
_EXAMPLES = "examples.safetensors"
#: What lies in a folder and is no part of a classifier.
beside_classifier = beside((CARD_FILE,), _WEIGHTS, _EXAMPLES)
_VERSION = 1
_ARRAYS = ("centre", "scale", "weights", "bias")


def save_classifier(
    folder: Path | str, classifier: CellClassifier, examples: Examples | None = None
) -> None:
    """Write a classifier, with its examples where they are given; a whole folder or none.

    Raises
    ------
    WriteError
    """
    from napari_histo.store.write import atomic_path

    with atomic_path(folder, folder=True, strangers=beside_classifier) as work:
        _save(work / _WEIGHTS, {name: getattr(classifier, name) for name in _ARRAYS})
        if examples is not None:
            arrays, words = _as_arrays(examples)
            _save(work / _EXAMPLES, arrays, {"examples": json.dumps(words)})
        text = json.dumps(_card(classifier), indent=2, ensure_ascii=False)
        (work / CARD_FILE).write_text(text + "\n", encoding="utf-8")


def load_classifier(folder: Path | str) -> CellClassifier:
    """Read what `save_classifier` wrote.

    Raises
    ------
    LearningError
        The folder holds no classifier, or a damaged one.
    """
    folder = Path(folder)
    if not (folder / CARD_FILE).is_file():
        raise LearningError(
            f"{folder} holds no classifier: there is no {CARD_FILE}. Check the path, or make one: "
            "'napari-histo classify train'."
        )
    try:
        card = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
        return _built(card, _load(folder / _WEIGHTS)[0])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LearningError(
            f"{folder} holds no classifier that can be read ({type(error).__name__}: {error}). "
            f"It is a folder with {CARD_FILE} and {_WEIGHTS}, as 'napari-histo classify train' "
            "writes it; copy it again, or train anew."
        ) from error


def load_examples(folder: Path | str) -> Examples:
    """Examples that a classifier of a folder learned from.

    Raises
    ------
    LearningError
        The folder keeps none, or damaged ones.
    """
    path = Path(folder) / _EXAMPLES
    try:
        arrays, words = _load(path)
        return _examples(arrays, json.loads(words["examples"]))
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise LearningError(
            f"{path} holds no examples that can be read ({type(error).__name__}: {error}). A "
            "classifier without its examples can be applied, but not gone on with."
        ) from error


def _save(
    path: Path, arrays: Mapping[str, NDArray[Any]], words: dict[str, str] | None = None
) -> None:
    from safetensors.numpy import save_file

    save_file({name: np.ascontiguousarray(v) for name, v in arrays.items()}, path, words)
    path.chmod(0o644)  # safetensors writes for the owner alone


def _load(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Arrays and words; ValueError where the file is no safetensors file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path.name}: {error}") from error


def _as_arrays(examples: Examples) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    arrays = {"class_id": examples.class_id, "group": examples.group}
    return {"values": examples.features.values, **arrays}, {
        "version": _VERSION,
        "features": examples.features.names,
        "classes": [{"name": c.name, "rgb": c.rgb} for c in examples.classes],
        "groups": examples.groups,
        "pixel_sizes_um": examples.pixel_sizes_um,
    }


def _examples(arrays: Mapping[str, NDArray[Any]], words: Mapping[str, Any]) -> Examples:
    if words.get("version") != _VERSION:
        raise ValueError(f"its version is {words.get('version')!r}, known is {_VERSION}")
    sizes = tuple(float(v) for v in words["pixel_sizes_um"])
    features = ObjectFeatures(
        tuple(words["features"]),
        arrays["values"].astype(np.float32),
        sizes[0] if len(sizes) == 1 else None,
    )
    found = Examples(
        features,
        arrays["class_id"].astype(np.int32),
        ClassScheme(tuple(ClassDef(c["name"], _rgb(c["rgb"])) for c in words["classes"])),
        arrays["group"].astype(np.int32),
        tuple(words["groups"]),
        sizes,
    )
    for rows, names in ((found.class_id, found.classes.names), (found.group, found.groups)):
        if rows.shape != (len(features),) or not np.isin(rows, np.arange(len(names))).all():
            raise ValueError("classes or images of the examples do not fit them")
    return found


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
