"""Cellpose-SAM: the package's network, our windows, tiles and masks; a small one stands for it."""

from __future__ import annotations

import importlib
import shutil
import sys

import numpy as np
import pytest
import torch

from napari_histo.core import Box, ModelInfo, Tile
from napari_histo.errors import MissingDependencyError, ModelError
from napari_histo.models import load_model
from napari_histo.models.cellpose.files import file_info, load_cellpose
from napari_histo.models.cellpose.segmenter import CellposeSegmenter
from napari_histo.models.cellpose.windows import TRANSFORMER, Windows
from napari_histo.pipeline import SegmentRequest, segment
from napari_histo.slides import ArrayReader
from napari_histo.store.labels import rasterise
from napari_histo.testing.model_files import ModelFilesConformance
from napari_histo.testing.segmenter import SegmenterConformance
from support.cellpose_nets import SpotNet
from support.cellpose_package import cellpose_module
from support.lattice import finish
from support.same import canonical, same_objects
from support.tiny_sam import picture, shrink, taught_weights


@pytest.fixture(scope="module")
def monkeymodule():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def path(monkeymodule, tmp_path_factory):
    """File of a small Cellpose-SAM."""
    vit = shrink(monkeymodule)
    path = tmp_path_factory.mktemp("sam") / "tiny"
    torch.save(taught_weights(vit), path)
    return path


def load(path, precision="float32"):
    return load_cellpose(path, file_info(path), device="cpu", precision=precision)


def run(model, pixels, **request):
    reader = ArrayReader(pixels, name="x", pixel_size=None, is_rgb=pixels.shape[2] == 3)
    return finish(segment(reader, model, SegmentRequest(seed=1, **request)))[0].table


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("shape", "channels"), [((270, 261), 3), ((256, 200), 1), ((240, 255), 2)], ids=str
)
def test_same_masks_as_the_package(path, shape, channels, precision):
    """From pixels to masks, each in its own way, on the same weights."""
    models = cellpose_module("models")
    package = models.CellposeModel(
        pretrained_model=str(path), device=torch.device("cpu"), use_bfloat16=precision == "bfloat16"
    )
    pixels = picture(*shape, channels)
    given = {} if channels == 1 else {"channel_axis": 2}
    theirs, (_, flows, logits), _ = package.eval(pixels.squeeze(), batch_size=1, **given)
    model = load(path, precision)
    extent = Box(0, 0, *shape[::-1])
    seen = cellpose_module("transforms").normalize_img(pixels.astype(np.float32))
    (fields,) = model.fields(seen[None], [Tile(0, extent, extent)], extent)
    assert np.array_equal(fields, [*flows, logits])
    words = {} if channels != 2 else {"channel": 0, "nuclear_channel": 1}
    ours = rasterise(run(model, pixels, **words), extent)
    assert model.precision == precision
    assert theirs.max() > 3
    assert np.array_equal(canonical(ours), canonical(theirs))


class TestTiles:
    """As for the networks before it, with a network that finds spots in these windows."""

    @pytest.mark.parametrize("tile_px", [80, 155])
    def test_tiles_change_nothing(self, tile_px):
        net, info = SpotNet(diam_mean_px=30.0, lattice=TRANSFORMER), ModelInfo("spots", "cellpose")
        model, pixels = CellposeSegmenter(net, info, device="cpu"), picture(260, 300, 1)
        whole, tiled = (run(model, pixels, tile_px=px) for px in (9999, tile_px))
        assert len(whole) > 20
        assert same_objects(whole, tiled)

    def test_an_object_on_the_corner_of_four_tiles_is_whole(self):
        net, info = SpotNet(diam_mean_px=30.0, lattice=TRANSFORMER), ModelInfo("spots", "cellpose")
        model = CellposeSegmenter(net, info, device="cpu")
        rows, columns = np.mgrid[:400, :400]
        spot = np.exp(-((columns - 200) ** 2 / 1200 + (rows - 200) ** 2 / 500))
        pixels = (4000 * spot).astype(np.uint16)[..., None]
        whole, tiled = (run(model, pixels, tile_px=px) for px in (9999, 100))
        left, top, right, bottom = whole.contours.bounds[0]
        assert left < 175 < 225 < right
        assert top < 185 < 215 < bottom
        assert same_objects(whole, tiled)

    @pytest.mark.parametrize("size", [(10, 239), (240, 241), (255, 256), (257, 600)], ids=str)
    def test_windows_are_those_of_the_package(self, size):
        height, width = size
        transforms = cellpose_module("transforms")
        top, bottom, left, right = transforms.get_pad_yx(height, width, min_size=(256, 256))
        framed = np.zeros((1, height + top + bottom, width + left + right), np.float32)
        _, rows, columns, *_ = transforms.make_tiles(framed, bsize=256, tile_overlap=0.1)
        windows = Windows.of(Box(0, 0, width, height), TRANSFORMER)
        assert sorted({int(a) - top for a, _ in rows}) == windows.rows.tolist()
        assert sorted({int(a) - left for a, _ in columns}) == windows.columns.tolist()
        assert windows.height == windows.width == 256


class TestFiles:
    def test_what_the_package_would_leave_at_random_is_refused(self, path, tmp_path):
        """The package takes a file with nothing but this one name."""
        torch.save({"W2": torch.eye(192).reshape(192, 3, 8, 8)}, tmp_path / "holes")
        with pytest.raises(ModelError, match=r"no whole Cellpose model: missing.*pos_embed"):
            load(tmp_path / "holes")
        weights = torch.load(path, weights_only=True)
        torch.save(weights | {"out.bias": torch.full((192,), torch.nan)}, tmp_path / "nan")
        with pytest.raises(ModelError, match="not finite"):
            load(tmp_path / "nan")
        torch.save(weights | {"out.bias": torch.zeros(7)}, tmp_path / "shape")
        with pytest.raises(ModelError, match="size mismatch"):
            load(tmp_path / "shape")

    def test_networks_on_dino_are_told_apart(self, tmp_path):
        weights = {"W2": torch.zeros(1), "encoder.cls_token": torch.zeros(1)}
        torch.save(weights, tmp_path / "cpdino")
        with pytest.raises(ModelError, match="DINOv3"):
            load(tmp_path / "cpdino")

    def test_its_card_is_known_once_it_is_read(self, path):
        info = load(path).info
        assert (info.name, info.channels, info.pixel_size_um) == ("tiny", "rgb-or-cells", None)
        assert len(info.sha256) == 64
        assert "CC-BY-NC" in info.licence
        model = load_cellpose(path, file_info(path), device="cpu", diameter_um=15.0)
        assert model.info.pixel_size_um == pytest.approx(0.5)


class TestConformance(SegmenterConformance):
    huge_px = 256

    @pytest.fixture(autouse=True)
    def small(self, path):
        self.path = path

    def make(self, device="cpu"):
        words = {"device": device, "precision": "float32"}
        return load_cellpose(self.path, file_info(self.path), **words)


class TestFileConformance(ModelFilesConformance):
    @pytest.fixture(autouse=True)
    def small(self, path):
        self.path = path

    def save(self, folder):
        shutil.copy(self.path, folder / "mine")
        return folder / "mine", folder / "mine"

    def load(self, path):
        return load_model(str(path), device="cpu")


class TestWithoutThePackage:
    @pytest.fixture
    def sam_file(self, tmp_path):
        torch.save({"W2": torch.zeros(1)}, tmp_path / "file")
        return tmp_path / "file"

    def test_what_to_install_is_told(self, sam_file, monkeypatch):
        monkeypatch.setitem(sys.modules, "cellpose.vit", None)
        monkeypatch.setitem(sys.modules, "cellpose", None)
        with pytest.raises(MissingDependencyError, match=r"pip install 'napari-histo\[cellpose\]'"):
            load(sam_file)

    def test_a_torchvision_of_another_torch_is_told(self, sam_file, tmp_path, monkeypatch):
        for name in [n for n in sys.modules if n.partition(".")[0] == "cellpose"]:
            monkeypatch.delitem(sys.modules, name)
        folder = tmp_path / "site" / "cellpose"
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        (folder / "vit.py").write_text("raise RuntimeError('operator torchvision::nms is missing')")
        monkeypatch.syspath_prepend(folder.parent)
        importlib.invalidate_caches()
        try:
            with pytest.raises(MissingDependencyError, match=r"torchvision.*another torch than"):
                load(sam_file)
        finally:  # monkeypatch would put the stand-in back
            sys.modules.pop("cellpose", None)
