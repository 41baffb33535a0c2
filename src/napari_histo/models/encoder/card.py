"""What an encoder's folder says of itself: ``encoder.json``, checked word by word."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_histo.errors import ModelError

__all__ = ["ENCODER_FILE", "EncoderCard"]

ENCODER_FILE = "encoder.json"
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True)
class EncoderCard:
    """What ``encoder.json`` says.

    Attributes
    ----------
    folder : Path
    name : str
        As shown.
    weights : str
        File of the weights, or of the TorchScript network, in the folder.
    licence : str
        Shown whenever the encoder is chosen.
    architecture : str
        Of timm, for example ``vit_large_patch16_224``; empty for TorchScript.
    arguments : mapping
        For `timm.create_model`, beside the architecture.
    input_px : int
        Side of a picture.
    pixel_size_um : float or None
        Pixel size at which it learned; None takes pictures as they are.
    mean, std : (float, float, float)
        Of its normalisation of RGB of 0 to 1; ImageNet's by default.
    """

    folder: Path
    name: str
    weights: str
    licence: str
    architecture: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    input_px: int = 224
    pixel_size_um: float | None = None
    mean: tuple[float, float, float] = _IMAGENET[0]
    std: tuple[float, float, float] = _IMAGENET[1]

    @classmethod
    def read(cls, folder: Path) -> EncoderCard:
        """Of a folder.

        Raises
        ------
        ModelError
            Something is missing, or is not what it must be; the message says what to write.
        """
        path = folder / ENCODER_FILE
        try:
            words = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ModelError(f"Cannot read {path} ({error}). {_WANTED}") from error
        wrong = _faults(words, folder)
        if wrong:
            raise ModelError(f"{path}: {'; '.join(wrong)}. {_WANTED}")
        known: dict[str, Any] = {
            k: tuple(v) if k in ("mean", "std") else v for k, v in words.items()
        }
        return cls(folder=folder, **known)

    @property
    def path(self) -> Path:
        """Of the weights."""
        return self.folder / self.weights

    def words(self) -> dict[str, Any]:
        """For a record: name, licence, SHA-256 of description and weights."""
        return {
            "name": self.name,
            "licence": self.licence,
            "architecture": self.architecture or "TorchScript",
            "sha256": _sha256(self.path),
            "description_sha256": _sha256(self.folder / ENCODER_FILE),
        }


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


_WANTED = (
    'Wanted is, for example: {"name": "UNI", "architecture": "vit_large_patch16_224", "arguments": '
    '{"init_values": 1e-5}, "weights": "model.safetensors", "input_px": 224, "pixel_size_um": 0.5, '
    '"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "licence": "CC-BY-NC-ND 4.0"}; '
    "without architecture, weights is a TorchScript file."
)


def _is_number(value: Any) -> bool:
    fine = isinstance(value, int | float) and not isinstance(value, bool)
    return fine and math.isfinite(value)


def _is_triple(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(map(_is_number, value))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


_RULES: Mapping[str, tuple[Any, str]] = {
    "name": (_is_text, "a text"),
    "weights": (_is_text, "the name of a file in the folder"),
    "licence": (_is_text, "a text: under which licence the weights may be used"),
    "architecture": (lambda v: isinstance(v, str), "the name of a timm architecture"),
    "arguments": (lambda v: isinstance(v, dict), "named values for timm.create_model"),
    "input_px": (lambda v: isinstance(v, int) and 16 <= v <= 4096, "a whole number, 16 to 4096"),
    "pixel_size_um": (
        lambda v: v is None or (_is_number(v) and v > 0),
        "a number above 0, or null",
    ),
    "mean": (_is_triple, "three numbers"),
    "std": (lambda v: _is_triple(v) and min(v) > 0, "three numbers above 0"),
}
_NEEDED = ("name", "weights", "licence")


def _faults(words: Any, folder: Path) -> list[str]:
    """What is wrong, in words."""
    if not isinstance(words, dict):
        return [f"it holds a {type(words).__name__}, not named values"]
    found = [f"{name} is missing" for name in _NEEDED if name not in words]
    found += [f"{name} is unknown" for name in words if name not in _RULES]
    for name, (is_fine, wanted) in _RULES.items():
        if name in words and not is_fine(words[name]):
            found.append(f"{name} must be {wanted}; it is {words[name]!r}")
    if not found and Path(words["weights"]).name != words["weights"]:
        found.append(f"weights must lie in the folder itself; it is {words['weights']!r}")
    if not found and not (folder / words["weights"]).is_file():
        found.append(f"there is no file {words['weights']}")
    return found
