"""Where an image's file is, on whichever system the project was made."""

from __future__ import annotations

import sys
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_histo.errors import BridgeError
from qupath_bridge._uris import path_of_uri, relocated
from qupath_bridge.images import ImageFinder, PathRule

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="paths of this test are POSIX")


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        pytest.param("file:/home/a/b.svs", PurePosixPath("/home/a/b.svs"), id="one slash"),
        pytest.param("file:///home/b.svs", PurePosixPath("/home/b.svs"), id="three slashes"),
        pytest.param("file://localhost/b.svs", PurePosixPath("/b.svs"), id="localhost"),
        pytest.param("FILE:/b.svs", PurePosixPath("/b.svs"), id="upper case"),
        pytest.param("file:/D:/a%20b/c.svs", PureWindowsPath("D:/a b/c.svs"), id="drive"),
        pytest.param("file:///d:/c.svs", PureWindowsPath("D:/c.svs"), id="drive, three slashes"),
        pytest.param("file:/%C5%9EUBAT/c.svs", PurePosixPath("/ŞUBAT/c.svs"), id="UTF-8"),
        pytest.param("file:/ŞUBAT/c.svs", PurePosixPath("/ŞUBAT/c.svs"), id="unescaped"),
        pytest.param("file:/a+b_(3).tif", PurePosixPath("/a+b_(3).tif"), id="plus is a plus"),
        pytest.param("file:/a%23b%3Fc.tif", PurePosixPath("/a#b?c.tif"), id="# and ? in a name"),
        pytest.param("file:/a.tif?series=1#x", PurePosixPath("/a.tif"), id="query, fragment"),
        pytest.param("file://srv/s/a.tif", PureWindowsPath("//srv/s/a.tif"), id="share"),
        pytest.param("file:////srv/s/a.tif", PureWindowsPath("//srv/s/a.tif"), id="share, File"),
        pytest.param("file://wsl$/u/a.tif", PureWindowsPath("//wsl$/u/a.tif"), id="share, $"),
        pytest.param(r"C:\s\a.tif", PureWindowsPath("C:/s/a.tif"), id="plain Windows path"),
        pytest.param("/s/a.tif", PurePosixPath("/s/a.tif"), id="plain POSIX path"),
        pytest.param("https://x.org/a.tif", None, id="http"),
        pytest.param("jar:file:/x.zip!/a.tif", None, id="jar"),
        pytest.param("omero://x/iid=3", None, id="omero"),
        pytest.param("http://[broken", None, id="broken"),
        pytest.param("", None, id="empty"),
    ],
)
def test_uri(uri, path):
    assert path_of_uri(uri) == path


NAMES = st.lists(st.text("ab cß%+#?é", min_size=1, max_size=5).map(str.strip), min_size=1).filter(
    lambda parts: all(p not in ("", ".", "..") for p in parts)
)


@given(NAMES)
def test_uris_of_all_names_come_back(parts):
    for path in (PurePosixPath("/", *parts), PureWindowsPath("D:/", *parts)):
        assert path_of_uri(path.as_uri()) == path


@posix_only
@pytest.mark.parametrize(
    ("image", "old", "moved"),
    [
        pytest.param("file:/old/p/images/a.tif", "file:/old/p", "/new/p/images/a.tif", id="within"),
        pytest.param("file:/old/s/a.tif", "file:/old/p", "/new/s/a.tif", id="beside"),
        pytest.param("file:/D:/w/p/a.tif", "file:/d:/W/P", "/new/p/a.tif", id="Windows to here"),
        pytest.param("file:/E:/w/a.tif", "file:/D:/w/p", None, id="another drive"),
        pytest.param("file:/D:/w/a.tif", "file:/w/p", None, id="another system"),
    ],
)
def test_relocation(image, old, moved):
    place = relocated(path_of_uri(image), path_of_uri(old), Path("/new/p"))
    assert place == (None if moved is None else Path(moved))


@given(NAMES, NAMES)
def test_a_project_that_did_not_move_relocates_to_the_same(image, folder):
    path, here = PurePosixPath("/", *image), Path("/", *folder)
    assert relocated(path, PurePosixPath(here.as_posix()), here) == Path(path)


@posix_only
@pytest.mark.parametrize(
    ("rule", "path", "now"),
    [
        pytest.param("I:/s=/m", PureWindowsPath("i:/S/a.svs"), "/m/a.svs", id="case of Windows"),
        pytest.param(r"I:\s\=/m", PureWindowsPath("I:/s/a.svs"), "/m/a.svs", id="backslashes"),
        pytest.param("I:=/m", PureWindowsPath("I:/s/a.svs"), "/m/s/a.svs", id="whole drive"),
        pytest.param("I:/s=/m", PureWindowsPath("I:/slides/a.svs"), None, id="whole names only"),
        pytest.param("//srv/s=/m", PureWindowsPath("//SRV/s/a.svs"), "/m/a.svs", id="share"),
        pytest.param("file:/I:/a%20b=/m", PureWindowsPath("I:/a b/c"), "/m/c", id="as a URI"),
        pytest.param("/old=/m", PurePosixPath("/old/x/a.svs"), "/m/x/a.svs", id="POSIX"),
        pytest.param("/old=/m", PurePosixPath("/Old/a.svs"), None, id="case of POSIX"),
        pytest.param("/old=/m=n", PurePosixPath("/old/a.svs"), "/m=n/a.svs", id="= in the new"),
    ],
)
def test_rule(rule, path, now):
    assert PathRule.parse(rule).apply(path) == (None if now is None else Path(now))


@pytest.mark.parametrize("text", ["", "=", "a=", "=b", "no rule"])
def test_text_that_is_no_rule(text):
    with pytest.raises(BridgeError, match="OLD=NEW"):
        PathRule.parse(text)


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_stored_place_comes_first(tmp_path):
    there, _ = touch(tmp_path / "slides" / "a.tif"), touch(tmp_path / "p" / "a.tif")
    found = ImageFinder(tmp_path / "p", "file:/old/p/project.qpproj").find(there.as_uri())
    assert (found.path, found.how, found.message) == (there, "as stored", "")


@posix_only
def test_then_the_move_then_the_rules_then_the_name(tmp_path):
    uri, project = "file:/D:/w/slides/a.tif", tmp_path / "p"
    rules = [PathRule("D:/nothing", "/x"), PathRule("D:/w", str(tmp_path / "ruled"))]
    places = {
        "moved with the project": touch(tmp_path / "slides" / "a.tif"),
        "by rule": touch(tmp_path / "ruled" / "slides" / "a.tif"),
        "same name": touch(project / "images" / "deep" / "a.tif"),
    }
    for how, path in places.items():
        found = ImageFinder(project, "file:/D:/w/p/project.qpproj", rules=rules).find(uri)
        assert (found.how, found.path) == (how, path)
        path.unlink()
    missing = ImageFinder(project, "file:/D:/w/p/project.qpproj", rules=rules).find(uri)
    assert (missing.how, missing.path) == ("missing", None)
    for word in ("another system", "moved with the project", "by rule", "--map", "D:/w/slides="):
        assert word in missing.message
    with pytest.raises(BridgeError, match="is not found"):
        missing.require()


@pytest.mark.parametrize(
    ("files", "uris", "taken"),
    [
        pytest.param(["x/a.tif"], ["file:/o/a.tif"], "x/a.tif", id="one"),
        pytest.param(["x/a.tif", "y/a.tif"], ["file:/o/a.tif"], None, id="two files"),
        pytest.param(["x/a.tif", "y/a.tif"], ["file:/o/y/a.tif"], "y/a.tif", id="folder tells"),
        pytest.param(["x/a.tif"], ["file:/1/a.tif", "file:/2/a.tif"], None, id="two images"),
        pytest.param(["1/a.tif"], ["file:/2/a.tif", "file:/1/a.tif"], None, id="another's"),
        pytest.param(["x/A.tif"], ["file:/o/a.tif"], None, id="case of POSIX"),
        pytest.param(["x/A.tif"], ["file:/D:/o/a.tif"], "x/A.tif", id="case of Windows"),
        pytest.param(["1/2/3/4/a.tif"], ["file:/o/a.tif"], None, id="too deep"),
        pytest.param(["1/2/3/a.tif"], ["file:/o/a.tif"], "1/2/3/a.tif", id="deep"),
        pytest.param(["data/1/a.tif"], ["file:/o/a.tif"], None, id="QuPath's own folder"),
        pytest.param([".x/a.tif"], ["file:/o/a.tif"], None, id="hidden"),
        pytest.param(["../a.tif"], ["file:/o/a.tif"], "../a.tif", id="beside the project"),
    ],
)
def test_same_name_only_where_it_is_certain(tmp_path, files, uris, taken):
    project = tmp_path / "p"
    project.mkdir()
    for file in files:
        touch(project / file)
    found = ImageFinder(project, None, uris=uris).find(uris[0])
    assert found.path == (None if taken is None else (project / taken).resolve())


@pytest.mark.parametrize("uri", ["https://x.org/a.svs", "jar:file:/x!/a.svs", "omero:1", ""])
def test_what_is_no_file_stays_remote(tmp_path, uri):
    found = ImageFinder(tmp_path, None).find(uri)
    assert (found.path, found.how) == (None, "remote")
    assert uri in found.message


def test_a_drive_that_is_gone_is_asked_once(tmp_path, monkeypatch):
    asked: list[str] = []

    def exists(path: Path, **_: object) -> bool:
        asked.append(str(path))
        return False

    monkeypatch.setattr(Path, "exists", exists)
    finder = ImageFinder(tmp_path, None)
    for i in range(3):
        assert finder.find(f"file:/gone/{i}.svs").path is None
    assert asked == [tmp_path.anchor]
