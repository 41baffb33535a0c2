"""A model taken apart, for those who write it in another form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_histo.core import ModelInfo

if TYPE_CHECKING:
    from napari_histo.models.stardist.net import StarDistNet

__all__ = ["Parts"]


@dataclass(frozen=True)
class Parts:
    """A model taken apart.

    Attributes
    ----------
    net : StarDistNet
    info : ModelInfo
        With the thresholds of its files.
    percentiles : (float, float)
    card : mapping
        As `full_card` gives it.
    """

    net: StarDistNet
    info: ModelInfo
    percentiles: tuple[float, float]
    card: Mapping[str, Any]

    @property
    def file_name(self) -> str:
        """The model's name, fit for a file."""
        return re.sub(r"[^A-Za-z0-9._-]+", "-", self.info.name).strip("-.") or "model"
