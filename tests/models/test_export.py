"""Models that leave: what other programs read is what we have."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_histo.core import ClassScheme
from napari_histo.errors import MissingDependencyError, ModelError, WriteError
from napari_histo.models import export_model, get_info, load_model
from napari_histo.models.shelf.folder import beside_model
from support.foreign_nets import stars_onnx
from support.model_folders import cellpose_file

_CHILD = Path(__file__).with_name("stock_child.py")
_PYTHON = os.environ.get("NAPARI_HISTO_PARITY_PYTHON", sys.executable)


class TestStock:
    def test_comes_back_the_same(self, tmp_path):
        done = export_model("he-nuclei", tmp_path / "out", "stock")
        assert {"config.json", "thresholds.json", "weights_best.h5", "card.json"} <= {*done.files}
        pair = [
            load_model(name, device="cpu", precision="float32")
            for name in ("he-nuclei", str(tmp_path / "out"))
        ]
        image = np.random.default_rng(0).random((1, 64, 96, 3)).astype(np.float32)
        a, b = (model.propose(image, 0.01)[0] for model in pair)
        np.testing.assert_array_equal(a.prob, b.prob)
        np.testing.assert_array_equal(a.columns["dist"], b.columns["dist"])
        assert pair[0].info.thresholds == pair[1].info.thresholds
        info, card = get_info(str(tmp_path / "out")), get_info("he-nuclei")
        assert (info.licence, info.pixel_size_um) == (card.licence, card.pixel_size_um)
        assert info.sha256 is None
        assert beside_model(tmp_path / "out") == []

    @pytest.mark.slow
    def test_the_stardist_package_finds_the_same(self, tmp_path):
        has = "import importlib.util as u; assert u.find_spec('tensorflow')"
        if subprocess.run([_PYTHON, "-c", has], capture_output=True, check=False).returncode:
            pytest.skip("TensorFlow is not installed: pip install 'napari-histo[parity]'")
        from stardist.data import test_image_he_2d

        image = test_image_he_2d()[:240, :304].astype(np.float32) / 255
        np.save(tmp_path / "image.npy", image)
        export_model("he-nuclei", tmp_path / "model", "stock")
        child = subprocess.run(
            [_PYTHON, str(_CHILD), str(tmp_path)], capture_output=True, text=True, check=False
        )
        assert child.returncode == 0, child.stderr[-2000:]
        theirs = np.load(tmp_path / "found.npz")
        model = load_model("he-nuclei", device="cpu", precision="float32")
        found = model.propose(image[None], model.info.thresholds.prob)[0]
        # The package leaves out the rim.
        inside = (found.points >= model.edge_px) & (found.points < (304 - 4, 240 - 4))
        found = found.take(inside.all(axis=1))
        found = found.take(model.select(found, model.info.thresholds))
        assert len(found) == len(theirs["prob"]) > 20
        np.testing.assert_allclose(np.sort(found.prob), np.sort(theirs["prob"]), atol=1e-4)
        ours = {tuple(p) for p in found.points[:, ::-1].astype(int).tolist()}
        assert ours == {tuple(p) for p in theirs["points"].tolist()}


def test_without_the_package_onnx_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_histo.models.export.onnx_file.find_spec", lambda _name: None)
    with pytest.raises(MissingDependencyError, match="pip install"):
        export_model("he-nuclei-fast", tmp_path / "out", "onnx")
    assert not list(tmp_path.iterdir())


class TestOnnx:
    @pytest.fixture(autouse=True)
    def needs_onnx(self):
        pytest.importorskip("onnx")

    def test_onnx_runtime_answers_as_torch_does(self, tmp_path):
        pytest.importorskip("onnxruntime")
        done = export_model("he-nuclei-fast", tmp_path / "out", "onnx")
        assert done.difference < 1e-3
        assert "he-nuclei-fast.onnx" in done.files

    def test_without_onnx_runtime_it_is_written_unchecked(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
        assert export_model("he-nuclei-fast", tmp_path / "out", "onnx").difference is None

    @pytest.mark.parametrize("n_classes", [None, 2])
    def test_opencv_runs_it_as_qupath_does(self, tmp_path, n_classes):
        """QuPath hands the file to OpenCV's dnn, one image in NCHW order, sides of 64 n px."""
        cv2 = pytest.importorskip("cv2")
        folder = stars_onnx(tmp_path / "net", n_classes=n_classes)
        model = load_model(str(tmp_path / "net-own"), device="cpu", precision="float32")
        net = cv2.dnn.readNet(str(next(folder.glob("*.onnx"))))
        (name,) = net.getUnconnectedOutLayersNames()
        for size in ((64, 128), (192, 64)):
            image = np.random.default_rng(0).random((*size, 3)).astype(np.float32)
            net.setInput(cv2.dnn.blobFromImages([image], 1.0))
            answer = cv2.dnn.imagesFromBlob(net.forward(name))[0]
            prob, dist, classes = model._forward(image[None])
            np.testing.assert_allclose(answer[..., 0], prob[0], atol=1e-3)
            np.testing.assert_allclose(answer[..., 1:33], dist[0].permute(1, 2, 0), atol=5e-3)
            assert answer.shape[2] == 33 + (0 if n_classes is None else 3)
            if n_classes is not None:
                wanted = classes[0].permute(1, 2, 0)
                np.testing.assert_allclose(answer[..., 33:], wanted, atol=1e-3)

    def test_the_specification_finds_the_description_valid(self, tmp_path):
        spec = pytest.importorskip("bioimageio.spec")
        export_model("he-nuclei-fast", tmp_path / "out", "onnx")
        found = spec.load_description(tmp_path / "out" / "rdf.yaml", format_version="latest")
        assert found.validation_summary.status in ("valid-format", "passed")

    def test_the_script_says_what_the_card_says(self, tmp_path):
        export_model("fluo-nuclei", tmp_path / "a $folder", "onnx")
        script = (tmp_path / "a $folder" / "StarDist-fluo-nuclei.groovy").read_text()
        prob = load_model("fluo-nuclei", device="cpu").info.thresholds.prob
        for words in (
            f".threshold({prob:g})",
            ".pixelSize(0.5)",
            ".percentiles(1, 99.8)",
            ".perChannel(false)",
            ".channels(0)",
            "a \\$folder/fluo-nuclei.onnx",
        ):
            assert words in script
        assert "classificationNames" not in script
        assert script.count("(") == script.count(")")

    def test_the_script_counts_the_background_among_the_classes(self, tmp_path):
        """The extension takes as many channels for classes as the script tells."""
        folder = stars_onnx(tmp_path / "net", n_classes=2)
        script = next(folder.glob("*.groovy")).read_text()
        assert ".classificationNames([0: 'Ignore*', 1: 'Class 0', 2: 'Class 1'])" in script
        assert ".channels(" not in script

    def test_names_fit_files_and_texts(self, tmp_path):
        folder = stars_onnx(tmp_path / "net")
        card = json.loads((tmp_path / "net-own" / "card.json").read_text())
        card |= {"name": "L'été / nuclei", "description": "two\nlines", "classes": ["It's"]}
        (tmp_path / "net-own" / "card.json").write_text(json.dumps(card))
        done = export_model(str(tmp_path / "net-own"), tmp_path / "again", "onnx")
        assert "L-t-nuclei.onnx" in done.files
        script = (tmp_path / "again" / "StarDist-L-t-nuclei.groovy").read_text()
        comments = script.split("import")[0].splitlines()
        assert all(line.startswith("//") or not line for line in comments)
        assert folder.is_dir()


@pytest.mark.parametrize("format_", ["stock", "onnx"])
class TestBoth:
    def test_nothing_is_written_over(self, tmp_path, format_):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "mine.txt").write_text("mine")
        with pytest.raises(WriteError, match="there already"):
            export_model("he-nuclei", tmp_path / "out", format_)
        assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.txt"]

    @pytest.mark.parametrize("name", ["classical", "click"])
    def test_other_families_are_refused(self, tmp_path, format_, name):
        with pytest.raises(ModelError, match="only StarDist models"):
            export_model(name, tmp_path / "out", format_)
        assert not (tmp_path / "out").exists()

    def test_cellpose_is_refused(self, tmp_path, format_):
        file = cellpose_file(tmp_path / "net")
        with pytest.raises(ModelError, match="only StarDist models"):
            export_model(str(file), tmp_path / "out", format_)

    def test_damaged_weights_leave_nothing(self, tmp_path, format_):
        stars_onnx(tmp_path / "net")
        (tmp_path / "net-own" / "weights.safetensors").write_bytes(b"no")
        with pytest.raises(ModelError):
            export_model(str(tmp_path / "net-own"), tmp_path / "out", format_)
        assert not [p for p in tmp_path.iterdir() if re.match(r"\.?out", p.name)]


def test_class_names_of_a_card_that_does_not_fit(tmp_path):
    from napari_histo.models.export.onnx_file import _class_names

    class Parts:
        info = get_info("he-nuclei")

        class net:  # noqa: N801 - stands for an attribute
            class config:  # noqa: N801
                n_classes = 2

    assert Parts.info.classes == ClassScheme.of("Nucleus")
    assert _class_names(Parts) == ["Class 1", "Class 2"]
