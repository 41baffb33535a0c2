"""From gestures on a slide to outlines: which patch to look at, and how large."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from functools import lru_cache
from math import ceil, log2

import numpy as np

from napari_histo.core import (
    Box,
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
    SlideReader,
)
from napari_histo.ops.channels import ChannelPick
from napari_histo.pipeline.frame import Frame
from napari_histo.pipeline.prompt_patch import Look, PromptRequest, prompt_bounds, read_padded
from napari_histo.store.prompt_files import PromptedObject, scheme_of

__all__ = ["PromptEngine", "PromptRequest", "prompt_bounds", "prompt_objects"]

_CHUNK = 64

#: Steps of the pixel size, each 2 ** (1 / 2) coarser; the last shows 400 µm in half a patch.
_STEPS = 11
#: A mask that comes this near to the patch's edge, px, may go on beyond it.
_RIM_PX = 3


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

    def _look(self, step: int, request: PromptRequest) -> Look:
        return Look.at(self._frames(step), self._model.patch_px, request)

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

    def _patch(self, look: Look) -> PromptPatch:
        pixels = self._pick.apply(read_padded(look.frame, look.box))
        return PromptPatch(pixels, look.prompts, look.others)

    def _is_cut(self, look: Look, answer: PromptAnswer) -> bool:
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
