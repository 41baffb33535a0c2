"""Cellpose-SAM's last layers learn from labelled regions; a small one stands for it."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch

from napari_histo.core import Thresholds
from napari_histo.errors import MissingDependencyError, ModelError
from napari_histo.learning.cellpose import sam_start
from napari_histo.learning.cellpose.params import SamTraining
from napari_histo.learning.cellpose.preflight import preflight_sam
from napari_histo.learning.cellpose.sam_run import SamRun
from napari_histo.learning.cellpose.sam_start import SamStart
from napari_histo.learning.cellpose.training import train_cellpose, train_sam, trainer_of
from napari_histo.learning.project.checks import verify_project
from napari_histo.learning.project.making import NewImage, NewProject, create_project
from napari_histo.models import load_model
from napari_histo.models.cellpose.files import file_info, load_cellpose
from napari_histo.models.cellpose.net import CellposeNet, CellposeShape, save_cellpose_net
from napari_histo.models.cellpose.reading import read_weights
from napari_histo.models.cellpose.sam import load_sam_net
from napari_histo.models.cellpose.sam_parts import JoinedNet, SamTail, SamTrunk
from napari_histo.models.cellpose.tuned import BaseFile, find_base, read_tuned, save_tuned
from support.labelled import drive, example, first_step, stop_after
from support.tiny_sam import shrink, taught_weights

TINY = SamTraining(
    steps=4,
    batch=2,
    patches=4,
    judge_every=2,
    device="cpu",
    precision="float32",
    workers=0,
    held_out=0.0,
)
FILES = ("card.json", "config.json", "thresholds.json", "weights.safetensors")
HEAD = ["encoder.neck.0.weight", "encoder.neck.1.bias"]


@pytest.fixture(scope="module")
def sam(tmp_path_factory):
    """File of a small Cellpose-SAM."""
    with pytest.MonkeyPatch.context() as patch:
        path = tmp_path_factory.mktemp("sam") / "tiny"
        torch.save(taught_weights(shrink(patch)), path)
        yield path


def taught(folder, regions, parent, params=TINY, replay=(), **words):
    return drive(train_sam(parent, regions, replay, folder, params, **words))


def tile(folder):
    """An empty image."""
    path = folder / "tile.tif"
    tifffile.imwrite(path, np.zeros((64, 64, 3), np.uint8), photometric="rgb")
    return NewImage(path)


def bytes_of(folder):
    return {name: (folder / name).read_bytes() for name in FILES}


class TestParts:
    """What stays and what learns are together the network."""

    @pytest.mark.parametrize("precision", ["float32", "bfloat16"])
    @pytest.mark.parametrize("blocks", [0, 1, 2])
    def test_both_parts_say_what_the_whole_says(self, sam, blocks, precision):
        weights = read_weights(sam)
        exact = load_sam_net(sam, weights, precision="float32")
        trunk = SamTrunk(exact, blocks, keep_bytes=1 << 20).to(getattr(torch, precision))
        joined = JoinedNet(trunk, SamTail(exact, blocks))
        whole = load_sam_net(sam, weights, precision=precision)
        window = torch.rand(1, 2, 256, 256, generator=torch.Generator().manual_seed(0))
        window = window.to(whole.dtype)
        with torch.inference_mode():
            assert torch.equal(joined(window)[0], whole(window)[0])

    def test_what_learns_has_the_names_of_the_file(self, sam):
        weights = read_weights(sam)
        net = load_sam_net(sam, weights, precision="float32")
        head, one = (SamTail(net, blocks).state_dict() for blocks in (0, 1))
        assert set(HEAD) <= set(head) < set(one) < set(weights)
        assert {k.split(".")[2] for k in set(one) - set(head)} == {"1"}
        assert all(torch.equal(v, weights[k]) for k, v in one.items())

    def test_a_window_that_comes_again_is_not_asked_about_again(self):
        asked = []

        class Counting(SamTrunk):
            def __init__(self):
                torch.nn.Module.__init__(self)
                # Room for two.
                self._kept, self._keep_bytes = {}, 2 * 3 * 4

            def compute(self, windows):
                asked.append(len(windows))
                return windows.mean((2, 3))

        trunk = Counting()
        windows = torch.arange(4.0)[:, None, None, None].expand(4, 3, 8, 8)
        first = trunk(windows)
        assert torch.equal(trunk(windows), first)
        assert asked == [1] * 6


class TestTraining:
    def test_loss_falls_and_the_folder_is_small_and_a_model(self, sam, tmp_path):
        params = replace(TINY, steps=12, judge_every=6, rate=1e-2)
        regions = [example(0), example(1)]
        _, done = taught(tmp_path / "m", regions, sam, params, validation=[example(5)])
        judged = [point.loss for point in done.curve if point.step]
        assert judged[1] < 0.9 * judged[0]
        found = load_model(str(tmp_path / "m"), device="cpu", precision="float32")
        image = np.random.default_rng(0).uniform(size=(1, 64, 64, 3)).astype(np.float32)
        (a,), (b,) = (m.propose(image, 0.3) for m in (found, done.model))
        np.testing.assert_array_equal(a.prob, b.prob)
        small = (tmp_path / "m" / "weights.safetensors").stat().st_size
        assert small < 0.8 * sam.stat().st_size
        assert "CC-BY-NC" in found.info.licence
        assert (found.info.family, found.info.channels) == ("cellpose", "rgb-or-cells")

    def test_what_does_not_learn_stays_as_it_was(self, sam, tmp_path):
        taught(tmp_path / "m", [example(0)], sam, replace(TINY, steps=2))
        learned, before = read_weights(tmp_path / "m" / FILES[-1]), read_weights(sam)
        assert set(HEAD) < set(learned) < set(before)
        assert not any(k.startswith("encoder.blocks") for k in learned)
        assert any(not torch.equal(v, before[k]) for k, v in learned.items())

    def test_stopped_and_gone_on_with_it_is_the_same_model(self, sam, tmp_path):
        regions = [example(0), example(1)]
        taught(tmp_path / "whole", regions, sam)
        stop_after(2, train_sam, sam, regions, tmp_path / "part", TINY)
        steps, _ = taught(tmp_path / "part", regions, sam, resume=True)
        assert first_step(steps) == 3
        assert bytes_of(tmp_path / "part") == bytes_of(tmp_path / "whole")

    def test_a_second_round_keeps_what_the_first_one_learned(self, sam, tmp_path):
        taught(tmp_path / "a", [example(0)], sam, replace(TINY, steps=2, blocks=1, rate=1e-3))
        once = replace(TINY, steps=2)
        _, done = taught(tmp_path / "b", [example(1)], tmp_path / "a", once, [example(0)])
        first, second = (read_weights(tmp_path / n / FILES[-1]) for n in ("a", "b"))
        blocks = [k for k in first if k.startswith("encoder.blocks.1.")]
        assert blocks
        assert all(torch.equal(first[k], second[k]) for k in blocks)
        assert not torch.equal(first["out.weight"], second["out.weight"])
        card = json.loads((tmp_path / "a" / "card.json").read_text())
        assert done.card["parent"] == {"name": "nuclei", "sha256": card["sha256"]}

    def test_preflight_counts_what_does_not_learn(self, sam, monkeypatch, preflight_clock):
        computed, compute = [], SamTrunk.compute
        monkeypatch.setattr(
            SamTrunk, "compute", lambda *words: computed.append(1) or compute(*words)
        )
        preflight_clock(lambda: len(computed))
        said = preflight_sam(sam, [example(0)], (), TINY, validation=[example(5)])
        longer = preflight_sam(sam, [example(0)], (), replace(TINY, steps=4000, judge_every=4000))
        assert said.memory_bytes > sam.stat().st_size
        # A second for each patch: all but the first batches are there already.
        assert longer.seconds < 10

    def test_rounds_find_the_trainer_by_what_a_file_holds(self, sam, tmp_path):
        save_cellpose_net(tmp_path / "old", CellposeNet(CellposeShape((2, 8, 16))))
        assert trainer_of(str(sam)) is train_sam
        assert trainer_of(str(tmp_path / "old")) is train_cellpose

    def test_a_project_begins_with_it_and_copies_no_large_file(self, sam, tmp_path):
        project = create_project(tmp_path / "p", NewProject([tile(tmp_path)], str(sam)))
        start = project.path / "start" / "model"
        assert verify_project(project) == []
        assert (start / FILES[-1]).stat().st_size < 1000
        seen = np.random.default_rng(0).uniform(size=(1, 64, 64, 3)).astype(np.float32)
        whole = load_cellpose(sam, file_info(sam), device="cpu", precision="float32")
        begun = load_model(str(start), device="cpu", precision="float32")
        (a,), (b,) = (m.propose(seen, 0.3) for m in (whole, begun))
        np.testing.assert_array_equal(a.prob, b.prob)
        assert trainer_of(str(start)) is train_sam


class TestTheFileThatItBelongsTo:
    @pytest.fixture
    def moved(self, tmp_path):
        """A folder whose file was moved away, and that file."""
        (tmp_path / "first").mkdir()
        (tmp_path / "first" / "cpsam").write_bytes(b"large")
        base = BaseFile.of(tmp_path / "first" / "cpsam")
        (tmp_path / "m").mkdir()
        save_tuned(tmp_path / "m", base, {"out.bias": torch.ones(2)}, Thresholds(0.5, 0.4))
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "first" / "cpsam").rename(tmp_path / "elsewhere" / "cpsam")
        card = {"family": "cellpose", "channels": "rgb-or-cells"}
        (tmp_path / "m" / "card.json").write_text(json.dumps(card))
        return tmp_path / "m", tmp_path / "elsewhere" / "cpsam"

    def test_where_it_is_missing_is_told(self, moved):
        folder, _ = moved
        with pytest.raises(ModelError, match=r"belongs to the file cpsam .*Copy that file to"):
            load_model(str(folder), device="cpu")

    @pytest.mark.parametrize("place", ["m", ".", "cellpose"])
    def test_it_is_found_elsewhere(self, moved, place, monkeypatch):
        folder, file = moved
        if place == "cellpose":
            monkeypatch.setenv("CELLPOSE_LOCAL_MODELS_PATH", str(file.parent))
        else:
            file = file.rename(folder.parent / place / "cpsam")
        assert find_base(folder, read_tuned(folder)[0]) == file

    def test_another_one_in_its_place_is_not_taken(self, moved):
        folder, file = moved
        (folder / "cpsam").write_bytes(b"LARGE")
        assert (folder / "cpsam").stat().st_size == file.stat().st_size
        with pytest.raises(ModelError, match="not here"):
            find_base(folder, read_tuned(folder)[0])


class TestRefusals:
    """Said at once, before a network is made."""

    def test_without_the_package(self, sam_words, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "cellpose.vit", None)
        monkeypatch.setitem(sys.modules, "cellpose", None)
        told = pytest.raises(MissingDependencyError, match=r"install 'napari-histo\[cellpose\]'")
        with told:
            SamRun.of(sam_words, [example(0)], [], [], TINY)
        # Panel and command line make projects alike: it is said before anything is annotated.
        with told:
            create_project(tmp_path / "p", NewProject([tile(tmp_path)], str(sam_words)))
        assert not (tmp_path / "p").exists()

    def test_without_the_memory(self, sam_words, monkeypatch):
        monkeypatch.setattr(sam_start, "check_package", lambda: None)
        monkeypatch.setattr(sam_start, "free_bytes", lambda _: 1 << 20)
        with pytest.raises(ModelError, match=r"takes about .* GB .* fewer blocks"):
            SamRun.of(sam_words, [example(0)], [], [], TINY)

    def test_more_blocks_than_there_are(self, sam_words, monkeypatch):
        monkeypatch.setattr(sam_start, "check_package", lambda: None)
        with pytest.raises(ModelError, match="blocks is 3, but this network has 2"):
            SamStart.of(sam_words, [example(0)], replace(TINY, blocks=3))

    def test_another_network(self, tmp_path):
        save_cellpose_net(tmp_path / "old", CellposeNet(CellposeShape((2, 8, 16))))
        with pytest.raises(ModelError, match="no file of Cellpose-SAM"):
            SamStart.of(tmp_path / "old", [example(0)], TINY)

    @pytest.mark.parametrize("wrong", [{"patch_px": 128}, {"blocks": -1}, {"patches": 0}], ids=str)
    def test_senseless_settings(self, wrong):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            SamTraining(**wrong)

    @pytest.fixture
    def sam_words(self, tmp_path):
        """A file with what is looked at before the network is made."""
        shapes = {"attn.qkv.weight": (24, 8), "attn.rel_pos_h": (63, 4)}
        weights = {
            f"encoder.blocks.{i}.{k}": torch.zeros(v) for i in (0, 1) for k, v in shapes.items()
        }
        torch.save({"W2": torch.zeros(192, 3, 8, 8), **weights}, tmp_path / "sam")
        return tmp_path / "sam"


def test_more_that_learns_takes_more_memory(tmp_path):
    shapes = {"attn.qkv.weight": (3072, 1024), "attn.rel_pos_h": (127, 64)}
    weights = {
        f"encoder.blocks.{i}.{k}": torch.zeros(()).expand(v)
        for i in range(24)
        for k, v in shapes.items()
    } | {"W2": torch.zeros(()).expand(192, 3, 8, 8)}
    needs = [
        sam_start.memory_bytes(weights, SamTraining(**words), "float32")
        for words in ({}, {"blocks": 2}, {"blocks": 2, "batch": 8}, {"blocks": 24})
    ]
    assert needs == sorted(needs)
    assert needs[1] < needs[2]
