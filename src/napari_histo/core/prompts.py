"""What a person's gesture says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BoxPrompt", "PointPrompt", "Prompt", "ScribblePrompt"]


@dataclass(frozen=True, slots=True)
class PointPrompt:
    """A click at (x, y), full-resolution px; `positive` False means "not here"."""

    x: float
    y: float
    positive: bool = True


@dataclass(frozen=True, slots=True)
class BoxPrompt:
    """A dragged rectangle, full-resolution px."""

    left: float
    top: float
    right: float
    bottom: float
    positive: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class ScribblePrompt:
    """A squiggle: vertices (n, 2), x before y, full-resolution px."""

    xy: NDArray[np.float32]
    positive: bool = True


Prompt = PointPrompt | BoxPrompt | ScribblePrompt
