"""How large the objects of an image are, where nobody says it; and files that are refused."""

from __future__ import annotations

import os

import numpy as np
import pytest

from napari_histo.core import PixelSize
from napari_histo.core.segmenters import SizingSegmenter
from napari_histo.errors import ModelError
from napari_histo.models import load_model
from napari_histo.models.cellpose.net import save_cellpose_net
from napari_histo.models.cellpose.size import SizeModel, read_size_model
from napari_histo.pipeline import SegmentRequest, segment
from napari_histo.slides import ArrayReader
from support.cellpose_nets import random_net
from support.lattice import finish

WORDS = {
    "A": np.array([[0.5, -0.25, 0.0, 1.0]]),
    "smean": np.array([0.1, 0.2, 0.3, 0.4]),
    "ymean": np.float64(0.1),
    "diam_mean": np.array([30.0], np.float32),
}


def saved(path, words=WORDS):
    np.save(path, words, allow_pickle=True)
    return path


def test_the_regression_is_that_of_the_package(tmp_path):
    """As ``SizeModel._size_estimation`` of version 3 computes it."""
    model = read_size_model(saved(tmp_path / "size.npy"), 4)
    style = np.array([0.6, 0.4, -0.2, 0.66])
    slope = WORDS["A"] @ (style - WORDS["smean"])
    assert model.diameter_px(style) == pytest.approx(
        np.exp(slope + np.log(30.0) + WORDS["ymean"]).item()
    )
    assert model.diameter_px(np.full(4, -9.0)) == 5


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_files_of_all_ages_are_read(tmp_path, protocol):
    import pickle

    saved(tmp_path / "size.npy")
    header = (tmp_path / "size.npy").read_bytes()[:128]
    array = np.array(WORDS, dtype=object)
    (tmp_path / "old.npy").write_bytes(header + pickle.dumps(array, protocol))
    assert read_size_model(tmp_path / "old.npy", 4).log_px == pytest.approx(np.log(30) + 0.1)


class Bomb:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_file_that_runs_code_is_refused_and_not_run(tmp_path):
    trace = tmp_path / "it-ran"
    path = saved(tmp_path / "size.npy", WORDS | {"A": Bomb(trace)})
    with pytest.raises(ModelError, match=r"refused.*mkdir.*could run a stranger's code"):
        read_size_model(path, 4)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        pytest.param({"A": np.zeros(4)}, "KeyError", id="others-missing"),
        pytest.param([1, 2], "dictionary", id="a-list"),
        pytest.param(WORDS | {"A": np.zeros(3)}, "styles of 3 numbers", id="another-network"),
        pytest.param(WORDS | {"A": np.full(4, np.nan)}, "not finite", id="nan"),
        pytest.param(WORDS | {"diam_mean": -1.0}, "not finite", id="no-diameter"),
        pytest.param(WORDS | {"A": "text"}, "ValueError", id="text"),
    ],
)
def test_other_files_are_told(tmp_path, words, says):
    with pytest.raises(ModelError, match=says):
        read_size_model(saved(tmp_path / "size.npy", words), 4)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"garbage" * 50], ids=len)
def test_damaged_files_are_told(tmp_path, content):
    (tmp_path / "size.npy").write_bytes(content)
    with pytest.raises(ModelError, match="no size model"):
        read_size_model(tmp_path / "size.npy", 4)


class TestInThePipeline:
    @pytest.fixture
    def file(self, tmp_path):
        save_cellpose_net(tmp_path / "mine", random_net(diam_mean_px=17.0))
        return tmp_path / "mine"

    @staticmethod
    def scale(model, um=None):
        """Image px per model px."""
        pixels = np.random.default_rng(0).integers(0, 999, (120, 130, 1)).astype(np.uint16)
        size = None if um is None else PixelSize.square(um)
        reader = ArrayReader(pixels, name="x", pixel_size=size, is_rgb=False)
        found, _ = finish(segment(reader, model, SegmentRequest()))
        return found._plan.frame.scale[0]

    def test_style_sets_the_scale(self, file):
        """A size model that finds objects of 34 px in anything."""
        flat = {"A": np.zeros(16), "smean": np.zeros(16), "ymean": np.log(2.0), "diam_mean": 17.0}
        saved(file.with_name("size_mine.npy"), flat)
        model = load_model(str(file), device="cpu")
        assert isinstance(model, SizingSegmenter)
        assert self.scale(model) == pytest.approx(2.0, rel=0.01)
        assert self.scale(model, um=0.5) == 1.0

    def test_the_style_is_that_of_all_windows(self, file):
        """Two images of one window each, or one image that is both: the styles add up."""
        rng = np.random.default_rng(1)
        images = [rng.normal(size=(64, 64, 1)).astype(np.float32) for _ in range(2)]
        model = load_model(str(file), device="cpu")
        slope = np.eye(16)[3]
        sizes = SizeModel(slope, np.zeros(16), np.log(30.0))
        model._size = sizes
        alone = [np.log(model.guess_diameter_px([image]) / 30) for image in images]
        both = np.log(model.guess_diameter_px(images) / 30)
        assert min(alone) * 0.99 <= both <= max(alone) * 1.05

    def test_without_a_size_model_the_training_objects_count(self, tmp_path):
        """As in the package: ``diam_labels`` of the user's own network."""
        import torch

        net = random_net(diam_mean_px=17.0)
        net.diam_labels.data = torch.tensor([34.0])
        save_cellpose_net(tmp_path / "mine", net)
        model = load_model(str(tmp_path / "mine"), device="cpu")
        assert self.scale(model) == pytest.approx(2.0, rel=0.01)
        assert self.scale(model, um=0.5) == 1.0
