"""How what is asked for differs from what a run was made with, in words for people."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

__all__ = ["IDENTITY", "differences"]

#: Facts of a run that must be the same for it to go on.
IDENTITY = ("image", "model", "parameters")
#: What a fact is where it is not named.
_USUAL = {"z": 0, "series": 0}
_WORDS = {
    "fingerprint": "pixels of the image",
    "size_px": "size of the image in px",
    "precision": "precision of the network",
    "pixel_size": "pixel size in µm",
    "pixel_size_um": "pixel size in µm",
    "diameter_um": "diameter in µm",
    "tile_px": "side of a tile in px",
    "prob": "least probability",
    "min_prob": "least probability of proposals",
    "nms": "largest overlap",
    "tissue": "where to look",
    "z": "focal plane",
    "series": "image of the file",
    "version": "version of napari-histo",
}
_HASH = re.compile(r"[0-9a-f]{16,}")
_SHORT = 8
_MOST = 60


def differences(there: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """What tells a run's facts from those that are asked for; empty where it can go on.

    Parameters
    ----------
    there, asked : mapping
        JSON facts under ``image``, ``model`` and ``parameters``. One that is missing is as one that
        is null.
    """
    wished = json.loads(json.dumps({key: asked[key] for key in IDENTITY}))
    return [text for key in IDENTITY for text in _told(there[key], wished[key], key)]


def _told(then: Mapping[str, Any], now: Mapping[str, Any], key: str) -> Iterator[str]:
    names = list(dict.fromkeys((*now, *then)))
    if key == "model":
        yield from _model(then, now)
        # What else there is of another model says nothing more.
        is_same = then.get("name") == now.get("name")
        names = [name for name in names if is_same and name not in ("name", "sha256")]
    for name in names:
        before, wish = (facts.get(name, _USUAL.get(name)) for facts in (then, now))
        if before == wish:
            continue
        if isinstance(before, dict) and isinstance(wish, dict):
            yield from _told(before, wish, name)
        else:
            yield _changed(_WORDS.get(name, name.replace("_", " ")), before, wish)


def _model(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """By name; the hash tells nobody anything unless the names are the same."""
    if then.get("name") != now.get("name"):
        yield _changed("model", then.get("name"), now.get("name"))
    elif then.get("sha256") != now.get("sha256"):
        before, wish = (str(m.get("sha256") or "unknown")[:_SHORT] for m in (then, now))
        yield f"model {now.get('name')}: other weights ({before} before, {wish} now)"


def _changed(what: str, before: Any, now: Any) -> str:
    if _is_hash(before) and _is_hash(now):
        return f"{what}: not as before"
    return f"{what}: {_said(before)} before, {_said(now)} now"


def _said(value: Any) -> str:
    if value is None:
        return "not given"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if _is_hash(value):
        return "given"
    if isinstance(value, str) and value.startswith("{"):
        # Stains as QuPath writes them have a name.
        with suppress(ValueError):
            value = json.loads(value).get("Name", value)
    if isinstance(value, dict):
        text = ", ".join(f"{key} {_said(v)}" for key, v in value.items())
    else:
        text = ", ".join(map(_said, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= _MOST else f"{text[: _MOST - 1]}…"


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and _HASH.fullmatch(value) is not None
