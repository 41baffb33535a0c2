"""Models by name. Frameworks (torch, stardist, scikit-image) are imported when one is loaded."""

from __future__ import annotations

from napari_histo.models._device import devices
from napari_histo.models.export.export import Exported, export_model
from napari_histo.models.registry import (
    DEFAULT_MODEL,
    DEFAULT_PROMPT_MODEL,
    add_model,
    add_shared_folder,
    get_info,
    is_available,
    list_models,
    list_prompt_models,
    list_region_models,
    load_model,
    load_prompt_model,
    load_region_model,
    notes,
    origin_of,
    remove_model,
)
from napari_histo.models.shelf.adding import Addition
from napari_histo.models.shelf.cards import full_card
from napari_histo.models.shelf.verify import Verdict, verify

__all__ = [
    "DEFAULT_MODEL",
    "DEFAULT_PROMPT_MODEL",
    "Addition",
    "Exported",
    "Verdict",
    "add_model",
    "add_shared_folder",
    "devices",
    "export_model",
    "full_card",
    "get_info",
    "is_available",
    "list_models",
    "list_prompt_models",
    "list_region_models",
    "load_model",
    "load_prompt_model",
    "load_region_model",
    "notes",
    "origin_of",
    "remove_model",
    "verify",
]
