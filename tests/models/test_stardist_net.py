"""StarDist's network and its files; stock Keras files are built by hand in both layouts."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import napari_histo
from napari_histo.core import Thresholds
from napari_histo.errors import ModelError
from napari_histo.models.stardist.config import StarDistConfig
from napari_histo.models.stardist.files import (
    load_shipped,
    load_stock,
    save_shipped,
    save_stock,
)
from napari_histo.models.stardist.net import StarDistNet, fold_batch_norm

SMALL = StarDistConfig(
    n_rays=8, unet_n_depth=2, unet_n_filter_base=4, net_conv_after_unet=8, unet_batch_norm=True
)
STOCK_LAYERS = [
    "conv2d",
    "conv2d_1",
    "down_level_0_no_0",
    "down_level_0_no_1",
    "down_level_1_no_0",
    "down_level_1_no_1",
    "middle_0",
    "middle_2",
    "up_level_1_no_0",
    "up_level_1_no_2",
    "up_level_0_no_0",
    "up_level_0_no_2",
    "features",
    "prob",
    "dist",
]


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def random_net(config=SMALL):
    """Weights and running statistics that no default would give."""
    net = StarDistNet(config).eval()
    for key, value in net.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.randn_like(value) * 0.1 + (1.0 if "var" in key else 0.0))
    return net


def keras_layers(net, *, first=0):
    """(name, [(word, array)]) as Keras keeps them, its own numbers beginning at ``first``."""
    layers, norms = [], first
    for i, (name, layer) in enumerate(net.layers.items()):
        conv = getattr(layer, "conv", layer)
        kernel = conv.weight.detach().numpy().transpose(2, 3, 1, 0)
        own = f"conv2d_{i + first}" if name.startswith("conv2d") and i + first else name
        layers.append((own, [("kernel", kernel), ("bias", conv.bias.detach().numpy())]))
        norm = getattr(layer, "norm", None)
        if norm is not None:
            words = "gamma", "beta", "moving_mean", "moving_variance"
            values = norm.weight, norm.bias, norm.running_mean, norm.running_var
            arrays = [(w, v.detach().numpy()) for w, v in zip(words, values, strict=True)]
            layers.append(
                (f"batch_normalization_{norms}" if norms else "batch_normalization", arrays)
            )
            norms += 1
    return layers


def write_keras2(path, layers):
    with h5py.File(path, "w") as file:
        names = ["input", *(n for n, _ in layers)]
        file.attrs["layer_names"] = [n.encode() for n in names]
        file.create_group("input").attrs["weight_names"] = np.array([], "S1")
        for name, arrays in layers:
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{word}:0".encode() for word, _ in arrays]
            for word, array in arrays:
                group[f"{name}/{word}:0"] = array


def write_keras3(path, layers):
    with h5py.File(path, "w") as file:
        file.create_group("layers/input_layer/vars")
        for name, arrays in layers:
            for i, (_, array) in enumerate(arrays):
                file[f"layers/{name}/vars/{i}"] = array


def class_names(layers):
    """What some Keras 3 versions write: every layer named by its class, in order."""
    counts = {"conv2d": 0, "batch_normalization": 0}
    for _, arrays in layers:
        kind = "conv2d" if len(arrays) == 2 else "batch_normalization"
        yield f"{kind}_{counts[kind]}" if counts[kind] else kind, arrays
        counts[kind] += 1


def stock_folder(folder, net, write=write_keras2, layers=None):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(net.config.to_dict()))
    (folder / "thresholds.json").write_text('{"prob": 0.61, "nms": 0.3}')
    write(folder / "weights_best.h5", layers or keras_layers(net))
    return folder


def assert_same_weights(a, b):
    for key, value in a.state_dict().items():
        if "num_batches" not in key:
            torch.testing.assert_close(b.state_dict()[key], value, rtol=0, atol=0, msg=key)


def test_layers_carry_the_stock_names():
    assert list(StarDistNet(SMALL).layers) == STOCK_LAYERS


def test_published_size():
    net = StarDistNet(StarDistConfig())
    assert sum(p.numel() for p in net.parameters()) == 1_425_761


@pytest.mark.parametrize(
    ("change", "prob", "classes"),
    [
        pytest.param({}, (16, 24), None, id="grid-2"),
        pytest.param({"grid": (1, 1)}, (32, 48), None, id="grid-1"),
        pytest.param({"grid": (4, 2)}, (8, 24), None, id="grid-uneven"),
        pytest.param({"n_classes": 3}, (16, 24), 4, id="classes"),
        pytest.param({"n_classes": 2, "net_conv_after_unet": 0}, (16, 24), 3, id="no-features"),
        pytest.param({"unet_n_conv_per_depth": 3}, (16, 24), None, id="three-convolutions"),
        pytest.param(
            {"n_channel_in": 1, "unet_batch_norm": False}, (16, 24), None, id="plain-grey"
        ),
    ],
)
def test_heads_have_the_grid_of_the_config(change, prob, classes):
    config = replace(SMALL, **change)
    net = StarDistNet(config).eval()
    logits, dist, kinds = net(torch.zeros(2, config.n_channel_in, 32, 48))
    assert logits.shape == (2, 1, *prob)
    assert dist.shape == (2, config.n_rays, *prob)
    assert (None if kinds is None else kinds.shape) == (classes and (2, classes, *prob))


def test_config_round_trip():
    config = replace(SMALL, n_classes=5, grid=(4, 4), unet_dropout=0.1)
    assert StarDistConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_config_reads_a_file_older_than_its_words():
    config = StarDistConfig.from_dict({"n_rays": 32, "n_channel_in": 1, "train_epochs": 400})
    assert (config.grid, config.unet_batch_norm, config.n_classes) == ((1, 1), False, None)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        pytest.param({"n_dim": 3}, "n_dim = 3", id="3d"),
        pytest.param({"backbone": "resnet"}, "backbone = 'resnet'", id="resnet"),
        pytest.param({"grid": [3, 3]}, "grid = (3, 3)", id="grid-not-a-power"),
        pytest.param({"grid": [0, 0]}, "grid = (0, 0)", id="grid-zero"),
        pytest.param({"unet_pool": [2, 2, 2]}, "unet_pool", id="3d-pool"),
        pytest.param({"unet_activation": "swish"}, "unet_activation = 'swish'", id="activation"),
        pytest.param({"unet_kernel_size": [4, 4]}, "unet_kernel_size", id="even-kernel"),
        pytest.param({"n_rays": "many"}, "wrong value", id="text-for-a-number"),
        pytest.param({"n_rays": 2}, "n_rays", id="two-rays"),
    ],
)
def test_config_refuses_what_it_cannot_build(words, named):
    with pytest.raises(ModelError, match="StarDist") as caught:
        StarDistConfig.from_dict(SMALL.to_dict() | words)
    assert named in str(caught.value)


@pytest.mark.parametrize("n_classes", [None, 2])
@pytest.mark.parametrize(
    ("write", "rename"),
    [
        pytest.param(write_keras2, list, id="keras2"),
        pytest.param(write_keras3, list, id="keras3"),
        pytest.param(write_keras3, class_names, id="keras3-class-names"),
    ],
)
def test_stock_weights_load(tmp_path, write, rename, n_classes):
    net = random_net(replace(SMALL, n_classes=n_classes))
    layers = list(rename(keras_layers(net)))
    loaded, thresholds = load_stock(stock_folder(tmp_path, net, write, layers))
    assert thresholds == Thresholds(prob=0.61, nms=0.3)
    assert_same_weights(net, loaded)


def test_stock_weights_load_by_order_where_keras_numbers(tmp_path):
    # A second model built in the same Python session; 9 sorts before 10 as a number only.
    net = random_net()
    loaded, _ = load_stock(stock_folder(tmp_path, net, layers=keras_layers(net, first=9)))
    assert_same_weights(net, loaded)


def test_stock_kernel_axes(tmp_path):
    net = random_net()
    layers = keras_layers(net)
    kernel = dict(layers)["down_level_1_no_0"][0][1]
    loaded, _ = load_stock(stock_folder(tmp_path, net, layers=layers))
    assert loaded.layers["down_level_1_no_0"].conv.weight[5, 3, 0, 2] == kernel[0, 2, 3, 5]


def without(name):
    return lambda layers: [(n, a) for n, a in layers if n != name]


def changed(name, change):
    return lambda layers: [
        (n, [(w, change(v)) for w, v in a] if n == name else a) for n, a in layers
    ]


def first_array_only(name):
    return lambda layers: [(n, a[:1] if n == name else a) for n, a in layers]


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        pytest.param(without("features"), "14 layers in the file, 15", id="layer-missing"),
        pytest.param(
            without("batch_normalization_2"), "9 layers in the file, 10", id="norm-missing"
        ),
        pytest.param(changed("dist", lambda v: v[..., :4]), "dist has shape", id="other-rays"),
        pytest.param(changed("prob", lambda v: v * np.nan), "not finite", id="nan"),
        pytest.param(first_array_only("prob"), "1 arrays", id="no-bias"),
    ],
)
def test_stock_weights_that_do_not_fit_say_which(tmp_path, damage, named):
    net = random_net()
    folder = stock_folder(tmp_path, net, layers=damage(keras_layers(net)))
    with pytest.raises(ModelError, match="weights_best") as caught:
        load_stock(folder)
    assert named in str(caught.value)


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("file", "spoil"),
    [
        pytest.param("weights_best.h5", truncate, id="weights-truncated"),
        pytest.param("weights_best.h5", lambda p: p.write_bytes(b"<html>"), id="weights-not-hdf5"),
        pytest.param("weights_best.h5", Path.unlink, id="weights-missing"),
        pytest.param("weights_best.h5", lambda p: h5py.File(p, "w").close(), id="weights-empty"),
        pytest.param("config.json", Path.unlink, id="config-missing"),
        pytest.param("config.json", truncate, id="config-truncated"),
        pytest.param("config.json", lambda p: p.write_text("[]"), id="config-a-list"),
        pytest.param(
            "thresholds.json", lambda p: p.write_text('{"prob": 7, "nms": 0}'), id="prob-7"
        ),
        pytest.param("thresholds.json", lambda p: p.write_text('{"nms": 0}'), id="no-prob"),
    ],
)
def test_damaged_stock_folder_names_the_file(tmp_path, file, spoil):
    folder = stock_folder(tmp_path, random_net())
    spoil(folder / file)
    with pytest.raises(ModelError, match=file.replace(".", r"\.")):
        load_stock(folder)


def test_stock_folder_without_thresholds_has_the_package_defaults(tmp_path):
    folder = stock_folder(tmp_path, random_net())
    (folder / "thresholds.json").unlink()
    assert load_stock(folder)[1] == Thresholds(prob=0.5, nms=0.4)


def test_stock_folder_with_only_the_last_weights(tmp_path):
    net = random_net()
    folder = stock_folder(tmp_path, net)
    (folder / "weights_best.h5").rename(folder / "weights_last.h5")
    assert_same_weights(net, load_stock(folder)[0])


def test_shipped_round_trip_keeps_half_precision(tmp_path):
    net = random_net()
    save_shipped(tmp_path, net, Thresholds(0.55, 0.35))
    loaded, thresholds = load_shipped(tmp_path)
    assert thresholds == Thresholds(0.55, 0.35)
    assert loaded.config == net.config
    for key, value in net.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[key], value, rtol=1e-3, atol=1e-6, msg=key)
    assert next(loaded.parameters()).dtype == torch.float32


@pytest.mark.parametrize("n_classes", [None, 2])
def test_stock_round_trip(tmp_path, n_classes):
    net = random_net(replace(SMALL, n_classes=n_classes))
    save_stock(tmp_path, net, Thresholds(0.55, 0.35))
    loaded, thresholds = load_stock(tmp_path)
    assert thresholds == Thresholds(0.55, 0.35)
    assert_same_weights(net, loaded)
    written, by_hand = tmp_path / "weights_best.h5", tmp_path / "by_hand.h5"
    write_keras2(by_hand, keras_layers(net))
    with h5py.File(written) as a, h5py.File(by_hand) as b:
        assert list(a.attrs["layer_names"]) == list(b.attrs["layer_names"])[1:]


@pytest.mark.parametrize("spoil", [truncate, Path.unlink], ids=["truncated", "missing"])
def test_damaged_shipped_weights_say_so(tmp_path, spoil):
    save_shipped(tmp_path, random_net(), Thresholds())
    spoil(tmp_path / "weights.safetensors")
    with pytest.raises(ModelError, match=r"weights\.safetensors"):
        load_shipped(tmp_path)


def test_shipped_weights_of_another_architecture_say_so(tmp_path):
    save_shipped(tmp_path, random_net(), Thresholds())
    words = SMALL.to_dict() | {"n_rays": 16}
    (tmp_path / "config.json").write_text(json.dumps(words))
    with pytest.raises(ModelError, match="dist"):
        load_shipped(tmp_path)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31), n_classes=st.sampled_from([None, 2]))
def test_folding_changes_no_output(seed, n_classes):
    torch.manual_seed(seed)
    net = random_net(replace(SMALL, n_classes=n_classes))
    folded = fold_batch_norm(net)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules())
    image = torch.randn(1, 3, 16, 24)
    with torch.no_grad():
        for was, now in zip(net(image), folded(image), strict=True):
            assert (was is None) == (now is None)
            if was is not None:
                torch.testing.assert_close(now, was, rtol=1e-4, atol=1e-5)


def test_folding_leaves_the_network_as_it_was():
    net = random_net()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    fold_batch_norm(net)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


WEIGHTS = Path(napari_histo.__file__).parent / "models/weights"
SHIPPED = [
    path
    for path in sorted(WEIGHTS.glob("*/card.json"))
    if json.loads(path.read_text("utf-8")).get("family", "stardist") == "stardist"
]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.parent.name)
def test_shipped_card_tells_the_truth(path):
    card, weights = json.loads(path.read_text("utf-8")), path.with_name("weights.safetensors")
    assert card["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert weights.stat().st_size < 10e6
    net, thresholds = load_shipped(path.parent)
    assert card["name"] == path.parent.name
    assert card["thresholds"] == asdict(thresholds)
    assert net.config.n_channel_in == {"rgb": 3, "gray": 1}[card["channels"]]
    assert card["sha256"][:16] in path.with_name("CARD.md").read_text("utf-8")


def test_models_ship():
    assert {p.parent.name for p in SHIPPED} >= {"he-nuclei", "he-nuclei-fast", "fluo-nuclei"}
