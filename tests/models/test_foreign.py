"""What descriptions of models say, what is refused, and that ours come back as they left."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
import yaml

from napari_histo.core import PixelSize, Thresholds
from napari_histo.errors import MissingDependencyError, ModelError
from napari_histo.models import (
    Addition,
    add_model,
    export_model,
    get_info,
    list_models,
    load_model,
    verify,
)
from napari_histo.models.foreign.description import read_description
from napari_histo.pipeline import SegmentRequest, segment
from napari_histo.slides import ArrayReader
from napari_histo.testing.segmenter import speckled
from support.foreign_nets import as_script, edit, maps_onnx, stars_onnx
from support.lattice import finish

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_HISTO_MODELS", str(tmp_path / "home"))
    return tmp_path / "home"


def tables(name, pixels, **words):
    """Objects of a run with small tiles and in one piece."""
    model = load_model(name, device="cpu", **words)
    is_rgb = pixels.dtype == np.uint8
    reader = ArrayReader(pixels, name="x", pixel_size=PixelSize.square(0.5), is_rgb=is_rgb)
    requests = [SegmentRequest(tile_px=tile, seed=1) for tile in (64, 10_000)]
    return [finish(segment(reader, model, r))[0].table for r in requests]


def assert_same_objects(a, b):
    assert len(a) == len(b) > 5
    rows = [np.lexsort(np.round(t.centroids, 2).T) for t in (a, b)]
    bounds = [t.contours.bounds[r] for t, r in zip((a, b), rows, strict=True)]
    np.testing.assert_allclose(*bounds, atol=0.02)


class TestOurOwnComeBack:
    """What `export_model` wrote segments as the model that it was."""

    def test_of_the_shipped_weights(self, tmp_path):
        export_model("fluo-nuclei", tmp_path / "out", "onnx")
        info = add_model(Addition(str(tmp_path / "out"), name="again"))
        ours = get_info("fluo-nuclei")
        assert (info.family, list_models()[-1].name) == ("onnx", "again")
        for word in ("pixel_size_um", "pixel_size_nominal", "channels", "classes", "licence"):
            assert getattr(info, word) == getattr(ours, word)
        assert info.thresholds == load_model("fluo-nuclei", device="cpu").info.thresholds
        pixels = (speckled(170, 190, 1) * 4000).astype(np.uint16)
        before = tables("fluo-nuclei", pixels, precision="float32")
        after = tables("again", pixels)
        assert_same_objects(before[0], after[0])
        assert_same_objects(after[0], after[1])
        assert next(iter(verify(["again"]))).state == "whole"

    @pytest.mark.parametrize("kind", ["onnx", "torchscript"])
    def test_with_classes_and_colours(self, tmp_path, kind):
        folder = stars_onnx(tmp_path / "net", n_classes=3)
        if kind == "torchscript":
            as_script(folder)
        info = add_model(Addition(str(folder), name="again", trust=True))
        assert info.classes.names == ("Class 0", "Class 1", "Class 2")
        pixels = (speckled(150, 170, 3) * 255).astype(np.uint8)
        before = tables(str(tmp_path / "net-own"), pixels, precision="float32")
        after = tables("again", pixels)
        assert_same_objects(before[0], after[0])
        assert set(after[0].class_names) - {None} <= set(info.classes.names)


class TestMaps:
    @pytest.mark.parametrize("n_answers", [1, 2])
    def test_discs_are_found_whole_in_any_tiles(self, tmp_path, n_answers):
        folder = maps_onnx(tmp_path / "net", n_answers=n_answers)
        rows, columns = np.mgrid[:200, :230]
        far = np.hypot((rows % 40) - 20, (columns % 46) - 23)
        pixels = np.where(far < 9, 3000, 200).astype(np.uint16)[..., None]
        small, whole = tables(str(folder), pixels)
        assert len(small) == len(whole) == 25
        np.testing.assert_allclose(whole.contours.areas_px, np.pi * 81, rtol=0.2)
        assert_same_objects(small, whole)

    def test_thresholds_move_without_the_network(self, tmp_path):
        model = load_model(str(maps_onnx(tmp_path / "net")), device="cpu")
        found = model.propose(speckled(96, 96, 1)[None], 0.0)[0]
        kept = [len(model.select(found, Thresholds(p, 0.5))) for p in (0.0, 0.8, 1.0)]
        assert kept[0] >= kept[1] >= kept[2] == 0


def set_output(**changes):
    return lambda words: words["outputs"][0].update(changes)


def set_input(**changes):
    return lambda words: words["inputs"][0].update(changes)


def channels(n):
    shape = {"reference_tensor": "x", "scale": [1, 1, 1, 1], "offset": [0, n / 2, 0, 0]}
    return set_output(shape=shape)


REFUSED = {
    "affinities by name": (set_output(name="affinities"), "affinities"),
    "affinities by words": (
        set_output(description="Predicted affinity maps"),
        "affinities|channel",
    ),
    "many channels": (channels(7), "7 channels"),
    "two outputs": (lambda w: w.update(outputs=w["outputs"] * 2), "2 outputs"),
    "3D": (set_input(axes="bczyx"), "axes 'bczyx'"),
    "one size only": (set_input(shape=[1, 1, 256, 256]), "one size only"),
    "unknown preparation": (
        set_input(preprocessing=[{"name": "scale_mean_variance"}]),
        "scale_mean_variance",
    ),
    "figures of other images": (
        set_input(
            preprocessing=[
                {"name": "zero_mean_unit_variance", "kwargs": {"mode": "fixed", "mean": [7.0]}}
            ]
        ),
        "figures of other images",
    ),
    "no preparation": (set_input(preprocessing=[]), "prepared by nothing"),
    "unknown afterthought": (
        set_output(postprocessing=[{"name": "cellpose_flow_dynamics"}]),
        "cellpose_flow_dynamics",
    ),
    "other weights": (
        lambda w: w.update(weights={"pytorch_state_dict": {"source": "a.pt"}}),
        "pytorch_state_dict",
    ),
    "weights elsewhere": (
        lambda w: w["weights"]["onnx"].update(source="https://example.org/net.onnx"),
        "do not lie beside",
    ),
    "weights outside": (
        lambda w: w["weights"]["onnx"].update(source="../net-own/config.json"),
        "do not lie beside",
    ),
    "another file": (lambda w: w["weights"]["onnx"].update(sha256="0" * 64), "SHA-256"),
    "a lie about channels": (channels(2), "answers"),
    "a dataset": (lambda w: w.update(type="dataset"), "does not describe a model"),
    "no inputs": (lambda w: w.pop("inputs"), "not a description"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_run_is_refused_in_words(tmp_path, home, case):
    change, says = REFUSED[case]
    folder = edit(maps_onnx(tmp_path / "net"), change)
    with pytest.raises(ModelError, match=says):
        add_model(Addition(str(folder)))
    assert not (home / "maps").exists()


@pytest.mark.parametrize("text", ["", "[]", "{", "a: !!python/object/apply:os.system [ls]"])
def test_a_description_that_is_none(tmp_path, text):
    folder = maps_onnx(tmp_path / "net")
    (folder / "rdf.yaml").write_text(text)
    with pytest.raises(ModelError, match=r"rdf\.yaml"):
        load_model(str(folder))


class TestTrust:
    """TorchScript is a program: it runs only where the user said so of this very file."""

    @pytest.fixture
    def script(self, tmp_path):
        return as_script(stars_onnx(tmp_path / "net"))

    @pytest.fixture(autouse=True)
    def loads(self, monkeypatch):
        import torch

        seen, load = [], torch.jit.load
        monkeypatch.setattr(torch.jit, "load", lambda *a, **k: (seen.append(a), load(*a, **k))[1])
        return seen

    def test_not_by_its_path(self, script, loads):
        with pytest.raises(ModelError, match="--trust"):
            load_model(str(script))
        assert not loads

    def test_not_without_a_word(self, script, loads):
        with pytest.raises(ModelError, match="--trust"):
            add_model(Addition(str(script)))
        assert not loads

    def test_not_without_a_checksum(self, script, loads):
        edit(script, lambda w: w["weights"]["torchscript"].pop("sha256"))
        with pytest.raises(ModelError, match="names no SHA-256"):
            add_model(Addition(str(script), trust=True))
        assert not loads

    def test_not_another_file_later(self, script, loads):
        import hashlib

        add_model(Addition(str(script), name="mine", link=True, trust=True))
        assert load_model("mine", device="cpu").info.family == "torchscript"
        loads.clear()
        (script / "net.pt").write_bytes((script / "net.pt").read_bytes() + b"more")
        sha256 = hashlib.sha256((script / "net.pt").read_bytes()).hexdigest()
        edit(script, lambda w: w["weights"]["torchscript"].update(sha256=sha256))
        with pytest.raises(ModelError, match="--trust"):
            load_model("mine", device="cpu")
        assert not loads


def test_format_0_4_and_0_5_say_the_same(tmp_path):
    old = maps_onnx(tmp_path / "old")
    new = maps_onnx(tmp_path / "new")
    words = yaml.safe_load((new / "rdf.yaml").read_text())
    space = [{"type": "space", "id": i, "size": {"min": 16, "step": 16}} for i in "yx"]
    same = [{"type": "space", "id": i, "size": {"tensor_id": "x"}, "halo": 8} for i in "yx"]
    channel = [{"type": "batch"}, {"type": "channel", "channel_names": ["a"]}]
    scale = {"min_percentile": 1, "max_percentile": 99.8, "axes": ["channel", "y", "x"]}
    words["format_version"] = "0.5.3"
    del space[1]["id"]  # x unless named
    words["inputs"] = [
        {"id": "x", "axes": channel + space, "preprocessing": [{"id": "scale_range"}]}
    ]
    words["inputs"][0]["preprocessing"][0]["kwargs"] = scale
    words["outputs"] = [{"id": "y", "axes": channel + same}]
    (new / "rdf.yaml").write_text(yaml.safe_dump(words))
    a, b = read_description(old), read_description(new)
    same_place = {"weights": a.weights, "info": a.info}
    assert replace(b, **same_place) == a
    assert (a.axes, a.margin_px, a.align_px, a.percentiles) == ("bcyx", 96, 16, (1, 99.8))


def test_without_onnx_runtime_it_says_what_to_install(tmp_path, monkeypatch):
    folder = maps_onnx(tmp_path / "net")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match="pip install"):
        load_model(str(folder))


@pytest.mark.parametrize("order", ["byxc", "bxyc", "bcxy"])
def test_any_order_of_axes(order):
    from napari_histo.models.foreign.segmenter import _answer, _arranged

    image = np.random.default_rng(0).random((5, 7, 3)).astype(np.float32)
    there = _arranged(image, order)
    assert there.shape == tuple({"b": 1, "y": 5, "x": 7, "c": 3}[axis] for axis in order)
    np.testing.assert_array_equal(_answer(there, order), image.transpose(2, 0, 1))
