"""What a batch teaches: only what is known, in parts as at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_histo.learning.stardist.targets import (
    LOSS_WEIGHTS,
    Batch,
    Patch,
    Totals,
    distillation,
    loss_terms,
)
from napari_histo.models.stardist.config import StarDistConfig
from napari_histo.models.stardist.targets import star_targets

CONFIG = StarDistConfig(n_rays=8, grid=(2, 2), n_classes=2)


def patch(seed=0, known=None, shaped=None, is_replayed=False):
    rng = np.random.default_rng(seed)
    labels = np.zeros((32, 32), np.int32)
    labels[4:14, 6:16], labels[18:28, 14:26] = 1, 2
    everywhere = np.ones((32, 32), bool)
    image = torch.from_numpy(rng.normal(size=(3, 32, 32)).astype(np.float32))
    return Patch(
        image,
        labels,
        everywhere if known is None else known,
        everywhere if shaped is None else shaped,
        np.array([0, 1, -1]),
        is_replayed,
    )


def outputs(n, seed=0):
    torch.manual_seed(seed)
    shapes = [(n, 1, 16, 16), (n, 8, 16, 16), (n, 3, 16, 16)]
    return tuple((torch.randn(s) * 3 + 3).requires_grad_() for s in shapes)


def total(found, batch, totals=None):
    terms = loss_terms(found, batch, totals)
    return sum(LOSS_WEIGHTS[k] * v for k, v in terms.items())


def test_targets_are_distances_to_the_edge():
    labels = np.zeros((32, 32), np.int32)
    labels[8:24, 8:24] = 1
    prob, dist = star_targets(labels, 4, (2, 2))
    assert prob.shape == (16, 16)
    assert dist.shape == (4, 16, 16)
    assert prob[8, 8] > 0.9
    assert prob[0, 0] == 0
    assert dist[:, 8, 8] == pytest.approx(8, abs=1)


@pytest.mark.parametrize("name", ["prob", "dist", "class"])
def test_unknown_pixels_carry_no_loss(name):
    known = np.ones((32, 32), bool)
    known[:, 16:] = False
    found = outputs(1)
    total(found, Batch.of([patch(known=known)], CONFIG)).backward()
    grad = found[["prob", "dist", "class"].index(name)].grad
    assert bool((grad[..., 8:] == 0).all())
    assert bool((grad[..., :8] != 0).any())


def test_cut_objects_teach_where_they_are_but_not_how_far_they_reach():
    shaped = np.ones((32, 32), bool)
    shaped[18:28, 14:26] = False
    found = outputs(1)
    total(found, Batch.of([patch(shaped=shaped)], CONFIG)).backward()
    inside = np.s_[0, :, 10:13, 8:12]
    assert bool((found[1].grad[inside] == 0).all())
    assert bool((found[0].grad[inside] != 0).all())


def test_an_object_without_a_class_teaches_no_class():
    found = outputs(1)
    total(found, Batch.of([patch()], CONFIG)).backward()
    assert bool((found[2].grad[0, :, 10:13, 8:12] == 0).all())
    assert bool((found[2].grad[0, :, 3:6, 4:7] != 0).all())


def test_a_batch_without_anything_known_teaches_nothing():
    nothing = np.zeros((32, 32), bool)
    batch = Batch.of([patch(known=nothing)] * 2, CONFIG)
    assert float(total(outputs(2), batch).detach()) == 0


def test_in_parts_as_at_once():
    known = np.ones((32, 32), bool)
    known[20:] = False
    batch = Batch.of([patch(0), patch(1, known=known), patch(2)], CONFIG)
    whole, parts = outputs(3), outputs(3)
    total(whole, batch).backward()
    totals = Totals.of(batch)
    for start, stop in ((0, 2), (2, 3)):
        some = tuple(t[start:stop] for t in parts)
        total(some, batch.part(slice(start, stop)), totals).backward()
    for a, b in zip(whole, parts, strict=True):
        torch.testing.assert_close(a.grad, b.grad)


class TestDistillation:
    """Holding on to a teacher's answers."""

    def test_an_equal_answer_costs_nothing(self):
        found = outputs(2)
        far, n = distillation(found, found, torch.ones(2, 1, 16, 16))
        assert float(far.detach()) == pytest.approx(0, abs=1e-3)
        assert int(n) == 2 * 256

    def test_it_pulls_towards_the_teacher_where_it_is_heard(self):
        found, teacher = outputs(1), outputs(1, seed=5)
        where = torch.zeros(1, 1, 16, 16)
        where[..., :8] = 1
        far, _ = distillation(found, teacher, where)
        far.backward()
        assert float(far.detach()) > 0
        for t, said in zip(found[:2], teacher[:2], strict=True):
            assert bool((t.grad[..., 8:] == 0).all())
            towards = (said - t).sign()[..., :8] == -t.grad.sign()[..., :8]
            assert bool(towards.all())
