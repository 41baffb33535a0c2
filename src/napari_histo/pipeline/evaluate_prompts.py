"""How good a model's answers to gestures are: gestures are simulated on known objects."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_histo.core import (
    Box,
    BoxPrompt,
    CancelToken,
    Contours,
    PointPrompt,
    Progress,
    Prompt,
    PromptAnswer,
    ScribblePrompt,
)
from napari_histo.ops import gestures
from napari_histo.ops.metrics import Agreement, compare_labels
from napari_histo.pipeline.prompt import PromptEngine, PromptRequest
from napari_histo.store.labels import draw

__all__ = ["Gesture", "PromptReport", "PromptTrial", "evaluate_prompts"]

Gesture = Literal["centroid", "random", "box", "squiggle"]
_MIN_AREA_PX = 10
_CHUNK = 64
#: Bounds between small, middle and large objects: diameter of the circle of equal area, px.
_SIZES_PX = (16.0, 28.0)


@dataclass(frozen=True)
class PromptTrial:
    """What the simulated annotator does.

    Attributes
    ----------
    gesture : {"centroid", "random", "box", "squiggle"}
        The first one: a click at the centroid, a click anywhere in the object, or a drawing.
    clicks : int
        Gestures in all; those after the first are clicks where the answer is most wrong.
    jitter_px : float
        The first click is moved at random by up to this.
    exclude : bool
        True where the other objects' centroids are known and excluded.
    seed : int
    """

    gesture: Gesture = "centroid"
    clicks: int = 1
    jitter_px: float = 0.0
    exclude: bool = False
    seed: int = 0


@dataclass
class PromptReport:
    """Figures pooled over images; one entry an object.

    Attributes
    ----------
    dice, iou, diameter_px, score : list of float
        Overlap with the truth, the circle of equal area, and what the model said of itself.
    agreement : Agreement
        All answers of an image drawn together, likelier ones on top.
    """

    dice: list[float] = field(default_factory=list)
    iou: list[float] = field(default_factory=list)
    diameter_px: list[float] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    agreement: Agreement = field(default_factory=Agreement)

    def as_dict(self) -> dict[str, Any]:
        """Mean Dice and IoU, share of failures (IoU < 0.5), AJI, PQ, n; again by size."""
        size = np.digitize(self.diameter_px, _SIZES_PX)
        names = (
            f"below {_SIZES_PX[0]:g} px",
            f"{_SIZES_PX[0]:g} to {_SIZES_PX[1]:g} px",
            f"above {_SIZES_PX[1]:g} px",
        )
        return {
            **self._means(np.ones(len(size), bool)),
            "aji": self.agreement.aji,
            "pq": self.agreement.pq,
            "by_size": {
                n: self._means(size == i) for i, n in enumerate(names) if (size == i).any()
            },
        }

    def _means(self, rows: NDArray[np.bool_]) -> dict[str, float]:
        dice, iou = np.asarray(self.dice)[rows], np.asarray(self.iou)[rows]
        return {
            "n": int(rows.sum()),
            "dice": float(dice.mean()) if len(dice) else float("nan"),
            "iou": float(iou.mean()) if len(iou) else float("nan"),
            "failures": float((iou < 0.5).mean()) if len(iou) else float("nan"),
        }


def evaluate_prompts(
    engine: PromptEngine,
    labels: NDArray[np.integer],
    trial: PromptTrial,
    report: PromptReport,
    cancel: CancelToken | None = None,
    *,
    corner: tuple[int, int] = (0, 0),
) -> Generator[Progress, None, None]:
    """Point at every object of one image, or of a part of it, and add what comes of it to `report`.

    Parameters
    ----------
    engine : PromptEngine
        Of the image.
    labels : (height, width) integers
        The truth in full-resolution px; objects of fewer than 10 px are left out.
    trial : PromptTrial
    report : PromptReport
    cancel : CancelToken, optional
    corner : (int, int)
        x and y of the first pixel of `labels` in the image.
    """
    rng = np.random.default_rng(trial.seed)
    objects = _objects(labels, corner)
    first = [_first(o, trial, rng) for o in objects]
    centres = [_moved(gestures.centroid_click(o.mask), o.x, o.y) for o in objects]
    answers: list[PromptAnswer] = []
    for start in range(0, len(objects), _CHUNK):
        if cancel is not None:
            cancel.raise_if_cancelled()
        yield Progress(start, len(objects), "Pointing at objects")
        rows = range(start, min(start + _CHUNK, len(objects)))
        drawn: list[list[Prompt]] = [[first[i]] for i in rows]
        others = [_others(centres, i) if trial.exclude else () for i in rows]
        found = _ask(engine, drawn, others)
        for _ in range(trial.clicks - 1):
            for i, prompts, answer in zip(rows, drawn, found, strict=True):
                prompts += _correction(objects[i], answer, rng)
            found = _ask(engine, drawn, others)
        answers += found
    for one, answer in zip(objects, answers, strict=True):
        _score(report, one, answer)
    box = Box(*corner, labels.shape[1], labels.shape[0])
    report.agreement += compare_labels(labels, _together(answers, box))


@dataclass(frozen=True, eq=False)
class _Object:
    """A mask and where it stands, px."""

    mask: NDArray[np.bool_]
    x: int
    y: int


def _objects(labels: NDArray[np.integer], corner: tuple[int, int]) -> list[_Object]:
    found = []
    for i, where in enumerate(ndimage.find_objects(labels), start=1):
        if where is not None:
            mask = labels[where] == i
            if mask.sum() >= _MIN_AREA_PX:
                x, y = corner[0] + where[1].start, corner[1] + where[0].start
                found.append(_Object(mask, x, y))
    return found


def _first(one: _Object, trial: PromptTrial, rng: np.random.Generator) -> Prompt:
    if trial.gesture == "box":
        return _moved(gestures.box(one.mask, rng), one.x, one.y)
    if trial.gesture == "squiggle":
        return _moved(gestures.squiggle(one.mask, rng), one.x, one.y)
    click = (
        gestures.centroid_click(one.mask)
        if trial.gesture == "centroid"
        else gestures.click(one.mask, rng)
    )
    if trial.jitter_px:
        click = gestures.jittered(click, one.mask, trial.jitter_px, rng)
    return _moved(click, one.x, one.y)


def _moved(prompt: Prompt, dx: float, dy: float) -> Prompt:
    if isinstance(prompt, PointPrompt):
        return PointPrompt(prompt.x + dx, prompt.y + dy, prompt.positive)
    if isinstance(prompt, BoxPrompt):
        left, right = prompt.left + dx, prompt.right + dx
        return BoxPrompt(left, prompt.top + dy, right, prompt.bottom + dy, prompt.positive)
    xy = (prompt.xy + np.array([dx, dy])).astype(np.float32)
    return ScribblePrompt(xy, prompt.positive)


def _others(centres: Sequence[Prompt], i: int) -> tuple[Prompt, ...]:
    return (*centres[:i], *centres[i + 1 :])


def _ask(
    engine: PromptEngine, drawn: Sequence[Sequence[Prompt]], others: Sequence[tuple[Prompt, ...]]
) -> list[PromptAnswer]:
    nothing = Contours.empty()
    return engine.answer(
        [PromptRequest(tuple(p), nothing, o) for p, o in zip(drawn, others, strict=True)]
    )


def _correction(one: _Object, answer: PromptAnswer, rng: np.random.Generator) -> list[Prompt]:
    """A click where the answer is most wrong; none where it is right."""
    box, truth = _surroundings(one, answer)
    found = draw(answer.contours, np.array([1]), box, 1) > 0
    point = gestures.correction(truth, found, rng)
    return [] if point is None else [_moved(point, box.x, box.y)]


def _score(report: PromptReport, one: _Object, answer: PromptAnswer) -> None:
    box, truth = _surroundings(one, answer)
    found = draw(answer.contours, np.array([1]), box, 1) > 0
    both, sizes = int((truth & found).sum()), int(truth.sum() + found.sum())
    report.dice.append(2 * both / sizes)
    report.iou.append(both / (sizes - both))
    report.diameter_px.append(float(2 * np.sqrt(truth.sum() / np.pi)))
    report.score.append(answer.score)


def _surroundings(one: _Object, answer: PromptAnswer) -> tuple[Box, NDArray[np.bool_]]:
    """A box around both, and the truth in it."""
    height, width = one.mask.shape
    edges = [one.x, one.y, one.x + width, one.y + height]
    if not answer.is_empty:
        left, top, right, bottom = answer.contours.bounds[0]
        edges = [
            min(edges[0], int(left)),
            min(edges[1], int(top)),
            max(edges[2], int(right) + 1),
            max(edges[3], int(bottom) + 1),
        ]
    box = Box.from_edges(*edges)
    truth = np.zeros(box.shape, bool)
    truth[one.y - box.y : one.y - box.y + height, one.x - box.x : one.x - box.x + width] = one.mask
    return box, truth


def _together(answers: Sequence[PromptAnswer], box: Box) -> NDArray[np.uint32]:
    order = np.argsort([a.score for a in answers])
    contours = Contours.concat([answers[i].contours for i in order])
    return draw(contours, np.arange(1, len(order) + 1), box, 1)
