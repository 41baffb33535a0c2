"""Encoders from a folder: what they see, what their description must say, what is not opened."""

from __future__ import annotations

import hashlib
import json
import pickle
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from napari_histo.errors import ModelError, ModelUnavailableError
from napari_histo.models.encoder.card import EncoderCard
from napari_histo.models.encoder.encoder import FolderEncoder

WORDS = {
    "name": "Tiny",
    "weights": "encoder.pt",
    "licence": "CC0-1.0; for tests alone",
    "input_px": 32,
    "pixel_size_um": 0.5,
    "mean": [0.0, 0.0, 0.0],
    "std": [1.0, 1.0, 1.0],
}


class Tiny(nn.Module):
    """Means of colours in quarters of a picture; in maps, tokens or at once."""

    def __init__(self, shape="features"):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.shape = shape

    def forward(self, x):
        x = nn.functional.adaptive_avg_pool2d(self.conv(x), 2)
        if self.shape == "maps":
            return x
        if self.shape == "tokens":
            return x.flatten(2).transpose(1, 2)
        return x.flatten(1)


def tiny(shape="features"):
    torch.manual_seed(0)
    return Tiny(shape).eval()


def folder(path, net=None, **words):
    """An encoder's folder; the network as TorchScript unless another file is named."""
    path.mkdir(exist_ok=True)
    told = {k: v for k, v in {**WORDS, **words}.items() if v != "left out"}
    (path / "encoder.json").write_text(json.dumps(told))
    if net is not None:
        torch.jit.trace(net, torch.zeros(2, 3, 32, 32)).save(path / "encoder.pt")
    return path


def load(path):
    return FolderEncoder(EncoderCard.read(path), device="cpu")


def pictures(n=2, side=32, seed=0):
    return np.random.default_rng(seed).random((n, side, side, 3)).astype(np.float32)


# -- what it sees --------------------------------------------------------------------------------


def test_features_are_those_of_the_network_and_of_length_one(tmp_path):
    net, shown = tiny(), pictures()
    found = load(folder(tmp_path / "e", net)).encode(shown, 0.5)
    with torch.no_grad():
        wanted = nn.functional.normalize(net(torch.from_numpy(shown).permute(0, 3, 1, 2)))
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert found.dtype == np.float32


def test_colours_are_normalised_as_the_description_says(tmp_path):
    plain = load(folder(tmp_path / "a", tiny()))
    moved = load(folder(tmp_path / "b", tiny(), mean=[0.5] * 3, std=[0.25] * 3))
    shown = pictures()
    np.testing.assert_allclose(
        moved.encode(shown, 0.5), plain.encode((shown - 0.5) * 4, 0.5), atol=1e-6
    )


@pytest.mark.parametrize(("shape", "d"), [("maps", 4), ("tokens", 4), ("features", 16)])
def test_maps_are_averaged_and_of_tokens_the_first_is_taken(tmp_path, shape, d):
    found = load(folder(tmp_path / "e", tiny(shape))).encode(pictures(), 0.5)
    assert found.shape == (2, d)


@pytest.mark.parametrize(
    ("side", "pixel_um", "like"),
    [(64, 0.25, 32), (32, 1.0, 64), (16, 0.5, 32), (20, None, 32), (70, None, 70)],
    ids=["finer", "coarser", "smaller than a window", "no size, smaller", "no size"],
)
def test_pictures_are_brought_to_the_pixel_size_of_the_encoder(tmp_path, side, pixel_um, like):
    """Smooth ramps look alike in whichever pixels they come."""

    def ramp(n):
        axis = (np.arange(n, dtype=np.float32) + 0.5) / n
        return np.stack([*np.meshgrid(axis, axis), np.full((n, n), 0.5, np.float32)], -1)[None]

    encoder = load(folder(tmp_path / "e", tiny()))
    found, wanted = encoder.encode(ramp(side), pixel_um), encoder.encode(ramp(like), 0.5)
    np.testing.assert_allclose(found, wanted, atol=0.02)


def test_a_larger_picture_is_covered_by_windows(tmp_path):
    encoder = load(folder(tmp_path / "e", tiny()))
    large = pictures(1, 64)
    parts = [large[:, y : y + 32, x : x + 32] for y in (0, 32) for x in (0, 32)]
    mean = np.mean([encoder.encode(part, 0.5) for part in parts], axis=0)
    found = encoder.encode(large, 0.5)
    np.testing.assert_allclose(found, mean / np.linalg.norm(mean), atol=1e-6)


# -- timm ----------------------------------------------------------------------------------------


def timm_folder(path, **words):
    words = {
        "architecture": "tiny",
        "weights": "model.safetensors",
        "arguments": {"shape": "maps"},
        **words,
    }
    made = folder(path, **words)
    save_file(tiny().state_dict(), made / "model.safetensors")
    return made


def fake_timm(monkeypatch):
    asked = []

    def create_model(name, *, pretrained, num_classes, **arguments):
        asked.append((name, pretrained, num_classes, arguments))
        torch.manual_seed(9)  # other weights than those of the file
        return Tiny(**arguments)

    monkeypatch.setitem(sys.modules, "timm", SimpleNamespace(create_model=create_model))
    return asked


@pytest.mark.parametrize("suffix", ["safetensors", "pth", "wrapped.pth"])
def test_a_timm_architecture_gets_the_weights_of_the_folder(tmp_path, monkeypatch, suffix):
    asked, name = fake_timm(monkeypatch), f"model.{suffix}"
    made = timm_folder(tmp_path / "e", weights=name)
    if suffix.endswith("pth"):
        state = tiny().state_dict()
        torch.save({"state_dict": state} if "wrapped" in suffix else state, made / name)
    shown = pictures()
    wanted = load(folder(tmp_path / "script", tiny("maps"))).encode(shown, 0.5)
    np.testing.assert_allclose(load(made).encode(shown, 0.5), wanted, atol=1e-6)
    assert asked == [("tiny", False, 0, {"shape": "maps"})]


def test_without_timm_it_is_said_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ModelUnavailableError, match=r"napari-histo\[encoders\].*TorchScript"):
        load(timm_folder(tmp_path / "e"))


def test_weights_of_another_architecture_are_told(tmp_path, monkeypatch):
    fake_timm(monkeypatch)
    made = timm_folder(tmp_path / "e")
    save_file({"other": torch.zeros(1)}, made / "model.safetensors")
    with pytest.raises(ModelError, match="does not fit timm's 'tiny'"):
        load(made)


class Evil:
    """A pickle that would leave a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_file_that_would_run_code_is_not_opened(tmp_path, monkeypatch):
    fake_timm(monkeypatch)
    made = timm_folder(tmp_path / "e", weights="model.pth")
    for write in (torch.save, lambda x, p: p.write_bytes(pickle.dumps(x))):
        write({"conv.weight": Evil(tmp_path / "ran")}, made / "model.pth")
        with pytest.raises(ModelError, match="save the weights as safetensors"):
            load(made)
    script = folder(tmp_path / "s")
    (script / "encoder.pt").write_bytes(pickle.dumps(Evil(tmp_path / "ran")))
    with pytest.raises(ModelError, match="no TorchScript network"):
        load(script)
    assert not (tmp_path / "ran").exists()


# -- the description -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"licence": "left out"}, "licence is missing"),
        ({"licence": " "}, "licence must be a text: under which licence"),
        ({"input_px": "224"}, "input_px must be a whole number"),
        ({"pixel_size_um": -1}, "pixel_size_um must be"),
        ({"std": [1, 0, 1]}, "three numbers above 0"),
        ({"mean": 0.5}, "mean must be three numbers"),
        ({"pixel_size": 0.5}, "pixel_size is unknown"),
        ({"weights": "none.pt"}, "there is no file none.pt"),
        ({"weights": "../encoder.pt"}, "in the folder itself"),
    ],
    ids=lambda v: v if isinstance(v, str) else None,
)
def test_what_the_description_lacks_is_told_with_an_example(tmp_path, words, said):
    made = folder(tmp_path / "e", tiny(), **words)
    with pytest.raises(ModelError, match=said) as caught:
        EncoderCard.read(made)
    assert '"licence": "CC-BY-NC-ND 4.0"' in str(caught.value)


@pytest.mark.parametrize("text", [None, "{", "[1]"], ids=["missing", "damaged", "a list"])
def test_a_file_that_is_no_description_is_told(tmp_path, text):
    made = folder(tmp_path / "e", tiny())
    (made / "encoder.json").unlink()
    if text is not None:
        (made / "encoder.json").write_text(text)
    with pytest.raises(ModelError, match="Wanted is, for example"):
        EncoderCard.read(made)


def test_the_record_names_licence_and_hashes(tmp_path):
    made = folder(tmp_path / "e", tiny())
    words = EncoderCard.read(made).words()
    sha256 = hashlib.sha256((made / "encoder.pt").read_bytes()).hexdigest()
    assert (words["name"], words["licence"], words["sha256"]) == ("Tiny", WORDS["licence"], sha256)


def test_a_network_that_gives_no_features_is_told(tmp_path):
    net = nn.Sequential(Tiny(), nn.Flatten(0))
    with pytest.raises(ModelError, match=r"wanted is one\s+tensor"):
        load(folder(tmp_path / "e", net)).encode(pictures(), 0.5)
