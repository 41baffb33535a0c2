"""An annotator's desk without a window: an open image, and a model that answers at once."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from napari_histo.core import (
    Box,
    ClassScheme,
    Contours,
    ObjectTable,
    PixelSize,
    PointPrompt,
    PromptAnswer,
)
from napari_histo.session import AnnotationController, AnnotationTools, ImageChoice
from napari_histo.slides import ArrayReader
from support.inbox import PATIENCE_S


class Discs:
    """An engine that answers every gesture with a disc around its first point."""

    def __init__(self):
        self.requests, self.error, self.empty = [], None, False

    def reach_px(self, prompts):
        return Box(0, 0, 1000, 800)

    def answer(self, requests):
        self.requests += requests
        if self.error is not None:
            raise self.error
        if self.empty:
            return [PromptAnswer(Contours.empty(1), 0.0) for _ in requests]
        return [self._disc(r.prompts) for r in requests]

    def _disc(self, prompts):
        first = prompts[0]
        if isinstance(first, PointPrompt):
            x, y, radius = first.x, first.y, 10.0
        elif hasattr(first, "left"):
            x, y = (first.left + first.right) / 2, (first.top + first.bottom) / 2
            radius = (first.right - first.left) / 2
        else:
            (x, y), radius = first.xy.mean(axis=0), 30.0
        radius -= 2 * sum(not p.positive for p in prompts)
        angle = np.linspace(0, 2 * np.pi, 33)
        ring = np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1)
        return PromptAnswer(Contours.from_rings([ring]), 0.8)


@dataclass
class Later:
    """Keeps what threads post until `run`: the test is the window's thread."""

    posted: list = field(default_factory=list)

    def __call__(self, work):
        self.posted.append(work)

    def run(self, until):
        end = time.monotonic() + PATIENCE_S
        while not until():
            assert time.monotonic() < end, "nothing came"
            if self.posted:
                self.posted.pop(0)()
            else:
                time.sleep(0.001)


class Desk:
    """A controller with an open image, and the engine behind it."""

    def __init__(self, folder, table=None, name="slide"):
        self.engine, self.later = Discs(), Later()
        tools = AnnotationTools(lambda reader, size: self.engine)
        self.controller = AnnotationController(self.later, tools)
        pixels = np.zeros((800, 1000, 3), np.uint8)
        reader = ArrayReader(pixels, name=name, pixel_size=PixelSize.square(0.25), is_rgb=True)
        self.target = folder / f"{name}.geojson"
        self.controller.open(ImageChoice(name, reader), target=self.target, table=table)
        self.later.run(lambda: self.state.is_open or self.state.error)

    @property
    def state(self):
        return self.controller.state

    @property
    def table(self):
        return self.controller.objects.table()

    def settle(self):
        self.later.run(lambda: not self.state.in_flight)

    def click(self, x, y, **how):
        self.controller.click(x, y, **how)
        self.settle()

    def save(self, path=None):
        before = self.state.kept.saved_at
        self.controller.save(path)
        self.later.run(lambda: self.state.kept.saved_at != before or self.state.error)

    def content(self):
        return content(self.table)


def content(table):
    return {
        i: (table.class_names[k], int(table.state[k]), table.contours.ring(k).tolist())
        for k, i in enumerate(table.uuids())
    }


def predicted(n=4):
    angle = np.linspace(0, 2 * np.pi, 17)
    rings = [
        np.stack([100 + 60 * k + 9 * np.cos(angle), 400 + 9 * np.sin(angle)], axis=1)
        for k in range(n)
    ]
    return ObjectTable.build(
        Contours.from_rings(np.round(rings, 2)),
        det_prob=[0.9, 0.5, 0.7, 0.6][:n],
        classes=ClassScheme.of("Nucleus"),
        source="he-nuclei",
    )
