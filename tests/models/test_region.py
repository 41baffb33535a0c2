"""The region network sees no farther than its margin, and its folder keeps all of it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from napari_histo.core import ClassScheme, ModelInfo
from napari_histo.core.regions import RegionSegmenter
from napari_histo.errors import ModelError, WriteError
from napari_histo.models import load_model
from napari_histo.models.region.net import DIVISOR, MARGIN, RegionNet
from napari_histo.models.region.segmenter import (
    NetShape,
    TorchRegionSegmenter,
    load_region_model,
    save_region_model,
)


def info(pixel_um=4.0):
    return ModelInfo(
        "mine", "regions", pixel_um, channels="rgb", classes=ClassScheme.of("Tumor", "Stroma")
    )


def model(*, guided=False, pixel_um=4.0, seed=0):
    shape = NetShape(3, 3, guided, width=4)
    guide = model(pixel_um=16.0, seed=1) if guided else None
    torch.manual_seed(seed)
    return TorchRegionSegmenter(shape.build(), shape, info(pixel_um), guide=guide, device="cpu")


def pictures(n, *shape, seed=0):
    return np.random.default_rng(seed).uniform(0, 1, (n, *shape, 3)).astype(np.float32)


def test_the_network_is_small():
    assert sum(p.numel() for p in RegionNet(3, 5).parameters()) < 1_000_000


def test_answers_are_probabilities_of_the_pictures_size():
    answer = model().predict(pictures(2, 37, 50))
    assert answer.shape == (2, 37, 50, 3)
    np.testing.assert_allclose(answer.sum(axis=-1), 1, atol=1e-5)
    assert isinstance(model(), RegionSegmenter)


def test_a_tile_with_its_margin_answers_as_the_whole_does():
    image, segmenter = pictures(1, 352, 96), model()
    whole = segmenter.predict(image)
    start = 128 - MARGIN
    tile = segmenter.predict(image[:, start : 160 + MARGIN])
    np.testing.assert_allclose(tile[:, MARGIN : MARGIN + 32], whole[:, 128:160], atol=1e-5)
    assert start % DIVISOR == 0


def test_a_guide_changes_the_answer_and_may_be_missing():
    segmenter, image = model(guided=True), pictures(1, 32, 32)
    guide = np.zeros((1, 32, 32, 3), np.float32)
    np.testing.assert_array_equal(segmenter.predict(image), segmenter.predict(image, guide))
    guide[..., 1] = 1
    assert abs(segmenter.predict(image) - segmenter.predict(image, guide)).max() > 1e-3


@pytest.mark.parametrize("guided", [False, True], ids=["alone", "guided"])
def test_a_folder_keeps_the_model(tmp_path, guided):
    before, image = model(guided=guided), pictures(1, 32, 48)
    save_region_model(tmp_path / "mine", before, {"images": ["a.svs"]})
    after = load_region_model(tmp_path / "mine", device="cpu")
    np.testing.assert_array_equal(after.predict(image), before.predict(image))
    assert after.info.classes.names == ("Tumor", "Stroma")
    assert (after.info.name, after.info.pixel_size_um) == ("mine", 4.0)
    assert (after.guide is not None) == guided
    if guided:
        assert after.guide.info.pixel_size_um == 16.0
        np.testing.assert_array_equal(after.guide.predict(image), before.guide.predict(image))
    card = json.loads((tmp_path / "mine" / "card.json").read_text())
    assert card["images"] == ["a.svs"]


def test_a_folder_with_something_else_in_it_is_not_replaced(tmp_path):
    folder = tmp_path / "mine"
    for _ in range(2):
        save_region_model(folder, model(guided=True))
    (folder / "guide" / "notes.txt").write_text("a year of work")
    with pytest.raises(WriteError, match=r"stands there: guide/notes\.txt; choose a new folder"):
        save_region_model(folder, model())
    assert (folder / "guide" / "notes.txt").read_text() == "a year of work"


def _rewrite(path, **words):
    path.write_text(json.dumps(json.loads(path.read_text()) | words))


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        pytest.param(lambda f: (f / "config.json").unlink(), "config.json", id="no-config"),
        pytest.param(
            lambda f: _rewrite(f / "config.json", width="wide"), "format 1", id="bad-config"
        ),
        pytest.param(
            lambda f: _rewrite(f / "config.json", width=8), "does not hold", id="other-net"
        ),
        pytest.param(
            lambda f: _rewrite(f / "card.json", classes=["Tumor"]), "Copy the model", id="classes"
        ),
        pytest.param(
            lambda f: _rewrite(f / "card.json", family="stardist"), "stardist", id="other-family"
        ),
        pytest.param(
            lambda f: (f / "weights.safetensors").write_bytes(b"no"), "does not hold", id="damaged"
        ),
    ],
)
def test_a_damaged_folder_is_told(tmp_path, harm, words):
    save_region_model(tmp_path / "mine", model())
    harm(tmp_path / "mine")
    with pytest.raises(ModelError, match=words):
        load_region_model(tmp_path / "mine")


def test_a_picture_of_other_channels_is_told():
    with pytest.raises(ModelError, match="3 channel"):
        model().predict(pictures(1, 32, 32)[..., :1])


def test_a_region_model_is_not_taken_for_one_of_nuclei(tmp_path):
    save_region_model(tmp_path / "mine", model())
    with pytest.raises(ModelError, match="regions predict"):
        load_model(str(tmp_path / "mine"))
