"""Files and names of Cellpose's networks: what is read, what is refused, and what is said."""

from __future__ import annotations

import hashlib
import os
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from napari_histo.core import Box, ModelInfo, Tile
from napari_histo.errors import ModelError, ModelUnavailableError
from napari_histo.models import get_info, is_available, list_models, load_model
from napari_histo.models.cellpose.net import (
    CellposeNet,
    CellposeShape,
    load_cellpose_net,
    save_cellpose_net,
)
from napari_histo.models.cellpose.segmenter import CellposeSegmenter
from support.cellpose_nets import formula_weights, random_net


@pytest.fixture(autouse=True)
def models_folder(tmp_path, monkeypatch):
    """An empty place for Cellpose's downloads, whatever this machine has."""
    folder = tmp_path / "cellpose-models"
    folder.mkdir()
    monkeypatch.setenv("CELLPOSE_LOCAL_MODELS_PATH", str(folder))
    return folder


def saved(path, **words):
    save_cellpose_net(path, random_net(**words))
    return path


class TestTheNetwork:
    def test_its_names_and_shapes_are_those_of_the_published_files(self):
        """As ``torch.load`` lists them in files of Cellpose 3."""
        weights = CellposeNet(CellposeShape()).state_dict()
        shapes = {k: tuple(v.shape) for k, v in weights.items()}
        assert shapes["downsample.down.res_down_0.conv.conv_0.2.weight"] == (32, 2, 3, 3)
        assert shapes["downsample.down.res_down_3.proj.1.weight"] == (256, 128, 1, 1)
        assert shapes["upsample.up.res_up_3.conv.conv_1.full.weight"] == (256, 256)
        assert shapes["upsample.up.res_up_0.conv.conv_3.conv.2.bias"] == (32,)
        assert shapes["output.2.weight"] == (3, 32, 1, 1)
        assert shapes["diam_mean"] == shapes["diam_labels"] == (1,)

    def test_fields_are_those_of_cellpose_3(self):
        """Figures of ``cellpose.core.run_net`` 3.1.1, with its own network, on six windows."""
        net = CellposeNet(CellposeShape((2, 8, 12, 16, 24)))
        net.load_state_dict(formula_weights())
        rows, columns = np.mgrid[:310, :250]
        first = np.sin(rows / 7) * np.cos(columns / 11) + 0.3 * np.sin(rows * columns / 997)
        image = np.stack([first, np.cos(rows / 13 + columns / 5)], -1).astype(np.float32)
        extent = Box(0, 0, 250, 310)
        model = CellposeSegmenter(net.eval(), ModelInfo("x", "cellpose"), device="cpu")
        (found,) = model.fields(image[None], [Tile(0, extent, extent)], extent)
        expected = {
            (0, 0): (-0.33149, -0.80839, -1.12671),
            (155, 125): (-0.43649, -0.91055, -1.2063),
            (100, 33): (-0.35045, -0.80342, -1.09877),
            (210, 249): (-0.52375, -0.991, -1.2644),
            (309, 3): (-0.65867, -1.09306, -1.31387),
            (222, 190): (-0.37879, -0.79255, -1.05079),
        }
        for (y, x), values in expected.items():
            assert found[:, y, x] == pytest.approx(values, abs=5e-5)
        assert found.mean(axis=(1, 2)) == pytest.approx((-0.45447, -0.9007, -1.17053), abs=5e-5)


class TestReading:
    def test_a_file_comes_back_as_it_was(self, tmp_path):
        net = random_net(3, diam_mean_px=21.0)
        save_cellpose_net(tmp_path / "mine", net)
        again = load_cellpose_net(tmp_path / "mine")
        assert float(again.diam_mean) == 21
        for key, value in net.state_dict().items():
            assert torch.equal(again.state_dict()[key], value.float())

    def test_files_of_before_the_diameter_was_kept_are_read(self, tmp_path):
        weights = {k: v for k, v in random_net().state_dict().items() if "diam" not in k}
        torch.save(weights, tmp_path / "old")
        assert float(load_cellpose_net(tmp_path / "old").diam_mean) == 30

    def test_safetensors_and_wrapped_names(self, tmp_path):
        weights = {f"module.{k}": v.float() for k, v in random_net().state_dict().items()}
        save_file(weights, tmp_path / "mine.safetensors")
        assert load_cellpose_net(tmp_path / "mine.safetensors").shape.widths == (2, 4, 8, 16, 16)

    @pytest.mark.parametrize("protocol", [2, 4])
    def test_a_pickle_that_runs_code_is_refused_and_not_run(self, tmp_path, protocol):
        trace = tmp_path / "it-ran"

        class Bomb:
            def __reduce__(self):
                return os.mkdir, (str(trace),)

        torch.save({"weights": Bomb()}, tmp_path / "zip", pickle_protocol=protocol)
        (tmp_path / "plain").write_bytes(pickle.dumps(Bomb(), protocol))
        for name in ("zip", "plain"):
            with pytest.raises(ModelError, match=r"refused.*could run a stranger's code"):
                load_model(str(tmp_path / name), device="cpu")
        assert not trace.exists()

    @pytest.mark.parametrize(
        ("harm", "words"),
        [
            pytest.param(lambda data: data[: len(data) // 2], "no whole|refused", id="truncated"),
            pytest.param(lambda data: b"", "no whole|refused", id="empty"),
            pytest.param(lambda data: b"garbage" * 99, "no whole|refused", id="garbage"),
        ],
    )
    def test_damaged_files_are_refused(self, tmp_path, harm, words):
        path = saved(tmp_path / "mine")
        path.write_bytes(harm(path.read_bytes()))
        with pytest.raises(ModelError, match=words):
            load_model(str(path), device="cpu")

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            pytest.param(lambda w: {"a": torch.zeros(2)}, "no Cellpose network", id="another"),
            pytest.param(lambda w: [1, 2], "no named weights", id="a-list"),
            pytest.param(
                lambda w: {k: v for k, v in w.items() if "res_up_0" not in k}, "missing", id="holes"
            ),
            pytest.param(
                lambda w: w | {"output.2.bias": torch.full((3,), torch.nan)}, "finite", id="nan"
            ),
            pytest.param(
                lambda w: w | {"output.2.weight": torch.zeros(2, 4, 1, 1)}, "whole|maps", id="maps"
            ),
            pytest.param(
                lambda w: w | {"output.0.weight": torch.zeros(9)}, "size mismatch", id="shape"
            ),
        ],
    )
    def test_other_weights_are_refused(self, tmp_path, change, words):
        torch.save(change(random_net().state_dict()), tmp_path / "file")
        with pytest.raises(ModelError, match=words):
            load_model(str(tmp_path / "file"), device="cpu")

    def test_a_folder_is_no_file(self, tmp_path):
        with pytest.raises(ModelError):
            load_model(str(tmp_path), device="cpu")

    @pytest.mark.parametrize(
        ("n_channels", "channels"), [(1, "gray"), (2, "cells"), (3, "rgb")], ids=str
    )
    def test_the_network_says_what_it_can_be_shown(self, tmp_path, n_channels, channels):
        path = saved(tmp_path / "mine", widths=(n_channels, 4, 8, 16, 16))
        assert load_model(str(path), device="cpu").info.channels == channels


class TestNames:
    def test_a_file_is_a_model_by_its_path(self, tmp_path):
        path = saved(tmp_path / "mine")
        assert is_available(str(path))
        assert get_info(str(path)).family == "cellpose"
        model = load_model(str(path), device="cpu")
        assert model.info.name == "mine"
        assert model.info.licence == "unknown"
        assert model.info.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert model.info.pixel_size_nominal

    def test_the_diameter_sets_the_pixel_size(self, tmp_path):
        path = saved(tmp_path / "mine", diam_mean_px=17.0)
        info = load_model(str(path), device="cpu", diameter_um=8.5).info
        assert info.pixel_size_um == pytest.approx(0.5)
        assert not info.pixel_size_nominal
        with pytest.raises(ModelError, match=r"diameter .* 0\.0 µm"):
            load_model(str(path), device="cpu", diameter_um=0.0)
        with pytest.raises(ModelError, match="takes no diameter"):
            load_model("fluo-nuclei", device="cpu", diameter_um=8.0)

    def test_what_cellpose_downloaded_is_listed_with_its_licence(self, models_folder):
        assert not [i for i in list_models() if i.family == "cellpose"]
        saved(models_folder / "cytotorch_0", diam_mean_px=30.0)
        (info,) = [i for i in list_models() if i.family == "cellpose"]
        assert info.name == "cyto"
        assert "CC-BY-NC" in info.licence
        assert is_available("cyto")
        assert load_model("cyto", device="cpu").info.name == "cyto"

    @pytest.mark.parametrize("name", ["cyto", "cyto2", "cyto3", "nuclei", "cpsam", "cpsam_v2"])
    def test_published_ones_that_are_not_here_are_never_downloaded(self, name, monkeypatch):
        monkeypatch.setattr("socket.socket.connect", _no_network)
        assert not is_available(name)
        with pytest.raises(ModelUnavailableError, match=r"nothing is downloaded.*CC-BY-NC"):
            load_model(name, device="cpu")

    def test_an_unknown_name_lists_what_there_is(self):
        with pytest.raises(ModelError, match=r"'cyt03'.*he-nuclei.*classical"):
            load_model("cyt03", device="cpu")


def _no_network(*_):
    raise AssertionError("the network was asked")
