"""A network that learned with dropout says where it is unsure; others say that they cannot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_histo.core import PixelSize
from napari_histo.errors import LearningError
from napari_histo.learning.scoring import ScoreRequest, score_image
from napari_histo.learning.strategies import strategy
from napari_histo.models import get_info
from napari_histo.models.registry import model_folder
from napari_histo.models.stardist.files import load_shipped
from napari_histo.models.stardist.net import StarDistNet
from napari_histo.models.stardist.segmenter import StarDistSegmenter
from napari_histo.slides import ArrayReader
from napari_histo.testing.synthetic import make_he_field
from support.learning import drive

NAME = "he-nuclei-fast"
REQUEST = ScoreRequest(region_px=160, views=(), dropout=2)


def segmenter(dropout):
    """The shipped network, as if it had learned with dropout."""
    shipped, thresholds = load_shipped(model_folder(NAME))
    net = StarDistNet(replace(shipped.config, unet_dropout=dropout))
    net.load_state_dict(shipped.state_dict())
    info = replace(get_info(NAME), thresholds=thresholds)
    return StarDistSegmenter(net.eval(), info, device="cpu", precision="float32")


@pytest.fixture(scope="module")
def reader():
    drawn = make_he_field(np.random.default_rng(0), 320)
    return ArrayReader(drawn.image, pixel_size=PixelSize.square(0.5))


@pytest.fixture(scope="module")
def dropping():
    return segmenter(0.2)


def same(one, other):
    return one.prob.shape == other.prob.shape and bool((one.prob == other.prob).all())


def test_a_seed_leaves_out_the_same_parts_and_prediction_stays_whole(dropping):
    image = np.random.default_rng(1).random((1, 64, 64, 3)).astype(np.float32)
    before = dropping.propose(image, 0.01)[0]
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first, again, other = (dropping.propose_dropped(image, 0.01, seed)[0] for seed in (0, 0, 1))
    assert torch.equal(torch.rand(3), expected), "the caller's random numbers are left alone"
    assert same(first, again)
    assert not same(first, other)
    assert not same(first, before)
    assert same(dropping.propose(image, 0.01)[0], before)


def test_the_signal_is_what_changes_when_parts_are_left_out(reader, dropping):
    pool = drive(score_image("i", reader, dropping, REQUEST))
    signal = pool.signals["dropout"]
    assert ((signal > 0) & (signal <= 1)).all()
    again = drive(score_image("i", reader, dropping, REQUEST)).signals["dropout"]
    np.testing.assert_array_equal(signal, again)
    chosen = strategy("dropout").select(pool, 1, np.random.default_rng(0))
    assert chosen.candidates[0] == pool.candidates[int(signal.argmax())]
    assert "left out" in chosen.reasons[0]
    gentle = drive(score_image("i", reader, segmenter(0.02), REQUEST)).signals["dropout"]
    assert gentle.mean() < signal.mean()


def test_a_network_without_dropout_says_so(reader):
    model = segmenter(0.0)
    assert not model.has_dropout
    pool = drive(score_image("i", reader, model, REQUEST))
    assert "dropout" not in pool.signals
    with pytest.raises(LearningError, match="learned without dropout"):
        strategy("dropout").select(pool, 1, np.random.default_rng(0))
