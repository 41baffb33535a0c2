"""StarDist models, as rounds know them. Light: networks are imported late."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_histo.learning.course.family import Family, Training, evaluate_objects, load_finder
from napari_histo.learning.training import Example

if TYPE_CHECKING:
    from napari_histo.models.stardist.config import StarDistConfig

__all__ = ["STARDIST"]

_OWN = "stardist"


def _training(_parent: str) -> Training:
    from napari_histo.learning.stardist.preflight import preflight
    from napari_histo.learning.stardist.training import train_stardist

    return train_stardist, preflight


def _start(parent: str, regions: Sequence[Example]) -> str | StarDistConfig:
    """A small network where the parent, such as the classical model, has no weights."""
    from napari_histo.learning.stardist.start import small_config
    from napari_histo.models.registry import get_info

    if Path(parent).is_dir() or get_info(parent).family == _OWN:
        return parent
    return small_config(3 if regions[0].reader.info.is_rgb else 1)


STARDIST = Family(
    (_OWN, "classical"), load_finder, _training, evaluate_objects, start=_start, composes=True
)
