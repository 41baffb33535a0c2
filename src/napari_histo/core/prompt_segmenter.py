"""What is asked of models that find the objects that a person points at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_histo.core.contours import Contours
from napari_histo.core.models import ModelInfo
from napari_histo.core.prompts import Prompt

__all__ = ["PromptAnswer", "PromptPatch", "PromptSegmenter"]


@dataclass(frozen=True, eq=False)
class PromptPatch:
    """One object to find: a square of the image and what a person drew on it.

    Attributes
    ----------
    pixels : (side, side, channels) array
        RGB or one channel; the image's own values.
    prompts : sequence of Prompt
        Gestures, positive and negative, in px of the patch.
    others : Contours
        Objects that are known already and that this one is not, in px of the patch.
    """

    pixels: NDArray[Any]
    prompts: Sequence[Prompt]
    others: Contours


@dataclass(frozen=True, eq=False)
class PromptAnswer:
    """What was found for one object.

    Attributes
    ----------
    contours : Contours
        One row, without holes; an empty one where nothing was found.
    score : float
        How sure the model is, 0 to 1: its own estimate of the overlap (IoU) with the truth.
    """

    contours: Contours
    score: float

    @property
    def is_empty(self) -> bool:
        """True where nothing was found."""
        return not bool(np.isfinite(self.contours.bounds).all())


class PromptSegmenter(Protocol):
    """Finds the objects that a person points at, each in a patch of its own.

    Which patch, at which pixel size, is for `napari_histo.pipeline.PromptEngine` to choose.
    """

    @property
    def info(self) -> ModelInfo:
        """The model's card; `pixel_size_um` is the finest that it works at."""
        ...

    @property
    def patch_px(self) -> int:
        """Side of a patch."""
        ...

    @property
    def object_px(self) -> int:
        """Longest object that fits well into a patch."""
        ...

    def answer(self, patches: Sequence[PromptPatch]) -> list[PromptAnswer]:
        """One answer a patch, in px of the patch; any thread may call, one at a time."""
        ...
