"""A model's folder without its network: card, thresholds and which files make it whole.

A stock StarDist folder holds ``config.json``, ``thresholds.json`` and ``weights_best.h5`` (Keras 2
or 3); a shipped one ``weights.safetensors`` in place of the last, and ``card.json``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard, get_args

from napari_histo.core import ClassScheme, ModelInfo, Thresholds
from napari_histo.core.models import Channels
from napari_histo.errors import ModelError
from napari_histo.store.replacing import beside

__all__ = [
    "CELLPOSE_WEIGHTS",
    "SHIPPED_WEIGHTS",
    "STOCK_WEIGHTS",
    "beside_model",
    "existing",
    "is_whole",
    "read_info",
    "read_json",
    "read_percentiles",
    "read_thresholds",
    "stock_weights",
]

SHIPPED_WEIGHTS = "weights.safetensors"
#: In a folder with a network of Cellpose 1 to 3; the package reads the file by itself too.
CELLPOSE_WEIGHTS = "weights.pt"
STOCK_WEIGHTS = "weights_best.h5"

#: What lies in a folder and is no part of a model as it is written here, whatever its family: such
#: a folder is not replaced by a model. A model of regions may hold its coarser one, its guide.
beside_model = beside(
    (SHIPPED_WEIGHTS, CELLPOSE_WEIGHTS, STOCK_WEIGHTS),
    *("config.json", "card.json", "thresholds.json", "CARD.md"),
    inside="guide",
)


def is_whole(folder: Path) -> bool:
    """True where both a config and weights are there."""
    ours = (folder / name for name in (SHIPPED_WEIGHTS, CELLPOSE_WEIGHTS))
    has_weights = any(path.is_file() for path in ours) or any(folder.glob("*.h5"))
    return (folder / "config.json").is_file() and has_weights


def stock_weights(folder: Path) -> Path:
    """What the stock package would load: the best weights, or else the newest."""
    if (folder / STOCK_WEIGHTS).exists():
        return folder / STOCK_WEIGHTS
    others = sorted(folder.glob("*.h5"), key=lambda f: (f.stat().st_mtime, "best" in f.name))
    return others[-1] if others else existing(folder / STOCK_WEIGHTS)


def existing(path: Path) -> Path:
    """The path itself; raises ModelError where no file is."""
    if not path.is_file():
        raise ModelError(f"{path} is missing. A StarDist model is a folder that holds this file.")
    return path


def read_json(path: Path) -> dict[str, Any]:
    """Named values of a JSON file; raises ModelError where it is missing, damaged or a list."""
    if not path.is_file():
        raise ModelError(f"{path} is missing. A StarDist model is a folder that holds this file.")
    try:
        words = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is not readable JSON: {error}. Copy the model again.") from error
    if not isinstance(words, dict):
        raise ModelError(
            f"{path} holds a {type(words).__name__}, not named values. Copy the model again."
        )
    return words


def read_thresholds(folder: Path) -> Thresholds:
    """Thresholds of a folder; the stock package's defaults where it was never optimised.

    Raises
    ------
    ModelError
        ``prob`` or ``nms`` is missing, not a number, or outside 0..1.
    """
    path = folder / "thresholds.json"
    if not path.exists():
        return Thresholds()
    words = read_json(path)
    prob, nms = words.get("prob"), words.get("nms")
    if not (_is_number(prob) and _is_number(nms)):
        raise ModelError(f"{path} must hold numbers prob and nms; it holds {words}.")
    if not (0 <= prob <= 1 and 0 <= nms <= 1):
        raise ModelError(f"{path}: prob and nms must be within 0..1; they are {prob} and {nms}.")
    return Thresholds(float(prob), float(nms))


def read_info(folder: Path) -> ModelInfo:
    """Card of a StarDist folder: from ``card.json`` where there is one, else from its config.

    Raises
    ------
    ModelError
        There is no config, or a file says what it must not.
    """
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{folder} has no config.json. A StarDist model is a folder with config.json, "
            f"thresholds.json and {STOCK_WEIGHTS} (or {SHIPPED_WEIGHTS})."
        )
    config, card = read_json(folder / "config.json"), _card(folder)
    weights, family = folder / SHIPPED_WEIGHTS, str(card.get("family", "stardist"))
    return ModelInfo(
        str(card.get("name", folder.name)),
        family,
        card.get("pixel_size_um"),
        bool(card.get("pixel_size_nominal", False)),
        card.get("channels", "rgb" if config.get("n_channel_in") == 3 else "gray"),
        ClassScheme.of(*card.get("classes", ["Nucleus"])),
        str(card.get("licence", "unknown")),
        str(card.get("source", folder)),
        card.get("sha256"),
        weights.stat().st_size if weights.is_file() else None,
        read_thresholds(folder),
        str(card.get("description", "")),
        takes_diameter=family == "cellpose",
    )


def read_percentiles(folder: Path) -> tuple[float, float]:
    """Percentiles of an image that become 0 and 1 for this model; StarDist's own by default."""
    low, high = _card(folder).get("percentiles", (1.0, 99.8))
    return float(low), float(high)


def _card(folder: Path) -> Mapping[str, Any]:
    path = folder / "card.json"
    if not path.is_file():
        return {}
    card = read_json(path)
    for name, (is_fine, wanted) in _RULES.items():
        if name in card and not is_fine(card[name]):
            raise ModelError(f"{path}: {name} must be {wanted}; it is {card[name]!r}. Correct it.")
    return card


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_size(value: Any) -> bool:
    return value is None or (_is_number(value) and value > 0)


def _is_names(value: Any) -> bool:
    fine = isinstance(value, list) and all(isinstance(v, str) and v.strip() for v in value)
    return fine and 0 < len(value) == len(set(value))


def _is_range(value: Any) -> bool:
    fine = isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))
    return fine and bool(0 <= value[0] < value[1] <= 100)


#: What the words of a card must be, where they are there.
_RULES: Mapping[str, tuple[Any, str]] = {
    "pixel_size_um": (_is_size, "a number above 0 in µm per pixel, without quotes, or null"),
    "channels": (
        lambda value: value in get_args(Channels),
        f"one of {', '.join(get_args(Channels))}",
    ),
    "classes": (_is_names, "a list of one or more names, each once"),
    "percentiles": (_is_range, "two rising numbers within 0..100"),
    "sha256": (lambda value: value is None or isinstance(value, str), "a text or null"),
}
