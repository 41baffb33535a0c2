"""A whole result or none: nothing partial stays, what stood there before is untouched."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from napari_histo.core import Contours, ObjectTable
from napari_histo.errors import WriteError
from napari_histo.store import FORMATS, atomic_path, check_output, save_objects
from napari_histo.store.replacing import beside_zarr, nothing
from napari_histo.store.write import check_writable, make_folder
from support.disks import mounted, needs_root_on_linux

SUFFIXES = [suffixes[0] for suffixes in FORMATS.values()] + [".geojson.gz"]


def nuclei(n: int) -> ObjectTable:
    rng = np.random.default_rng(0)
    angles = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    star = 9 * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    return ObjectTable.build(Contours.from_star(rng.random((n, 1, 2)) * 3000 + star))


def everything(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def fail_while_writing(target: Path, error: BaseException, *, folder: bool = False) -> None:
    with atomic_path(target, folder=folder, strangers=nothing) as work:
        (work / "new" if folder else work).write_text("half")
        raise error


# -- files ---------------------------------------------------------------------------------------


def test_file_appears_when_the_block_ends(tmp_path):
    target = tmp_path / "out.geojson.gz"
    with atomic_path(target) as work:
        assert work.parent == tmp_path
        assert work.name.endswith(".geojson.gz"), "writers may go by the suffix"
        work.write_text("new")
        assert not target.exists()
    assert everything(tmp_path) == ["out.geojson.gz"]
    assert target.read_text() == "new"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, GeneratorExit])
@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder"])
def test_any_error_leaves_the_old_one(tmp_path, error, folder):
    target = tmp_path / "out"
    old = target / "card.json" if folder else target
    old.parent.mkdir(exist_ok=True)
    old.write_text("old")
    before = everything(tmp_path)
    with pytest.raises(error):
        fail_while_writing(target, error(), folder=folder)
    assert everything(tmp_path) == before
    assert old.read_text() == "old"


def test_folder_is_replaced_as_a_whole(tmp_path):
    target = tmp_path / "out.ome.zarr"
    for name in ("first", "second"):
        with atomic_path(target, folder=True, strangers=beside_zarr) as work:
            (work / name).mkdir()
            (work / name / "zarr.json").touch()
            (work / "zarr.json").touch()
    names = ["second", "second/zarr.json", "zarr.json"]
    assert everything(target) == names
    assert everything(tmp_path) == ["out.ome.zarr", *(f"out.ome.zarr/{name}" for name in names)]


def test_a_folder_of_other_files_is_never_replaced(tmp_path):
    slides = tmp_path / "slides"
    slides.mkdir()
    (slides / "S21-104.svs").write_text("a year of work")
    told = r"a folder with other files in it stands there: S21-104\.svs; choose a new folder"
    with pytest.raises(WriteError, match=told):
        check_writable(slides, folder=True)
    with pytest.raises(WriteError, match=told), atomic_path(slides, folder=True):
        pass
    assert everything(tmp_path) == ["slides", "slides/S21-104.svs"]


def test_many_strangers_are_named_in_part(tmp_path):
    for number in range(5):
        (tmp_path / f"{number}.svs").touch()
    with pytest.raises(WriteError, match=r"there: 0\.svs, 1\.svs, 2\.svs and 2 more; choose"):
        check_writable(tmp_path, folder=True)


def test_a_store_of_labels_is_replaced_by_its_like_alone(tmp_path):
    target = tmp_path / "a.ome.zarr"
    save_objects(target, nuclei(3))
    check_output(target)
    save_objects(target, nuclei(5))
    (target / "slide.svs").write_text("a year of work")
    for write in (lambda: save_objects(target, nuclei(1)), lambda: check_output(target)):
        with pytest.raises(WriteError, match=r"stands there: slide\.svs; choose"):
            write()
    assert (target / "slide.svs").read_text() == "a year of work"


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "model").mkdir()
    with atomic_path(tmp_path / "model", folder=True) as work:
        (work / "new").touch()
    assert everything(tmp_path) == ["model", "model/new"]


def test_link_is_followed(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with atomic_path(tmp_path / "link") as work:
        work.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


@pytest.mark.skipif(os.name != "posix", reason="Windows has no umask")
def test_permissions_are_those_of_any_new_file(tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("")
    with atomic_path(tmp_path / "ours") as work:
        work.write_text("")
    assert (tmp_path / "ours").stat().st_mode == plain.stat().st_mode


# -- what goes wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.ENOSPC, "disk is full; free some space"),
        (errno.EACCES, "permission was denied"),
        (errno.EROFS, "read-only; choose another folder"),
        (errno.EIO, "disk reported a fault"),
        (errno.EMFILE, "Too many open files"),
    ],
    ids=["full", "permission", "read-only", "fault", "other"],
)
def test_system_errors_say_what_to_do(tmp_path, code, message):
    with pytest.raises(WriteError, match=message):
        fail_while_writing(tmp_path / "a.parquet", OSError(code, os.strerror(code)))
    assert everything(tmp_path) == []


def test_errors_of_libraries_carry_the_number_in_their_text(tmp_path):
    text = "Error writing bytes to file. Detail: [errno 28] No space left on device"
    with pytest.raises(WriteError, match="disk is full"):
        fail_while_writing(tmp_path / "a.parquet", OSError(text))


def test_error_about_another_file_passes(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "out"):
        (tmp_path / "elsewhere" / "slide.svs").read_bytes()
    assert everything(tmp_path) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_missing_folder(tmp_path, suffix):
    with pytest.raises(WriteError, match="its folder does not exist; create it"):
        save_objects(tmp_path / "none" / f"a{suffix}", nuclei(1))
    assert everything(tmp_path) == []


def test_file_in_the_place_of_a_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(WriteError, match="a part of its path is a file"):
        save_objects(tmp_path / "file" / "a.geojson", nuclei(1))


def test_folder_in_the_place_of_a_file_and_back(tmp_path):
    (tmp_path / "a.geojson").mkdir()
    (tmp_path / "a.ome.zarr").write_text("x")
    for write in (lambda path: save_objects(path, nuclei(1)), check_output):
        with pytest.raises(WriteError, match="a folder of that name"):
            write(tmp_path / "a.geojson")
        with pytest.raises(WriteError, match="a file of that name"):
            write(tmp_path / "a.ome.zarr")
    assert everything(tmp_path) == ["a.geojson", "a.ome.zarr"]


def test_folder_for_results(tmp_path):
    for _ in range(2):
        assert make_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_text("x")
    with pytest.raises(WriteError, match=r"Cannot write .*file: a file of that name stands there"):
        make_folder(tmp_path / "file")
    with pytest.raises(WriteError, match="a part of its path is a file"):
        make_folder(tmp_path / "file" / "below")
    assert (tmp_path / "file").read_text() == "x"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_error_while_objects_are_made_leaves_nothing(tmp_path, suffix, monkeypatch):
    def broken(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("napari_histo.store.write._sync", broken)
    (tmp_path / "keep").write_text("")
    with pytest.raises(WriteError, match="disk is full"):
        save_objects(tmp_path / f"a{suffix}", nuclei(3))
    assert everything(tmp_path) == ["keep"]


@needs_root_on_linux
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_full_disk_leaves_the_old_file(tmp_path, suffix):
    with mounted(tmp_path / "disk", "size=96k") as disk:
        target = disk / f"a{suffix}"
        save_objects(target, nuclei(3))
        before = everything(disk)
        with pytest.raises(WriteError, match="disk is full; free some space"):
            save_objects(target, nuclei(20_000))
        assert everything(disk) == before


@needs_root_on_linux
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_read_only_disk(tmp_path, suffix):
    with mounted(tmp_path / "disk", "ro,size=64k") as disk:
        with pytest.raises(WriteError, match="read-only; choose another folder"):
            save_objects(disk / f"a{suffix}", nuclei(3))
        assert everything(disk) == []


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write to any folder"
)
def test_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(WriteError, match="permission was denied"):
            save_objects(tmp_path / "a.geojson", nuclei(3))
    finally:
        tmp_path.chmod(0o700)
