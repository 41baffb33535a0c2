"""One request as one patch shows it: which pixels, and gestures and neighbours in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import (
    Box,
    BoxPrompt,
    Contours,
    PointPrompt,
    Prompt,
    PromptAnswer,
    ScribblePrompt,
)
from napari_histo.pipeline.frame import Frame

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

__all__ = ["Look", "PromptRequest", "prompt_bounds", "read_padded"]

#: Known objects shorter than this in the patch are parts of what is wanted, not its neighbours.
_NEIGHBOUR_PX = 8
_DECIMALS = 2  # as QuPath writes coordinates


@dataclass(frozen=True, eq=False)
class PromptRequest:
    """One object that a person points at.

    Attributes
    ----------
    prompts : tuple of Prompt
        All gestures for it so far, positive and negative, full-resolution px.
    others : Contours
        Known outlines around it, which it is not.
    other_prompts : tuple of Prompt
        Positive gestures that are meant for other objects.
    """

    prompts: tuple[Prompt, ...]
    others: Contours
    other_prompts: tuple[Prompt, ...] = ()


@dataclass(frozen=True, eq=False)
class Look:
    """A request as one patch shows it; `box` in px of the frame, the rest in px of the patch."""

    frame: Frame
    box: Box
    prompts: tuple[Prompt, ...]
    others: Contours

    @classmethod
    def at(cls, frame: Frame, patch_px: int, request: PromptRequest) -> Look:
        low, high = prompt_bounds([p for p in request.prompts if p.positive] or request.prompts)
        x, y = np.floor((low + high) / 2 / frame.scale).astype(int).tolist()
        half = patch_px // 2
        box = Box(x - half, y - half, 2 * half, 2 * half)
        move = _Move(frame.scale, (box.x, box.y))
        negative = tuple(_negated(p) for p in request.other_prompts if p.positive)
        prompts = tuple(move.prompt(p) for p in (*request.prompts, *negative))
        return cls(frame, box, prompts, _neighbours(move.contours(request.others), prompts))

    @property
    def box_px(self) -> Box:
        """The patch in full-resolution px."""
        return self.box.scale(*self.frame.scale)

    def back(self, answer: PromptAnswer) -> PromptAnswer:
        """In full-resolution px, within the image."""
        if answer.is_empty:
            return answer
        scale = self.frame.scale
        offset = (self.box.x * scale[0], self.box.y * scale[1])
        info = self.frame.reader.info
        moved = _clip(answer.contours.transform(scale, offset), info.width, info.height)
        return PromptAnswer(moved, answer.score)


@dataclass(frozen=True)
class _Move:
    """Full-resolution px to px of a patch."""

    scale: tuple[float, float]
    corner: tuple[int, int]

    def xy(self, xy: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.asarray(xy / np.asarray(self.scale) - self.corner, np.float64)

    def contours(self, contours: Contours) -> Contours:
        back = (1 / self.scale[0], 1 / self.scale[1])
        return contours.transform(back, (-self.corner[0], -self.corner[1]))

    def prompt(self, prompt: Prompt) -> Prompt:
        corners = self.xy(_points(prompt))
        if isinstance(prompt, PointPrompt):
            return replace(prompt, x=float(corners[0, 0]), y=float(corners[0, 1]))
        if isinstance(prompt, BoxPrompt):
            left, top, right, bottom = corners.ravel().tolist()
            return BoxPrompt(left, top, right, bottom, prompt.positive)
        return ScribblePrompt(corners.astype(np.float32), prompt.positive)


def _points(prompt: Prompt) -> NDArray[np.float64]:
    """Vertices (n, 2), x before y."""
    if isinstance(prompt, PointPrompt):
        return np.array([(prompt.x, prompt.y)])
    if isinstance(prompt, BoxPrompt):
        return np.array([(prompt.left, prompt.top), (prompt.right, prompt.bottom)])
    return np.asarray(prompt.xy, np.float64)


def prompt_bounds(prompts: Sequence[Prompt]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least and largest x and y of gestures, full-resolution px."""
    if not prompts:
        raise ValueError("A request needs a gesture.")
    points = np.concatenate([_points(p) for p in prompts])
    return points.min(axis=0), points.max(axis=0)


def _negated(prompt: Prompt) -> Prompt:
    return replace(prompt, positive=False)


def _neighbours(others: Contours, prompts: Sequence[Prompt]) -> Contours:
    """Without those that are small beside what is wanted, or that a positive gesture touches."""
    if not len(others):
        return others
    import shapely

    bounds = others.bounds
    large = (bounds[:, 2:] - bounds[:, :2]).max(axis=1) >= _NEIGHBOUR_PX
    kept = others.take(np.flatnonzero(large))
    wanted = shapely.union_all([_as_shape(p) for p in prompts if p.positive])
    touched = shapely.intersects(shapely.make_valid(kept.to_shapely()), wanted)
    return kept.take(np.flatnonzero(~touched))


def _as_shape(prompt: Prompt) -> BaseGeometry:
    import shapely

    if isinstance(prompt, BoxPrompt):
        x, y = (prompt.left + prompt.right) / 2, (prompt.top + prompt.bottom) / 2
        return shapely.Point(x, y)
    points = _points(prompt)
    return shapely.Point(points[0]) if len(points) == 1 else shapely.LineString(points)


def read_padded(frame: Frame, box: Box) -> NDArray[Any]:
    """Pixels of a box; beyond the image they are mirrored."""
    inside = box.intersect(frame.extent)
    if inside.is_empty:
        inside = _nearest(box, frame.extent)
    pixels = frame.read(inside)
    if inside == box:
        return pixels
    before = (inside.y - box.y, inside.x - box.x)
    after = (box.bottom - inside.bottom, box.right - inside.right)
    return _mirrored(pixels, before, after)


def _mirrored(
    pixels: NDArray[Any], before: tuple[int, int], after: tuple[int, int]
) -> NDArray[Any]:
    rows, columns = (
        np.pad(np.arange(n), (max(a, 0), max(b, 0)), mode="symmetric")
        for n, a, b in zip(pixels.shape[:2], before, after, strict=True)
    )
    mirrored: NDArray[Any] = pixels[rows[:, None], columns]
    return mirrored


def _nearest(box: Box, extent: Box) -> Box:
    """The part of an image that lies nearest to a box outside of it."""
    x = min(max(box.x, extent.x), extent.right - 1)
    y = min(max(box.y, extent.y), extent.bottom - 1)
    return Box(x, y, 1, 1)


def _clip(contours: Contours, width: int, height: int) -> Contours:
    """Within the image, coordinates rounded as QuPath writes them."""
    import shapely

    area = shapely.intersection(
        shapely.make_valid(contours.to_shapely()), shapely.box(0, 0, width, height)
    )
    area = shapely.make_valid(shapely.set_precision(area, 10.0**-_DECIMALS))
    return Contours.from_shapely(area)
