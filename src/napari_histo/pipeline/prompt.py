"""From gestures on a slide to outlines: which patch to look at, and how large."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil, log2
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import (
    Box,
    BoxPrompt,
    CancelToken,
    Contours,
    ObjectTable,
    PixelSize,
    PointPrompt,
    Progress,
    Prompt,
    PromptAnswer,
    PromptPatch,
    PromptSegmenter,
    ScribblePrompt,
    SlideReader,
)
from napari_histo.ops.channels import ChannelPick
from napari_histo.pipeline.frame import Frame
from napari_histo.store.prompt_files import PromptedObject, scheme_of

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

__all__ = ["PromptEngine", "PromptRequest", "prompt_bounds", "prompt_objects"]

_CHUNK = 64

#: Steps of the pixel size, each 2 ** (1 / 2) coarser; the last shows 400 µm in half a patch.
_STEPS = 11
#: A mask that comes this near to the patch's edge, px, may go on beyond it.
_RIM_PX = 3
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


class PromptEngine:
    """Answers gestures on one image; any thread may call, one at a time.

    The first patch fits the gesture: a click is looked at in the finest pixels that the model
    knows, a box or a squiggle in pixels that make it fill half the patch. Where the answer reaches
    the patch's edge, coarser pixels are tried. Only the patch is read, at the best level.

    Parameters
    ----------
    reader : SlideReader
    model : PromptSegmenter
    pixel_size : PixelSize, optional
        The user's word; it wins over the file's.
    channel : int, optional
        For images that are not RGB.

    Raises
    ------
    PixelSizeUnknownError, ImageError
        As `Frame.of` and `ChannelPick.choose`.
    """

    def __init__(
        self,
        reader: SlideReader,
        model: PromptSegmenter,
        *,
        pixel_size: PixelSize | None = None,
        channel: int | None = None,
    ) -> None:
        self._reader = reader
        self._model = model
        self._pixel_size = pixel_size
        self._pick = ChannelPick.choose(reader.info, model.info, channel)
        self._frames = lru_cache(maxsize=None)(self._make_frame)
        self._frames(0)

    def answer(self, requests: Sequence[PromptRequest]) -> list[PromptAnswer]:
        """One answer a request, outlines in full-resolution px."""
        answers: dict[int, PromptAnswer] = {}
        waiting = {i: self._first_step(r.prompts) for i, r in enumerate(requests)}
        while waiting:
            looks = [self._look(k, requests[i]) for i, k in waiting.items()]
            found = self._model.answer([self._patch(look) for look in looks])
            again: dict[int, int] = {}
            for (i, step), look, answer in zip(waiting.items(), looks, found, strict=True):
                if self._is_cut(look, answer) and step + 2 < _STEPS:
                    again[i] = step + 2
                    answers.setdefault(i, look.back(answer))
                else:
                    answers[i] = self._better(answers.get(i), look.back(answer))
            waiting = again
        return [answers[i] for i in range(len(requests))]

    @property
    def model_name(self) -> str:
        """Name of the model, for the objects' `sources`."""
        return self._model.info.name

    def reach_px(self, prompts: Sequence[Prompt]) -> Box:
        """What the first patch shows, full-resolution px."""
        request = PromptRequest(tuple(prompts), Contours.empty())
        return self._look(self._first_step(prompts), request).box_px

    def _look(self, step: int, request: PromptRequest) -> _Look:
        return _Look.at(self._frames(step), self._model.patch_px, request)

    def _make_frame(self, step: int) -> Frame:
        info = self._model.info
        if info.pixel_size_um is None:
            return Frame.of(self._reader, info, pixel_size=self._pixel_size)
        coarse = 2 ** (step / 2)
        size = self._pixel_size or self._reader.info.pixel_size
        if size is None and info.pixel_size_nominal:
            # Pixels of unknown size count as the model's own.
            size = PixelSize.square(info.pixel_size_um)
        wanted = replace(info, pixel_size_um=info.pixel_size_um * coarse)
        return Frame.of(self._reader, wanted, pixel_size=size)

    def _first_step(self, prompts: Sequence[Prompt]) -> int:
        scale = self._frames(0).scale
        extent = 0.0
        positive = [p for p in prompts if p.positive]
        if positive:
            low, high = prompt_bounds(positive)
            extent = float(((high - low) / scale).max())
        drawn = any(not isinstance(p, PointPrompt) for p in positive)
        # Clicks lie within an object, a box around it, a squiggle along most of it.
        wanted = self._model.object_px * (0.8 if drawn else 0.6)
        return min(max(ceil(2 * log2(max(extent, 1) / wanted)), 0), _STEPS - 1)

    def _patch(self, look: _Look) -> PromptPatch:
        pixels = self._pick.apply(_read_padded(look.frame, look.box))
        return PromptPatch(pixels, look.prompts, look.others)

    def _is_cut(self, look: _Look, answer: PromptAnswer) -> bool:
        """True where the outline leaves the patch on a side on which the image goes on."""
        if answer.is_empty:
            return False
        left, top, right, bottom = answer.contours.bounds[0].tolist()
        side, extent, box = self._model.patch_px, look.frame.extent, look.box
        return bool(
            (left < _RIM_PX and box.x > extent.x)
            or (top < _RIM_PX and box.y > extent.y)
            or (right > side - _RIM_PX and box.right < extent.right)
            or (bottom > side - _RIM_PX and box.bottom < extent.bottom)
        )

    def _better(self, before: PromptAnswer | None, now: PromptAnswer) -> PromptAnswer:
        """The coarser answer, unless it lost the object."""
        if before is None or not now.is_empty:
            return now
        return before


def prompt_objects(
    engine: PromptEngine,
    objects: Sequence[PromptedObject],
    cancel: CancelToken | None = None,
) -> Generator[Progress, None, ObjectTable]:
    """Outline all objects of a file of gestures; each excludes what the others point at.

    Returns
    -------
    ObjectTable
        In the order of `objects`, without those where nothing was found; `det_prob` is the score.
    """
    import shapely

    centres = (np.mean(prompt_bounds(o.prompts), axis=0).tolist() for o in objects)
    tree = shapely.STRtree([shapely.Point(x, y) for x, y in centres])
    answers: list[PromptAnswer] = []
    for start in range(0, len(objects), _CHUNK):
        if cancel is not None:
            cancel.raise_if_cancelled()
        yield Progress(start, len(objects), "Outlining")
        requests = []
        for i, one in enumerate(objects[start : start + _CHUNK], start):
            seen = engine.reach_px(one.prompts)
            near = tree.query(shapely.box(seen.x, seen.y, seen.right, seen.bottom))
            others = tuple(p for k in np.sort(near) if k != i for p in objects[k].prompts)
            requests.append(PromptRequest(one.prompts, Contours.empty(), others))
        answers += engine.answer(requests)
    return _as_table(objects, answers, engine.model_name)


def _as_table(
    objects: Sequence[PromptedObject], answers: Sequence[PromptAnswer], source: str
) -> ObjectTable:
    rows = [i for i, answer in enumerate(answers) if not answer.is_empty]
    scheme = scheme_of(objects)
    return ObjectTable.build(
        Contours.concat([answers[i].contours for i in rows]) if rows else Contours.empty(),
        class_id=[scheme.index(objects[i].class_name) for i in rows],
        det_prob=[answers[i].score for i in rows],
        classes=scheme,
        source=source,
    )


@dataclass(frozen=True, eq=False)
class _Look:
    """A request as one patch shows it; `box` in px of the frame, the rest in px of the patch."""

    frame: Frame
    box: Box
    prompts: tuple[Prompt, ...]
    others: Contours

    @classmethod
    def at(cls, frame: Frame, patch_px: int, request: PromptRequest) -> _Look:
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


def _read_padded(frame: Frame, box: Box) -> NDArray[Any]:
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
