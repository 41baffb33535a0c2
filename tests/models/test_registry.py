"""Names, folders and downloads of models."""

from __future__ import annotations

import json
import shutil

import pytest
from safetensors.torch import load_file

from napari_histo.errors import ModelError, ModelUnavailableError
from napari_histo.models import get_info, is_available, list_models, load_model, registry

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
        monkeypatch.setattr(registry, "_cache", lambda: tmp_path)

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

    def test_is_loaded_once_fetched(self, tmp_path, monkeypatch):
        """The archive holds a folder of the model's name; a shipped model stands in for it."""
        import pooch

        def fetch(*, fname, path, **_):
            folder = path / f"{fname}.unzip" / fname.removesuffix(".zip")
            shutil.copytree(registry._SHIPPED / "he-nuclei", folder)
            (folder / "card.json").unlink()
            return [str(f) for f in folder.iterdir()]

        monkeypatch.setattr(pooch, "retrieve", lambda url, **k: fetch(**k))
        model = load_model("2D_versatile_he", device="cpu")
        assert model.info.name == "2D_versatile_he"
        assert is_available("2D_versatile_he")
