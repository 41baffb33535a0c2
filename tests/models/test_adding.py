"""Models that users add, and those of labs: by name, whole, and never over one another."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from functools import partial
from pathlib import Path

import pytest

from napari_histo.core import ClassScheme, ModelInfo
from napari_histo.errors import ModelError, ModelUnavailableError
from napari_histo.models import (
    Addition,
    add_model,
    add_shared_folder,
    get_info,
    is_available,
    list_models,
    list_prompt_models,
    list_region_models,
    load_model,
    load_prompt_model,
    load_region_model,
    notes,
    registry,
    remove_model,
    verify,
)
from napari_histo.models.region.segmenter import NetShape, TorchRegionSegmenter, save_region_model
from support.model_folders import cellpose_file, stardist_folder


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """The user's folder of models, empty."""
    monkeypatch.setenv("NAPARI_HISTO_MODELS", str(tmp_path / "home"))
    monkeypatch.delenv("NAPARI_HISTO_SHARED_MODELS", raising=False)
    return tmp_path / "home"


@pytest.fixture
def mine(tmp_path):
    return stardist_folder(tmp_path / "mine")


def names():
    return [info.name for info in list_models()]


def left(home):
    """What is in the user's folder, hidden things and locks of nobody left out."""
    return sorted(p.name for p in home.iterdir() if p.name != ".lock")


def state_of(name):
    return next(iter(verify([name]))).state


class TestAdding:
    def test_a_folder_is_copied_checked_and_listed(self, mine, home):
        info = add_model(Addition(str(mine)))
        assert (info.name, info.licence, info.pixel_size_um) == ("mine", "CC0-1.0", 0.5)
        shutil.rmtree(mine)
        assert names()[-1] == "mine"
        assert is_available("mine")
        assert load_model("mine", device="cpu").info.thresholds.prob == 0.6
        assert state_of("mine") == "whole"
        assert left(home) == ["mine"]

    def test_weights_that_are_not_the_cards_are_refused(self, mine, home):
        card = json.loads((mine / "card.json").read_text())
        (mine / "card.json").write_text(json.dumps(card | {"sha256": "0" * 64}))
        with pytest.raises(ModelError, match="that its card names"):
            add_model(Addition(str(mine)))
        assert left(home) == []

    def test_what_is_kept_of_a_run_names_the_weights(self, mine):
        right = hashlib.sha256((mine / "weights.safetensors").read_bytes()).hexdigest()
        assert add_model(Addition(str(mine))).sha256 == right

    def test_a_linked_one_stays_where_it_is(self, mine, home):
        add_model(Addition(str(mine), link=True))
        assert sorted(p.name for p in (home / "mine").iterdir()) == ["added.json"]
        load_model("mine", device="cpu")
        shutil.rmtree(mine)
        assert "mine" not in names()
        assert "mine is not listed" in notes()[0]

    def test_a_file_of_cellpose_keeps_its_licence(self, tmp_path):
        add_model(Addition(str(cellpose_file(tmp_path / "my_cyto")), licence="CC-BY-4.0"))
        assert get_info("my_cyto").licence == "CC-BY-4.0"
        assert load_model("my_cyto", device="cpu").info.family == "cellpose"

    def test_a_size_model_goes_with_its_network(self, tmp_path, home):
        import numpy as np

        file = cellpose_file(tmp_path / "my_cyto")
        words = {"A": np.zeros(16), "smean": np.zeros(16), "ymean": 3.0, "diam_mean": 17.0}
        np.save(tmp_path / "size_my_cyto.npy", words)
        add_model(Addition(str(file)))
        kept = sorted(p.name for p in (home / "my_cyto" / "model").iterdir())
        assert kept == ["my_cyto", "size_my_cyto.npy"]
        (home / "my_cyto" / "model" / "size_my_cyto.npy").unlink()
        assert state_of("my_cyto") == "damaged"

    def test_a_folder_of_cellpose_as_training_here_makes_it(self, tmp_path):
        folder = tmp_path / "tuned"
        folder.mkdir()
        cellpose_file(folder / "weights.pt")
        (folder / "config.json").write_text("{}")
        sha256 = hashlib.sha256((folder / "weights.pt").read_bytes()).hexdigest()
        card = {"family": "cellpose", "sha256": sha256, "channels": "gray"}
        (folder / "card.json").write_text(json.dumps(card))
        assert state_of(str(folder)) == "whole"
        add_model(Addition(str(folder)))
        assert load_model("tuned", device="cpu").info.family == "cellpose"

    def test_only_the_weights_that_count_are_copied(self, mine, home):
        from napari_histo.models.stardist.files import load_shipped, save_stock

        save_stock(mine, *load_shipped(mine))
        (mine / "weights.safetensors").unlink()
        (mine / "weights_last.h5").write_bytes(b"not needed")
        (mine / "logs").mkdir()
        (mine / "logs" / "events").write_bytes(b"not needed")
        add_model(Addition(str(mine)))
        kept = sorted(p.name for p in (home / "mine" / "model").iterdir())
        assert kept == ["card.json", "config.json", "thresholds.json", "weights_best.h5"]

    def test_region_and_click_models_are_listed_with_their_kind(self, tmp_path):
        shape = NetShape(3, 3, guided=False, width=4)
        classes = ClassScheme.of("Tumor", "Stroma")
        card = ModelInfo("areas", "regions", 4.0, channels="rgb", classes=classes)
        net = TorchRegionSegmenter(shape.build(), shape, card, device="cpu")
        save_region_model(tmp_path / "areas", net)
        add_model(Addition(str(tmp_path / "areas")))
        add_model(Addition(str(registry.model_folder("click")), name="my-click"))
        assert not {"areas", "my-click"} & set(names())
        assert [i.name for i in list_region_models()] == ["areas"]
        assert [i.name for i in list_prompt_models()] == ["click", "my-click"]
        assert load_region_model("areas", device="cpu").info.pixel_size_um == 4.0
        assert load_prompt_model("my-click", device="cpu").info.name == "my-click"

    @pytest.mark.parametrize(
        "name",
        ["he-nuclei", "HE-Nuclei", "classical", "2D_versatile_he", "cyto3", "cpsam", "taken"],
    )
    def test_a_name_that_is_taken_is_refused(self, mine, home, name):
        add_model(Addition(str(mine), name="taken"))
        with pytest.raises(ModelError, match="already"):
            add_model(Addition(str(mine), name=name))
        assert left(home) == ["taken"]

    @pytest.mark.parametrize("name", ["", "../out", "a/b", ".hidden", "-x", "a b", "é", "x" * 65])
    def test_a_name_that_is_none_is_refused(self, mine, home, name):
        asked = Addition(str(mine), name=name or " ")
        with pytest.raises(ModelError, match="cannot name a model"):
            add_model(asked)
        assert left(home) == []


class TestRemoving:
    def test_what_was_added_goes(self, mine, home):
        add_model(Addition(str(mine)))
        remove_model("mine")
        assert "mine" not in names()
        assert left(home) == []
        assert (mine / "config.json").exists()

    @pytest.mark.parametrize("name", ["he-nuclei", "classical", "click", "2D_versatile_he"])
    def test_the_programs_own_stay(self, name):
        with pytest.raises(ModelError, match="belongs to the program"):
            remove_model(name)

    @pytest.mark.parametrize("name", ["unknown", "../mine", "."])
    def test_only_what_was_added(self, mine, name):
        with pytest.raises(ModelError, match="not added here"):
            remove_model(name)
        assert mine.exists()


class TestLabs:
    @pytest.fixture
    def lab(self, tmp_path, mine):
        folder = tmp_path / "lab"
        shutil.copytree(mine, folder / "lab-nuclei")
        cellpose_file(folder / "lab_cyto")
        (folder / "README.txt").write_text("ours")
        return folder

    def test_all_models_are_listed_where_they_are(self, lab, home):
        before = sorted(lab.rglob("*"))
        assert [i.name for i in add_shared_folder(lab)] == ["lab-nuclei", "lab_cyto"]
        assert names()[-2:] == ["lab-nuclei", "lab_cyto"]
        load_model("lab-nuclei", device="cpu")
        assert sorted(lab.rglob("*")) == before
        assert left(home) == ["shared.json"]
        remove_model(str(lab))
        assert "lab-nuclei" not in names()

    def test_by_the_environment(self, lab, monkeypatch):
        monkeypatch.setenv("NAPARI_HISTO_SHARED_MODELS", f"{lab}{os.pathsep}/no/such/folder")
        assert "lab_cyto" in names()
        assert "/no/such/folder cannot be read" in notes()[0]
        with pytest.raises(ModelError, match="NAPARI_HISTO_SHARED_MODELS"):
            remove_model(str(lab))

    def test_none_can_be_removed(self, lab):
        add_shared_folder(lab)
        with pytest.raises(ModelError, match="never changed"):
            remove_model("lab_cyto")

    def test_the_users_own_come_first_and_the_programs_before_all(self, lab, mine):
        shutil.copytree(mine, lab / "he-nuclei")
        add_model(Addition(str(mine), name="Lab_Cyto"))
        add_shared_folder(lab)
        assert names()[-2:] == ["Lab_Cyto", "lab-nuclei"]
        assert get_info("he-nuclei").pixel_size_um == 0.25
        assert len(notes()) == 2

    def test_a_damaged_card_hides_one_model_only(self, lab):
        (lab / "lab-nuclei" / "card.json").write_text("{")
        add_shared_folder(lab)
        assert "lab_cyto" in names()
        assert "lab-nuclei is not listed" in notes()[0]


class TestVerifying:
    def test_shipped_models_are_whole(self):
        states = {v.name: v.state for v in verify()}
        assert states["he-nuclei"] == states["click"] == states["classical"] == "whole"

    @pytest.mark.parametrize(
        ("harm", "says"),
        [
            (lambda f: (f / "weights.safetensors").write_bytes(b"x"), "changed"),
            (lambda f: (f / "thresholds.json").write_text('{"prob": 0.1, "nms": 0.1}'), "changed"),
            (lambda f: (f / "weights.safetensors").unlink(), "missing"),
            (lambda f: (f / "more.json").write_text("{}"), "new"),
        ],
        ids=["weights", "thresholds", "gone", "another file"],
    )
    def test_what_changed_is_told(self, mine, home, harm, says):
        add_model(Addition(str(mine)))
        harm(home / "mine" / "model")
        verdict = next(iter(verify(["mine"])))
        assert verdict.state == "damaged"
        assert says in verdict.details[0]

    def test_a_labs_model_is_held_against_its_card(self, tmp_path, mine):
        shutil.copytree(mine, tmp_path / "lab" / "one")
        add_shared_folder(tmp_path / "lab")
        assert state_of("one") == "no checksum"
        weights = tmp_path / "lab" / "one" / "weights.safetensors"
        right = hashlib.sha256(weights.read_bytes()).hexdigest()
        for sha256, state in ((right, "whole"), ("0" * 64, "damaged")):
            (tmp_path / "lab" / "one" / "card.json").write_text(json.dumps({"sha256": sha256}))
            assert state_of("one") == state


# -- from URLs -----------------------------------------------------------------------------------


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def site(tmp_path):
    """A server of this machine with an archive of a model; gives its address and folder."""
    folder = tmp_path / "site"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(_Quiet, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", folder
    server.shutdown()
    server.server_close()


def packed(folder, into, inside="deep/net/"):
    """SHA-256 of a new archive of a folder."""
    with zipfile.ZipFile(into, "w") as archive:
        for file in folder.iterdir():
            archive.write(file, inside + file.name)
    return hashlib.sha256(into.read_bytes()).hexdigest()


class TestUrls:
    def test_needs_checksum_and_licence(self, mine, site, home):
        url, folder = site
        sha256 = packed(mine, folder / "net.zip")
        with pytest.raises(ModelError, match="needs --sha256"):
            add_model(Addition(f"{url}/net.zip"))
        with pytest.raises(ModelError, match=r"CC0-1\.0.*--accept-licence"):
            add_model(Addition(f"{url}/net.zip", sha256=sha256))
        assert left(home) == []
        asked = Addition(f"{url}/net.zip", sha256=sha256.upper(), accept_licence=True)
        info = add_model(asked)
        assert (info.name, info.source) == ("net", f"{url}/net.zip")
        assert left(home) == ["net"]
        load_model("net", device="cpu")

    def test_a_file_of_torch_is_not_unpacked(self, tmp_path, site):
        url, folder = site
        file = cellpose_file(folder / "cyto_ours")
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        asked = Addition(f"{url}/cyto_ours?v=1", sha256=sha256, accept_licence=True)
        assert add_model(asked).family == "cellpose"
        load_model("cyto_ours", device="cpu")

    def test_another_file_is_refused(self, mine, site, home):
        url, folder = site
        packed(mine, folder / "net.zip")
        with pytest.raises(ModelError, match="is not the file with the SHA-256"):
            add_model(Addition(f"{url}/net.zip", sha256="0" * 64, accept_licence=True))
        assert left(home) == []

    def test_an_archive_without_a_model_is_refused(self, tmp_path, site, home):
        url, folder = site
        (tmp_path / "texts").mkdir()
        (tmp_path / "texts" / "a.txt").write_text("a")
        sha256 = packed(tmp_path / "texts", folder / "net.zip")
        with pytest.raises(ModelError, match="holds no model"):
            add_model(Addition(f"{url}/net.zip", sha256=sha256, accept_licence=True))
        assert left(home) == []

    def test_paths_out_of_an_archive_stay_in(self, mine, site, home, tmp_path):
        url, folder = site
        sha256 = packed(mine, folder / "net.zip", inside="../../../escaped/")
        add_model(Addition(f"{url}/net.zip", sha256=sha256, accept_licence=True))
        assert list(tmp_path.rglob("escaped")) == [home / "escaped"]

    def test_what_cannot_be_reached_is_told(self, home):
        asked = Addition("http://127.0.0.1:1/net.zip", sha256="0" * 64, accept_licence=True)
        with pytest.raises(ModelUnavailableError, match="could not be downloaded"):
            add_model(asked)
        assert left(home) == []


# -- kill -9 -------------------------------------------------------------------------------------

_CHILD = """
import os, shutil, signal, sys
from pathlib import Path
from napari_histo.models.shelf import adding as _adding
from napari_histo.models import Addition, add_model, registry
from napari_histo.store import write

def die(*_args, **_words):
    os.kill(os.getpid(), signal.SIGKILL)

source, where = sys.argv[1:]
target, name = {
    "while copying": (shutil, "copyfile"),
    "while checking": (_adding, "_check_loads"),
    "before the last step": (write, "_replace"),
    "while removing": (shutil, "rmtree"),
}[where]
if where == "while removing":
    add_model(Addition(source))
setattr(target, name, die)
if where == "while removing":
    registry.remove_model("mine")
add_model(Addition(source))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.parametrize(
    "where", ["while copying", "while checking", "before the last step", "while removing"]
)
def test_a_killed_program_leaves_nothing_half(tmp_path, home, mine, where):
    child = subprocess.run(
        [sys.executable, "-c", _CHILD, str(mine), where], capture_output=True, check=False
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert "mine" not in names()
    assert notes() == []
    add_model(Addition(str(mine)))
    assert left(home) == ["mine"]
    assert state_of("mine") == "whole"


def test_two_programs_do_not_add_at_once(mine, home):
    from napari_histo.errors import DocumentLockedError
    from napari_histo.store.lock import FileLock

    home.mkdir()
    lock = FileLock(home / ".lock", "The folder")
    with pytest.raises(DocumentLockedError, match="folder of your models"):
        add_model(Addition(str(mine)))
    lock.release()
    add_model(Addition(str(mine)))


def test_the_users_folder_is_where_the_system_keeps_such_things(monkeypatch):
    from napari_histo.models.shelf.places import user_folder

    monkeypatch.delenv("NAPARI_HISTO_MODELS")
    assert user_folder().name == "models"
    assert "napari-histo" in user_folder().parts
    assert isinstance(registry.places(), dict)
    assert Path(user_folder()).is_absolute()
