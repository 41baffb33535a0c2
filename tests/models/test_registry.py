"""Names, folders and downloads of models."""

from __future__ import annotations

import json
import shutil
import zipfile

import pytest
from safetensors.torch import load_file

from napari_histo.core import Thresholds
from napari_histo.errors import ModelError, ModelUnavailableError
from napari_histo.models import get_info, is_available, list_models, load_model, registry
from napari_histo.models.shelf import published as _published
from napari_histo.models.shelf.folder import beside_model

SHIPPED = [i.name for i in list_models() if (registry._SHIPPED / i.name).is_dir()]


def test_the_default_is_shipped():
    assert registry.DEFAULT_MODEL in SHIPPED
    assert list_models()[0].name == registry.DEFAULT_MODEL


@pytest.mark.parametrize("name", SHIPPED)
class TestShipped:
    def test_loads_offline(self, name):
        assert is_available(name)
        model = load_model(name, device="cpu")
        assert model.info.name == name

    def test_card_is_true_to_the_files(self, name):
        import hashlib

        weights = registry._SHIPPED / name / "weights.safetensors"
        info = get_info(name)
        assert info.sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
        assert info.size_bytes == weights.stat().st_size < 10_000_000
        assert info.pixel_size_um
        assert info.licence not in ("", "unknown")
        assert (registry._SHIPPED / name / "CARD.md").read_text().startswith("# ")

    def test_a_copy_may_be_replaced_but_not_with_slides_in_it(self, name, tmp_path):
        folder = tmp_path / name
        shutil.copytree(registry._SHIPPED / name, folder)
        assert beside_model(folder) == []
        (folder / "S21-104.svs").touch()
        assert beside_model(folder) == ["S21-104.svs"]

    @pytest.mark.parametrize(
        "harm",
        [
            pytest.param(lambda f: f.write_bytes(f.read_bytes()[:5000]), id="truncated"),
            pytest.param(lambda f: f.write_bytes(b"garbage" * 100), id="garbage"),
            pytest.param(lambda f: f.write_bytes(b""), id="empty"),
        ],
    )
    def test_damaged_weights_are_refused(self, name, harm, tmp_path):
        folder = tmp_path / name
        shutil.copytree(registry._SHIPPED / name, folder)
        harm(folder / "weights.safetensors")
        with pytest.raises(ModelError, match=r"weights\.safetensors"):
            load_model(str(folder))

    def test_weights_of_another_architecture_are_refused(self, name, tmp_path):
        folder = tmp_path / name
        shutil.copytree(registry._SHIPPED / name, folder)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"n_rays": 16}))
        with pytest.raises(ModelError, match="does not hold the weights"):
            load_model(str(folder))

    def test_weights_are_finite(self, name):
        weights = load_file(registry._SHIPPED / name / "weights.safetensors")
        assert all(w.isfinite().all() for w in weights.values())


def test_a_folder_without_config(tmp_path):
    with pytest.raises(ModelError, match=r"no config\.json"):
        load_model(str(tmp_path))


class TestPublished:
    @pytest.fixture(autouse=True)
    def empty_cache(self, tmp_path, monkeypatch):
        monkeypatch.setattr(_published, "_cache", lambda: tmp_path)

    def test_not_here_yet(self):
        assert not is_available("2D_versatile_he")

    def test_offline_says_what_to_do(self, monkeypatch):
        import pooch

        def refuse(*_, **__):
            raise ConnectionError("no route to host")

        monkeypatch.setattr(pooch, "retrieve", refuse)
        with pytest.raises(ModelUnavailableError, match=r"(?s)could not be downloaded.*he-nuclei"):
            load_model("2D_versatile_he")

    def test_another_file_is_refused(self, monkeypatch):
        import pooch

        def refuse(*_, **__):
            raise ValueError("SHA256 hash of downloaded file does not match")

        monkeypatch.setattr(pooch, "retrieve", refuse)
        with pytest.raises(ModelError, match="not the published file"):
            load_model("2D_versatile_he")

    @pytest.mark.parametrize(
        "inside",
        [
            pytest.param("2D_versatile_he/", id="in-a-folder-of-its-name"),
            pytest.param("", id="flat"),
            pytest.param("models/v1/", id="deep"),
        ],
    )
    def test_is_there_once_fetched(self, tmp_path, monkeypatch, inside):
        """A shipped model stands in for the published one."""
        serve(monkeypatch, inside)
        model = load_model("2D_versatile_he", device="cpu")
        assert model.info.name == "2D_versatile_he"
        assert is_available("2D_versatile_he")
        assert sorted(p.name for p in tmp_path.iterdir()) == [
            "2D_versatile_he.zip",
            "2D_versatile_he.zip.unzip",
        ]

    @pytest.mark.parametrize("left", [["config.json"], ["weights_best.h5"], []], ids=str)
    def test_an_interrupted_unpacking_is_done_again(self, tmp_path, monkeypatch, left):
        folder = tmp_path / "2D_versatile_he.zip.unzip" / "2D_versatile_he"
        folder.mkdir(parents=True)
        for name in left:
            (folder / name).write_text("{")
        assert not is_available("2D_versatile_he")
        serve(monkeypatch, "2D_versatile_he/")
        assert load_model("2D_versatile_he", device="cpu").info.name == "2D_versatile_he"

    def test_an_archive_without_weights_is_refused(self, monkeypatch):
        serve(monkeypatch, "", names=["config.json"])
        with pytest.raises(ModelError, match=r"no config\.json with weights"):
            load_model("2D_versatile_he", device="cpu")


def serve(monkeypatch, inside, names=("config.json", "thresholds.json", "weights.safetensors")):
    """Let downloads give an archive of the shipped model."""
    import pooch

    def retrieve(_url, *, fname, path, **_):
        with zipfile.ZipFile(path / fname, "w") as archive:
            for name in names:
                archive.write(registry._SHIPPED / "he-nuclei" / name, inside + name)
        return str(path / fname)

    monkeypatch.setattr(pooch, "retrieve", retrieve)


class TestFoldersOfTheUsers:
    """What people write into their own folders is refused in words, not with a traceback."""

    @pytest.fixture
    def folder(self, tmp_path):
        shutil.copytree(registry._SHIPPED / "he-nuclei", tmp_path / "mine")
        return tmp_path / "mine"

    @pytest.mark.parametrize(
        ("file", "words", "says"),
        [
            ("thresholds.json", {"prob": None, "nms": 0.3}, "numbers prob and nms"),
            ("thresholds.json", {"prob": "0.5", "nms": 0.3}, "numbers prob and nms"),
            ("thresholds.json", {"prob": 1.5, "nms": 0.3}, r"within 0\.\.1; they are 1\.5"),
            ("thresholds.json", {"prob": 0.5}, "numbers prob and nms"),
            ("thresholds.json", [0.5, 0.3], "holds a list"),
            ("card.json", {"pixel_size_um": "0.5"}, "pixel_size_um must be a number.*'0.5'"),
            ("card.json", {"pixel_size_um": 0}, "pixel_size_um must be a number above 0"),
            ("card.json", {"channels": "RGB"}, "channels must be one of rgb, gray, any"),
            ("card.json", {"classes": ["A", "A"]}, "classes must be .* each once"),
            ("card.json", {"classes": "Nucleus"}, "classes must be a list"),
            ("card.json", {"classes": [1]}, "classes must be a list"),
            ("card.json", {"percentiles": [99, 1]}, "percentiles must be two rising numbers"),
            ("config.json", [], "holds a list"),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("use", [get_info, load_model], ids=["card", "load"])
    def test_wrong_words(self, folder, file, words, says, use):
        (folder / file).write_text(json.dumps(words))
        with pytest.raises(ModelError, match=says):
            use(str(folder))

    def test_right_words(self, folder):
        card = {"pixel_size_um": 0.5, "classes": ["Tumor"], "percentiles": [0, 100]}
        (folder / "card.json").write_text(json.dumps(card))
        (folder / "thresholds.json").write_text('{"prob": 1, "nms": 0}')
        info = load_model(str(folder), device="cpu").info
        assert (info.name, info.pixel_size_um, info.classes.names) == ("mine", 0.5, ("Tumor",))
        assert info.thresholds == Thresholds(1.0, 0.0)
