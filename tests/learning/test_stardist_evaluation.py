"""How a model is held against labelled regions."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histo.core import Box, Contours, ModelInfo, ObjectTable, Proposals, Thresholds
from napari_histo.learning.course.evaluation import (
    Exam,
    best_thresholds,
    evaluate_model,
    pooled,
)
from napari_histo.learning.course.sheets import Slides
from napari_histo.models import load_model
from napari_histo.ops.metrics import Agreement
from support.labelled import CLASSES, example, region, square

BOX = Box(32, 32, 64, 64)


class Told:
    """Finds what it is told, whatever it sees."""

    info = ModelInfo("told", "told", 0.5, channels="rgb", classes=CLASSES)
    margin_px, align_px, edge_px, batch_size = 0, 1, 0, 1
    percentiles = (1.0, 99.8)

    def __init__(self, found=None):
        self.found = found

    def room(self, side_px):
        return 1

    def adapt(self, samples):
        return self

    def on_cpu(self):
        return self

    def propose(self, images, min_prob):
        return [self.found]

    def select(self, proposals, thresholds):
        return np.arange(len(proposals))

    def reach_px(self, proposals):
        return 0.0

    def draw(self, proposals):
        return ObjectTable.build(proposals.contours, classes=CLASSES)


def proposals(*rings, prob=0.9):
    points = np.array([np.mean(r, axis=0) for r in rings], np.float32).reshape(-1, 2)
    probs = np.broadcast_to(np.float32(prob), len(rings)).astype(np.float32)
    return Proposals(points, probs, contours=Contours.from_rings(rings))


def counts(truth, found, ignored=None):
    one = example(rings=[square(0, 0)])._replace(labels=region("i", BOX, truth, ignored))
    exam = Exam.of(one, Slides(Told()), full_resolution=True)
    a = exam.mark(Told(), [proposals(*found)], Thresholds(0.5, 0.4))
    return a.n_matched[0], a.n_pred - a.n_matched[0], a.n_truth - a.n_matched[0]


IN, NEAR, EDGE, OUT = square(50, 50), square(70, 50), square(26, 60), square(22, 40)
HIDDEN = Contours.from_rings([square(45, 45, 20)])


@pytest.mark.parametrize(
    ("truth", "found", "expected"),
    [
        pytest.param([IN, NEAR], [IN, NEAR], (2, 0, 0), id="all"),
        pytest.param([IN, NEAR], [IN], (1, 0, 1), id="missed"),
        pytest.param([IN], [IN, NEAR], (1, 1, 0), id="invented"),
        pytest.param([IN], [square(58, 50)], (0, 1, 1), id="beside"),
        pytest.param([], [], (0, 0, 0), id="nothing"),
        pytest.param([EDGE], [EDGE], (0, 0, 0), id="owned-by-the-neighbour"),
        pytest.param([square(29, 60)], [square(29, 60)], (1, 0, 0), id="centroid-inside"),
        pytest.param([square(29, 60)], [square(26.5, 60)], (1, 0, 0), id="found-over-the-edge"),
        pytest.param([square(26.5, 60)], [square(28, 60)], (0, 0, 0), id="fits-the-neighbours"),
        pytest.param([], [OUT], (0, 0, 0), id="invented-outside"),
    ],
)
def test_objects_count_in_the_region_that_owns_them(truth, found, expected):
    assert counts(truth, found) == expected


@pytest.mark.parametrize(
    ("truth", "found", "expected"),
    [
        pytest.param([IN, NEAR], [NEAR], (1, 0, 0), id="true-one-ignored"),
        pytest.param([NEAR], [IN, NEAR], (1, 0, 0), id="found-one-ignored"),
        pytest.param([square(62, 50)], [square(62, 50)], (1, 0, 0), id="mostly-outside"),
        pytest.param([square(58, 50)], [], (0, 0, 0), id="mostly-inside"),
    ],
)
def test_ignored_areas_do_not_count(truth, found, expected):
    assert counts(truth, found, HIDDEN) == expected


def test_the_likeliest_threshold_is_found():
    one = example(rings=[square(0, 0)])._replace(labels=region("i", Box(0, 0, 128, 128), [IN]))
    model = Told(proposals(IN, NEAR, OUT, prob=[0.9, 0.6, 0.45]))
    exam = Exam.of(one, Slides(model))
    chosen, found = best_thresholds([exam], model, (0.4, 0.5, 0.7), (0.5,))
    assert chosen == Thresholds(0.7, 0.3)
    assert found.f1 == 1


def test_quarters_make_the_whole():
    """Each object counts once, however a region is cut."""
    one = example(seed=3)
    model = load_model("he-nuclei-fast", device="cpu", precision="float32")
    quarters = [
        one._replace(labels=region("i3", Box(x, y, 64, 64), _rings(one)))
        for y in (0, 64)
        for x in (0, 64)
    ]
    whole = pooled(evaluate_model(model, [one]))
    parts = pooled(evaluate_model(model, quarters))
    assert whole.n_truth == parts.n_truth > 15
    assert abs(whole.n_pred - parts.n_pred) <= 1
    assert abs(whole.n_matched[0] - parts.n_matched[0]) <= 2
    assert whole.f1 > 0.6


def test_scores_say_what_gates_need():
    one = example(seed=3)
    (score,) = evaluate_model(load_model("classical"), [(one.reader, one.labels)])
    words = score.as_dict()
    assert words["image"] == "i3"
    assert words["region"] == [0, 0, 128, 128]
    assert words["tp"] + words["fn"] == words["n_truth"] == score.n_truth
    assert words["tp"] + words["fp"] == score.agreement.n_pred
    assert 0.5 * score.tp <= score.iou_sum <= score.tp
    assert pooled([score, score]).n_truth == 2 * score.n_truth
    assert pooled([]) == Agreement()


def _rings(one):
    contours = one.labels.objects.contours
    return [contours.ring(i).astype(float) for i in range(len(contours))]
