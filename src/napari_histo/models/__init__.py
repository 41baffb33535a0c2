"""Models by name. Frameworks (torch, stardist, scikit-image) are imported when one is loaded."""

from __future__ import annotations

from napari_histo.models._device import devices
from napari_histo.models.registry import (
    DEFAULT_MODEL,
    DEFAULT_PROMPT_MODEL,
    get_info,
    is_available,
    list_models,
    list_prompt_models,
    load_model,
    load_prompt_model,
)

__all__ = [
    "DEFAULT_MODEL",
    "DEFAULT_PROMPT_MODEL",
    "devices",
    "get_info",
    "is_available",
    "list_models",
    "list_prompt_models",
    "load_model",
    "load_prompt_model",
]
