"""Classifications in every spelling that QuPath wrote or reads."""

from __future__ import annotations

from typing import Any

from napari_histo.core import ClassDef, unpack_rgb

__all__ = ["class_def", "class_key", "rgb_of"]


def class_key(classification: Any) -> Any:
    """What tells classes apart, cheaply."""
    if isinstance(classification, dict) and "parentClass" not in classification:
        return classification.get("name") or tuple(classification.get("names") or ())
    return classification if isinstance(classification, str) else repr(classification)


def class_def(classification: Any) -> ClassDef:
    """Class of a string, of ``{name or names, color or colorRGB}``, or with a ``parentClass``."""
    if isinstance(classification, str):
        return ClassDef.named(classification)
    if not isinstance(classification, dict):
        raise ValueError(f"classification {classification!r} is neither a name nor an object")
    names = [classification["name"]] if classification.get("name") else []
    names = names or list(classification.get("names") or ())
    parent = classification.get("parentClass")
    if parent:
        names = [class_def(parent).name, *names]
    name = ": ".join(map(str, names))
    rgb = rgb_of(classification.get("color", classification.get("colorRGB")))
    return ClassDef(name, rgb) if rgb else ClassDef.named(name)


def rgb_of(color: Any) -> tuple[int, int, int] | None:
    """Colour of ``[r, g, b]``, ``[r, g, b, a]`` or a packed integer."""
    if isinstance(color, list) and len(color) >= 3:
        return int(color[0]), int(color[1]), int(color[2])
    if isinstance(color, list) and len(color) == 1:
        color = color[0]
    return unpack_rgb(int(color)) if isinstance(color, int | float) else None
