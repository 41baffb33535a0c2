"""Words of bioimage.io descriptions that formats 0.4 and 0.5 write each in its own way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = [
    "axes_of",
    "axis_of",
    "channel_names",
    "channels_of",
    "grid_of",
    "halo_of",
    "name_of",
    "pixel_um_of",
    "round_up",
]

_AXES_V5 = {"batch": "b", "channel": "c"}
_UM = {"micrometer": 1.0, "micrometre": 1.0, "um": 1.0, "µm": 1.0, "nanometer": 1e-3}


def name_of(words: Mapping[str, Any]) -> str:
    """Of a tensor or step."""
    return str(words.get("id") or words.get("name") or "")


def axes_of(tensor: Mapping[str, Any]) -> str:
    """One letter an axis, for example ``bcyx``."""
    axes = tensor["axes"]
    if isinstance(axes, str):
        return axes
    return "".join(_letter(axis) for axis in axes)


def _letter(axis: Mapping[str, Any]) -> str:
    """A space axis without a name is x."""
    kind = str(axis.get("type"))
    return _AXES_V5.get(kind) or str(axis.get("id") or ("x" if kind == "space" else "?"))


def axis_of(tensor: Mapping[str, Any], letter: str) -> Mapping[str, Any]:
    """Words of an axis of format 0.5; none of 0.4."""
    axes = tensor["axes"]
    if isinstance(axes, str):
        return {}
    return next((a for a in axes if _letter(a) == letter), {})


def channel_names(tensor: Mapping[str, Any]) -> str:
    """All in one text; empty in format 0.4."""
    return " ".join(map(str, axis_of(tensor, "c").get("channel_names") or []))


def channels_of(tensor: Mapping[str, Any]) -> int:
    """How many; 1 where there is no such axis, 0 where nobody says."""
    axes = axes_of(tensor)
    if "c" not in axes:
        return 1
    if names := axis_of(tensor, "c").get("channel_names"):
        return len(names)
    shape = tensor.get("shape")
    if isinstance(shape, Mapping):
        if "min" in shape:
            return int(shape["min"][axes.index("c")])
        return int(2 * shape["offset"][axes.index("c")])
    return int(shape[axes.index("c")]) if isinstance(shape, Sequence) else 0


def grid_of(one_in: Mapping[str, Any], output: Mapping[str, Any]) -> tuple[int, int]:
    """Pixels (y, x) of the input for one of the output."""
    y, x = (_pixels_a_cell(one_in, output, letter) for letter in "yx")
    return y, x


def _pixels_a_cell(one_in: Mapping[str, Any], output: Mapping[str, Any], letter: str) -> int:
    shape = output.get("shape")
    if isinstance(shape, Mapping) and "scale" in shape:
        return max(1, round(1 / float(shape["scale"][axes_of(output).index(letter)])))
    there, here = (float(axis_of(t, letter).get("scale", 1.0)) for t in (output, one_in))
    return max(1, round(there / here))


def round_up(value: int, step: int) -> int:
    """The next multiple of a step."""
    return -(-value // step) * step


def halo_of(output: Mapping[str, Any]) -> int:
    """Pixels at the edge that count for nothing."""
    if halo := output.get("halo"):
        return int(max(halo))
    return max(int(axis_of(output, letter).get("halo") or 0) for letter in "yx")


def pixel_um_of(one_in: Mapping[str, Any]) -> float | None:
    """Pixel size, µm, where the description says it."""
    axis = axis_of(one_in, "x")
    unit = _UM.get(str(axis.get("unit")))
    return None if unit is None or "scale" not in axis else float(axis["scale"]) * unit
