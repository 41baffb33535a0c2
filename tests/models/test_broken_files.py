"""What is no model is named as the user gave it, told in plain words, and leaves nothing behind."""

from __future__ import annotations

import pickle
import zipfile

import pytest
import torch

from napari_histo.errors import ModelError, WriteError
from napari_histo.models import Addition, add_model, get_info, verify
from napari_histo.models._reasons import reason_of
from support.model_folders import cellpose_file, stardist_folder


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """The user's folder of models, empty."""
    monkeypatch.setenv("NAPARI_HISTO_MODELS", str(tmp_path / "home"))
    monkeypatch.delenv("NAPARI_HISTO_SHARED_MODELS", raising=False)
    return tmp_path / "home"


def left(home):
    return [p.name for p in home.iterdir() if p.name != ".lock"]


def with_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")


def cut(path):
    whole = cellpose_file(path).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


#: File, how it is made, and what every command says of it, without reading all of it.
WRONG = {
    "empty": ("net.pt", lambda p: p.touch(), "it is empty"),
    "tiff": ("slide.tif", lambda p: p.write_bytes(b"II*\0\x10\0\0\0"), "a TIFF image"),
    "png": ("look", lambda p: p.write_bytes(b"\x89PNG\r\n\x1a\n"), "a PNG image"),
    "text": ("notes.txt", lambda p: p.write_text("xhéllo" * 200), "it is text"),
    "web page": ("net.pth", lambda p: p.write_text("<!DOCTYPE html><html>"), "a web page"),
    "text as safetensors": ("a.safetensors", lambda p: p.write_text("hello " * 9), "safetensors"),
    "keras": ("weights_best.h5", lambda p: p.write_bytes(b"\x89HDF\r\n"), "Give the folder"),
    "onnx": ("net.onnx", lambda p: p.write_bytes(b"\x08\x0a\x12"), "rdf.yaml"),
    "zip": ("net.zip", with_zip, "Unpack it"),
    "cut off": ("cyto", cut, "its end is missing"),
    "noise": ("cyto", lambda p: p.write_bytes(b"\0\x01\xfe" * 9), "of an unknown kind"),
}

#: What only loading tells.
REFUSED = {
    "program": ("net.pt", lambda p: torch.save(torch.nn.Linear(2, 2), p), "modules.linear.Linear"),
    "pickle": ("a.pt", lambda p: p.write_bytes(pickle.dumps([print])), "more than weights"),
    "no names": ("a.pt", lambda p: torch.save([1, 2], p), "no named weights"),
    "other": ("a.pt", lambda p: torch.save({"w": torch.ones(1)}, p), "of another model give its"),
}


@pytest.mark.parametrize(
    ("name", "make", "says"), [*WRONG.values(), *REFUSED.values()], ids=[*WRONG, *REFUSED]
)
def test_a_file_is_named_as_it_was_given(tmp_path, home, name, make, says):
    make(tmp_path / name)
    with pytest.raises(ModelError) as caught:
        add_model(Addition(str(tmp_path / name)))
    words = str(caught.value)
    assert words.startswith(f"{tmp_path / name} ")
    assert says in words
    assert "weights_only" not in words
    assert left(home) == []


@pytest.mark.parametrize(("name", "make", "says"), WRONG.values(), ids=WRONG)
def test_its_card_is_not_made_up(tmp_path, name, make, says):
    make(tmp_path / name)
    for ask in (get_info, lambda given: list(verify([given]))):
        with pytest.raises(ModelError, match=says):
            ask(str(tmp_path / name))


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("weights.safetensors", "no", "does not hold the weights"),
        ("config.json", "{}", "layers"),
        ("config.json", "[]", "holds a list"),
        ("card.json", "{oops", "not readable JSON"),
    ],
)
@pytest.mark.parametrize("link", [False, True], ids=["copied", "linked"])
def test_a_folder_is_named_with_its_file_in_one_line(tmp_path, home, file, text, says, link):
    mine = stardist_folder(tmp_path / "mine")
    (mine / file).write_text(text)
    with pytest.raises(ModelError, match=says) as caught:
        add_model(Addition(str(mine), link=link))
    words = str(caught.value)
    assert words.startswith(f"{mine}/")
    assert words.count(str(tmp_path)) == words.count("\n") + 1 == 1
    assert len(words) < 500
    assert left(home) == []


def test_a_cut_onnx_network_is_named_as_it_was_given(tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from support.foreign_nets import edit, maps_onnx

    folder = edit(maps_onnx(tmp_path / "net"), lambda w: w["weights"]["onnx"].pop("sha256", None))
    (network,) = folder.glob("*.onnx")
    network.write_bytes(network.read_bytes()[:-40])
    with pytest.raises(ModelError, match="no whole ONNX network") as caught:
        add_model(Addition(str(folder)))
    assert str(caught.value).startswith(f"{network} ")
    assert "home" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("", "Nothing was given"),
        ("~no-such-person/net", "does not exist"),
        ("C:\\nets\\cyto", "does not exist"),
        ("s3://bucket/net.zip", "cannot be downloaded"),
        ("file:///tmp/net.zip", "cannot be downloaded"),
        ("https://example.org", "the address of one file"),
        ("https:/example.org/net.zip", "the address of one file"),
    ],
)
def test_what_is_neither_file_nor_address(home, source, says):
    with pytest.raises(ModelError, match=says):
        add_model(Addition(source))
    assert left(home) == []


def test_a_damaged_file_that_was_added_is_told_by_verify(tmp_path, home):
    add_model(Addition(str(cellpose_file(tmp_path / "mine"))))
    (home / "mine" / "model" / "mine").write_text("no")
    assert [v.state for v in verify(["mine"])] == ["damaged"]


@pytest.mark.parametrize("where", ["/sys/kernel", "/proc"])
def test_a_folder_of_models_that_nobody_may_write_to(tmp_path, monkeypatch, where):
    from pathlib import Path

    if not Path(where).is_dir():
        pytest.skip("needs a folder that even root cannot write to")
    monkeypatch.setenv("NAPARI_HISTO_MODELS", where)
    with pytest.raises(WriteError, match=f"Cannot write {where}"):
        add_model(Addition(str(stardist_folder(tmp_path / "mine"))))


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("", "RuntimeError"),
        ("short.", "short"),
        ("one thing. Another thing. ", "one thing"),
        ("Error(s) in loading state_dict for N:\n\tsize mismatch: 1.\n\tmore", "size mismatch: 1"),
        ("x" * 900, "x" * 200 + "…"),
    ],
    ids=["nothing", "a sentence", "two", "a network's layers", "long"],
)
def test_a_reason_is_half_a_sentence(said, wanted):
    assert reason_of(RuntimeError(said)) == wanted
