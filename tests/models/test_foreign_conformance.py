"""ONNX and TorchScript models pass the suites that the package ships."""

from __future__ import annotations

import hashlib

import pytest

from napari_histo.models import load_model
from napari_histo.models.foreign.description import read_description
from napari_histo.models.foreign.loading import load_foreign
from napari_histo.testing.model_files import ModelFilesConformance
from napari_histo.testing.segmenter import SegmenterConformance
from support.foreign_nets import as_script, edit, maps_onnx, stars_onnx

ort = pytest.importorskip("onnxruntime")


class _FromFolder(SegmenterConformance):
    """Writes the folder once for all its tests."""

    huge_px = 256

    @pytest.fixture(autouse=True, scope="class")
    def folder(self, request, tmp_path_factory):
        request.cls.path = request.cls.write(tmp_path_factory.mktemp("foreign") / "net")

    def make(self, device="cpu"):
        if device == "cuda" and "CUDAExecutionProvider" not in ort.get_available_providers():
            pytest.skip("this ONNX Runtime has no CUDA")
        return load_model(str(self.path), device=device)


class TestStarsInOnnx(_FromFolder):
    @staticmethod
    def write(folder):
        return stars_onnx(folder)


class TestStarsWithClassesInOnnx(_FromFolder):
    @staticmethod
    def write(folder):
        return stars_onnx(folder, n_channel_in=1, n_classes=2, grid=(1, 1), unet_batch_norm=True)


class TestStarsInTorchScript(_FromFolder):
    @staticmethod
    def write(folder):
        return as_script(stars_onnx(folder))

    def make(self, device="cpu"):
        return load_trusted(self.path, device)


class TestForegroundInOnnx(_FromFolder):
    @staticmethod
    def write(folder):
        return maps_onnx(folder)


class TestForegroundAndBorderInOnnx(_FromFolder):
    @staticmethod
    def write(folder):
        return maps_onnx(folder, n_answers=2, logits=True)


class TestZeroMeanInOnnx(_FromFolder):
    """Without percentiles, mean and deviation are those of the region."""

    @staticmethod
    def write(folder):
        def change(words):
            steps = words["inputs"][0]["preprocessing"]
            steps[0] = {"name": "zero_mean_unit_variance", "kwargs": {"axes": "xy"}}

        return edit(maps_onnx(folder), change)


class TestOnnxFiles(ModelFilesConformance):
    def save(self, folder):
        path = stars_onnx(folder / "mine")
        return path, next(path.glob("*.onnx"))

    def load(self, path):
        return load_model(str(path), device="cpu")


class TestOnnxFilesWithoutChecksum(TestOnnxFiles):
    """The parser has to tell."""

    def save(self, folder):
        path = maps_onnx(folder / "mine")
        return path, path / "net.onnx"


class TestTorchScriptFiles(ModelFilesConformance):
    def save(self, folder):
        path = as_script(stars_onnx(folder / "mine"))
        return path, path / "net.pt"

    def load(self, path):
        return load_trusted(path)


def load_trusted(path, device="cpu"):
    """As one that the user trusted when it was whole: the record names the file as it is now."""
    info = read_description(path).info
    file = path / "net.pt"
    known = {"net.pt": hashlib.sha256(file.read_bytes()).hexdigest()}
    return load_foreign(path, info, device=device, record={"trusted": True, "files": known})
