"""Every family of models passes the suites that the package ships."""

from __future__ import annotations

import shutil

import torch

from napari_histo.core import ClassScheme, ModelInfo, Thresholds
from napari_histo.models import load_model, load_prompt_model
from napari_histo.models._classical import ClassicalSegmenter
from napari_histo.models.cellpose.net import save_cellpose_net
from napari_histo.models.cellpose.segmenter import CellposeSegmenter
from napari_histo.models.region.segmenter import (
    NetShape,
    TorchRegionSegmenter,
    load_region_model,
    save_region_model,
)
from napari_histo.models.registry import model_folder
from napari_histo.models.shelf.folder import SHIPPED_WEIGHTS, STOCK_WEIGHTS
from napari_histo.models.stardist.files import save_shipped, save_stock
from napari_histo.models.stardist.segmenter import StarDistSegmenter
from napari_histo.testing.model_files import ModelFilesConformance
from napari_histo.testing.prompt_segmenter import PromptSegmenterConformance
from napari_histo.testing.region_segmenter import RegionSegmenterConformance
from napari_histo.testing.segmenter import SegmenterConformance
from support.cellpose_nets import SpotNet, random_net
from support.stardist_nets import eager_net


def info(family, channels, **words):
    words = {"licence": "CC0-1.0", "source": "a test", "pixel_size_um": 0.5, **words}
    return ModelInfo("net", family, channels=channels, **words)


def region_model(device="cpu"):
    shape = NetShape(3, 3, guided=False, width=4)
    card = info("regions", "rgb", classes=ClassScheme.of("Tumor", "Stroma"))
    torch.manual_seed(0)
    return TorchRegionSegmenter(shape.build(), shape, card, device=device)


class TestClassical(SegmenterConformance):
    def make(self, device="cpu"):
        return ClassicalSegmenter("bright")


class TestStarDist(SegmenterConformance):
    def make(self, device="cpu"):
        card = info("stardist", "rgb")
        return StarDistSegmenter(eager_net(), card, device=device, precision="float32")


class TestStarDistGrayWithClasses(SegmenterConformance):
    huge_px = 256

    def make(self, device="cpu"):
        net = eager_net(n_channel_in=1, n_classes=3, grid=(1, 1), unet_batch_norm=True)
        card = info("stardist", "gray", classes=ClassScheme.of("A", "B", "C"))
        return StarDistSegmenter(net, card, device=device, precision="float32")


class TestShippedDefault(SegmenterConformance):
    """The weights that people get, in the precision that they get."""

    huge_px = 256

    def make(self, device="cpu"):
        return load_model("fluo-nuclei", device=device)


class TestCellpose(SegmenterConformance):
    """Random weights of the real graph find nothing steady; a formula in their place does."""

    huge_px = 256

    def make(self, device="cpu"):
        card = info("cellpose", "gray", thresholds=Thresholds(0.5, 0.4))
        return CellposeSegmenter(SpotNet(), card, device=device)


class TestCellposeWithRandomWeights(SegmenterConformance):
    """The real graph; random outputs are made louder, or their flows would meet nowhere."""

    huge_px = 256

    def make(self, device="cpu"):
        net = random_net(3)
        with torch.no_grad():
            net.output[2].weight.mul_(torch.tensor([40.0, 40.0, 20.0])[:, None, None, None])
        card = info("cellpose", "gray", thresholds=Thresholds(0.5, 1.0))
        return CellposeSegmenter(net, card, device=device)


class TestRegions(RegionSegmenterConformance):
    def make(self, device="cpu"):
        return region_model(device)


class TestNuClick(PromptSegmenterConformance):
    """The shipped weights."""

    def make(self, device="cpu"):
        return load_prompt_model(device=device, precision="float32")


class TestStarDistFiles(ModelFilesConformance):
    def save(self, folder):
        save_shipped(folder / "mine", eager_net(), Thresholds())
        return folder / "mine", folder / "mine" / SHIPPED_WEIGHTS

    def load(self, path):
        return load_model(str(path), device="cpu")


class TestStockStarDistFiles(TestStarDistFiles):
    def save(self, folder):
        save_stock(folder / "mine", eager_net(), Thresholds())
        return folder / "mine", folder / "mine" / STOCK_WEIGHTS


class TestCellposeFiles(ModelFilesConformance):
    def save(self, folder):
        save_cellpose_net(folder / "mine", random_net())
        return folder / "mine", folder / "mine"

    def load(self, path):
        return load_model(str(path), device="cpu")


class TestRegionFiles(ModelFilesConformance):
    def save(self, folder):
        save_region_model(folder / "mine", region_model())
        return folder / "mine", folder / "mine" / SHIPPED_WEIGHTS

    def load(self, path):
        return load_region_model(path, device="cpu")


class TestNuClickFiles(ModelFilesConformance):
    def save(self, folder):
        shutil.copytree(model_folder("click"), folder / "mine")
        return folder / "mine", folder / "mine" / SHIPPED_WEIGHTS

    def load(self, path):
        return load_prompt_model(str(path), device="cpu")
