"""The StarDist segmenter: its margin, its precisions, its devices."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_histo.core import ClassScheme, ModelInfo, Segmenter, Thresholds
from napari_histo.errors import ModelError
from napari_histo.models._device import devices, pick_device, pick_precision
from napari_histo.models.stardist.config import StarDistConfig
from napari_histo.models.stardist.net import StarDistNet
from napari_histo.models.stardist.nms import suppress
from napari_histo.models.stardist.segmenter import StarDistSegmenter


def make(seed=0, *, precision="float32", **words):
    """A segmenter of a small net with random weights that propose something nearly everywhere."""
    torch.manual_seed(seed)
    config = StarDistConfig(**{"unet_n_depth": 2, "unet_n_filter_base": 8, **words})
    net = StarDistNet(config).eval()
    with torch.no_grad():
        net.layers["dist"].bias.fill_(7.0)
        net.layers["prob"].weight.mul_(30)
    n_classes = config.n_classes or 1
    names = (f"Class {i}" for i in range(n_classes))
    info = ModelInfo("net", "stardist", 0.25, channels="rgb", classes=ClassScheme.of(*names))
    return StarDistSegmenter(net, info, device="cpu", precision=precision)


def pictures(n=1, height=97, width=130, channels=3):
    return np.random.default_rng(1).random((n, height, width, channels)).astype(np.float32)


def test_keeps_the_protocol():
    assert isinstance(make(), Segmenter)


@pytest.mark.parametrize(
    "words",
    [{}, {"grid": (1, 1)}, {"grid": (4, 4)}, {"unet_n_depth": 3}, {"net_conv_after_unet": 0}],
    ids=str,
)
def test_nothing_beyond_the_margin_matters(words):
    model = make(**words)
    side = 2 * model.margin_px + 4 * model.align_px
    inner, outer = pictures(1, side, side), np.random.default_rng(2).random((1, side, side, 3))
    middle = side // 2 // model.align_px * model.align_px
    near = slice(middle - model.margin_px, middle + model.align_px + model.margin_px)
    outer = outer.astype(np.float32)
    outer[:, near, near] = inner[:, near, near]
    grid = model.config.grid[0]
    cell = slice(middle // grid, (middle + model.align_px) // grid)
    for a, b in zip(model._forward(inner)[:2], model._forward(outer)[:2], strict=True):
        torch.testing.assert_close(a[..., cell, cell], b[..., cell, cell])


def test_half_the_margin_would_not_do():
    """The test above can fail: closer than the receptive field, something changes."""
    model = make()
    side = 2 * model.margin_px + 4 * model.align_px
    inner = pictures(1, side, side)
    outer, middle = 1 - inner, side // 2
    near = slice(middle - model.margin_px // 4, middle + model.margin_px // 4)
    outer[:, near, near] = inner[:, near, near]
    cell = middle // model.config.grid[0]
    a, b = (model._forward(x)[1][..., cell, cell] for x in (inner, outer))
    assert (a - b).abs().max() > 1e-4


def test_bfloat16_finds_the_same_objects_within_tolerance():
    exact, quick = make(), make(precision="bfloat16")
    a, b = (m.propose(pictures(), 0.5)[0] for m in (exact, quick))
    shared = {tuple(p) for p in a.points} & {tuple(p) for p in b.points}
    assert len(shared) > 0.9 * max(len(a), len(b))
    rows = [np.array([tuple(p) in shared for p in x.points]) for x in (a, b)]
    difference = a.columns["dist"][rows[0]] - b.columns["dist"][rows[1]]
    assert np.abs(difference).mean() < 0.1


def test_a_batch_is_its_images_one_by_one():
    model, images = make(), pictures(3)
    together = model.propose(images, 0.5)
    for image, batch in zip(images, together, strict=True):
        alone = model.propose(image[None], 0.5)[0]
        assert (alone.points == batch.points).all()
        np.testing.assert_allclose(alone.columns["dist"], batch.columns["dist"], atol=1e-4)


def test_points_and_outlines_are_where_the_pixels_are():
    model, images = make(), pictures()
    found = model.propose(images, 0.5)[0]
    prob = model._forward(images)[0][0]
    x, y = found.points.astype(int).T
    assert (prob[y // 2, x // 2].numpy() == found.prob).all()
    outlines = model.draw(found).contours
    # Half a pixel from the centre of pixel (x, y) to its corner; ray 0 points along +x.
    first = np.stack([outlines.ring(i)[0] for i in range(len(found))])
    np.testing.assert_allclose(first[:, 0], x + 0.5 + found.columns["dist"][:, 0], rtol=1e-6)
    np.testing.assert_allclose(first[:, 1], y + 0.5, atol=1e-4)


def test_classes_come_with_the_objects():
    model = make(n_classes=3)
    table = model.segment(pictures())[0]
    assert len(table)
    assert set(table.class_id.tolist()) <= {-1, 0, 1, 2}
    assert (table.class_prob > 1 / 4).all()


def test_wrong_channels_are_refused():
    with pytest.raises(ModelError, match=r"wants 3 channel.*has 1"):
        make().propose(pictures(channels=1), 0.5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (5, 3), (16, 16)], ids=str)
def test_tiny_images(shape):
    make().segment(pictures(1, *shape))


def test_suppression_breaks_ties_by_position():
    rng = np.random.default_rng(0)
    points = rng.integers(0, 60, (300, 2)).astype(np.float32)
    points = np.unique(points, axis=0)
    dist, prob = np.full((len(points), 32), 6, np.float32), np.full(len(points), 0.7, np.float32)
    shuffled = rng.permutation(len(points))
    a = {tuple(points[i]) for i in suppress(points, dist, prob, 0.3)}
    b = {tuple(points[shuffled][i]) for i in suppress(points[shuffled], dist, prob, 0.3)}
    assert a == b


def test_importing_stardist_leaves_warnings_alone():
    import warnings

    before = warnings.formatwarning
    suppress(np.zeros((1, 2), np.float32), np.ones((1, 8), np.float32), np.ones(1, np.float32), 0.5)
    assert warnings.formatwarning is before


class TestDevices:
    def test_auto_takes_the_first_real_one(self):
        assert pick_device("auto") == devices()[1]

    def test_unknown_device(self):
        with pytest.raises(ModelError, match=r"'tpu' is not available.*cpu"):
            pick_device("tpu")

    def test_unknown_precision(self):
        with pytest.raises(ModelError, match="float32"):
            pick_precision("int3", "cpu")

    @pytest.mark.gpu
    def test_gpu_agrees_with_cpu(self):
        gpu = next((d for d in devices() if d in ("cuda", "mps")), None)
        if gpu is None:
            pytest.skip("no GPU here")
        cpu_model = make()
        gpu_model = make()
        gpu_model._net.to(gpu)
        gpu_model.device = gpu
        a, b = (m.propose(pictures(), 0.5)[0] for m in (cpu_model, gpu_model))
        assert abs(len(a) - len(b)) <= 0.01 * len(a)


def test_default_thresholds_are_the_cards():
    assert make().info.thresholds == Thresholds(0.5, 0.4)
