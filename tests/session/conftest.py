"""A model that needs no network, and a controller whose threads a test can wait for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from napari_histo.core import (
    ClassScheme,
    Contours,
    ModelInfo,
    ObjectTable,
    PixelSize,
    Proposals,
    Thresholds,
)
from napari_histo.session import ImageChoice, SegmentController
from napari_histo.session.annotate.document import Document
from napari_histo.session.segment.controller import Tools
from napari_histo.slides import ArrayReader
from support.annotation_desk import Desk
from support.fake_qupath import squares
from support.inbox import Inbox
from support.learning_room import Room as LearningRoom
from support.qupath_room import Room, look

CORNERS = np.array([[-2, -2], [2, -2], [2, 2], [-2, 2]], np.float32)
DOTS = ModelInfo(
    "dots", "fake", channels="gray", classes=ClassScheme.of("Dot"), thresholds=Thresholds(0.5)
)


@dataclass
class DotModel:
    """Takes every bright pixel for an object of 4 x 4 px; its brightness is the probability."""

    info: ModelInfo = DOTS
    margin_px: int = 4
    align_px: int = 1
    edge_px: int = 0
    batch_size: int = 1
    percentiles: None = None
    calls: int = 0
    hold: Callable[[], object] = field(default=lambda: None)

    def adapt(self, samples):
        return self

    def room(self, side_px):
        return 100

    def on_cpu(self):
        return self

    def propose(self, images, min_prob):
        self.calls += 1
        self.hold()
        return [self._dots(image[..., 0], min_prob) for image in images]

    def _dots(self, image, min_prob):
        y, x = np.nonzero(image > min_prob)
        return Proposals(np.stack([x, y], 1).astype(np.float32) + 0.5, image[y, x])

    def select(self, proposals, thresholds):
        """Dots nearer than 10 px times the strictness shadow the fainter one."""
        near = 10 * (1 - thresholds.nms)
        kept: list[int] = []
        for i in np.argsort(-proposals.prob, kind="stable"):
            far = [np.hypot(*(proposals.points[i] - proposals.points[k])) >= near for k in kept]
            if proposals.prob[i] > thresholds.prob and all(far):
                kept.append(int(i))
        return np.sort(np.array(kept, np.int64))

    def reach_px(self, proposals):
        return 10.0

    def draw(self, proposals):
        return ObjectTable.build(
            Contours.from_star(proposals.points[:, None] + CORNERS),
            det_prob=proposals.prob,
            classes=self.info.classes,
            source="dots",
        )


class Bench:
    """A controller with fakes around it; `wait` does what a window's event loop would do."""

    def __init__(self, model=None, **tools):
        self._inbox = Inbox()
        self.model = model or DotModel()
        self.saved: list = []
        self.loads = 0
        defaults = {
            "load_model": self._load,
            "find_devices": lambda: ("auto", "cpu"),
            "save": lambda result, path: self.saved.append((result, path)),
        }
        self.controller = SegmentController(self._inbox, Tools(**{**defaults, **tools}))
        self.state = self.controller.state
        self.controller.choose_model(self.model.info)

    def _load(self, name, device):
        self.loads += 1
        return self.model

    def wait(self, until):
        self._inbox.wait(until)


@pytest.fixture
def bench():
    return Bench


@pytest.fixture
def dots():
    """Image of 60 x 100 px with dots of brightness 0.2 to 0.9, two of them 5 px apart."""
    pixels = np.zeros((60, 100), np.uint8)
    for x, y, value in ((10, 10, 0.9), (15, 10, 0.7), (40, 30, 0.6), (80, 50, 0.4), (90, 8, 0.2)):
        pixels[y, x] = round(255 * value)
    return pixels


@pytest.fixture
def choice(dots):
    def make(key="a", um=None, hint_um=None, pixels=dots):
        size = None if um is None else PixelSize.square(um)
        reader = ArrayReader(pixels, name=f"image {key}", pixel_size=size)
        return ImageChoice(key, reader, hint_um)

    return make


@pytest.fixture
def room(tmp_path):
    """A QuPath project that is not opened yet."""
    room = Room(tmp_path)
    yield room
    room.session.close()
    room.desk.close()


@pytest.fixture
def learning_room(tmp_path):
    """A session of a learning project that is not opened yet."""
    room = LearningRoom(tmp_path)
    yield room
    room.desk.close()
    room.session.close()


@pytest.fixture
def in_step(room):
    """The same with five objects on both sides."""
    room.open()
    room.qupath.save(squares(5))
    room.looked()
    room.bring()
    assert look(room.ours) == look(squares(5))
    return room


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path)
    made.controller.add_class("Tumor")
    made.controller.add_class("Stroma")
    made.controller.relabel("Tumor")
    yield made
    made.controller.close()


@pytest.fixture
def open_document(tmp_path):
    """Opens the document of an image whose files lie in `tmp_path`."""

    def open_(target: str = "slide.geojson", **options) -> Document:
        return Document.open(
            tmp_path / target, "slide", data_folder=tmp_path / "user data", **options
        )

    return open_
