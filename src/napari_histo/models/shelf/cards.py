"""All that is known of a model: its card in short, and what its files say beyond that."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from napari_histo.models import registry
from napari_histo.models.shelf.folder import read_json

__all__ = ["full_card"]


def full_card(name: str) -> dict[str, Any]:
    """Words of ``card.json`` (data, validation, limits, metrics, parent …) over the short card's.

    ``origin`` and ``path`` tell where it lies; ``path`` is None where there are no files, or none
    yet; ``record`` is what was noted when it was added.

    Raises
    ------
    ModelError
        There is no such model, or its card is damaged.
    """
    info = registry.get_info(name)
    words: dict[str, Any] = asdict(info) | {"classes": list(info.classes.names)}
    words |= {"origin": registry.origin_of(name), "path": None}
    if info.family != "classical" and registry.is_available(name):
        path = registry.model_folder(name)
        card = path / "card.json"
        words = (read_json(card) if card.is_file() else {}) | words | {"path": str(path)}
    place = registry.places().get(name)
    return words if place is None else words | {"record": dict(place.record)}
