"""Models behind URLs: fetched with a checksum, unpacked with care, gone again afterwards."""

from __future__ import annotations

import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_histo.errors import ModelError, ModelUnavailableError
from napari_histo.models._reasons import reason_of
from napari_histo.models.foreign.description import has_description
from napari_histo.models.shelf.folder import is_whole

__all__ = ["fetch", "is_url"]

_URL = re.compile(r"(?:https?|ftp)://[^/\s]+/\S+", re.IGNORECASE)
#: One letter before the colon is a drive.
_LIKE_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
#: A model of today's largest kind has 1.2 GB; what unpacks to more is no model.
_MOST_BYTES = 4 << 30


def is_url(source: str) -> bool:
    """True for what has to be downloaded.

    Raises
    ------
    ModelError
        It looks like a URL, but is none that can be downloaded.
    """
    if not _LIKE_URL.match(source) or Path(source).exists():
        return False
    if not _URL.fullmatch(source):
        raise ModelError(
            f"{source} cannot be downloaded: wanted is the address of one file, "
            "https://HOST/FILE (or http, ftp). Otherwise download it elsewhere and give the "
            "file's path."
        )
    return True


@contextmanager
def fetch(url: str, sha256: str | None, beside: Path) -> Iterator[Path]:
    """The model behind a URL, a folder or a file, until the block ends.

    Parameters
    ----------
    url : str
        Of one file: weights, or a zip archive of a model's folder.
    sha256 : str
        Of that file; required.
    beside : Path
        Folder in which it is kept meanwhile.

    Raises
    ------
    ModelError
        No checksum, another file, or an archive without a model.
    ModelUnavailableError
        It cannot be reached.
    """
    if sha256 is None or not _SHA256.fullmatch(sha256):
        raise ModelError(
            f"A model from a URL needs --sha256 with 64 hexadecimal digits; got {sha256!r}. Take "
            "it from where the model is published, not from the file itself."
        )
    work = Path(tempfile.mkdtemp(".part", ".fetched-", beside))
    try:
        file = _retrieve(url, sha256.lower(), work)
        yield _unpacked(file, work / "unpacked") if zipfile.is_zipfile(file) else file
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _retrieve(url: str, sha256: str, into: Path) -> Path:
    import pooch

    pooch.get_logger().setLevel("WARNING")
    name = re.sub(r"[^A-Za-z0-9._-]", "_", url.split("?")[0].rstrip("/").rsplit("/", 1)[-1])
    try:
        file = pooch.retrieve(url, known_hash=f"sha256:{sha256}", fname=name or "model", path=into)
    except ValueError as error:
        raise ModelError(
            f"{url} is not the file with the SHA-256 {sha256}: {error}. Nothing was kept. Check "
            "both where the model is published."
        ) from error
    except Exception as error:  # requests' own tree of errors, and the disk's
        raise ModelUnavailableError(
            f"{url} could not be downloaded ({_first_cause(error)}). Check the address "
            "and the connection, or download it elsewhere and give the file's path."
        ) from error
    return Path(file)


def _first_cause(error: BaseException) -> str:
    """Of a chain of errors, each of which repeats the one before it, what went wrong first."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return getattr(error, "strerror", None) or reason_of(error)


def _unpacked(archive: Path, into: Path) -> Path:
    """The model's folder in an archive, or the archive itself where torch wrote it."""
    with zipfile.ZipFile(archive) as members:
        names = members.namelist()
        if any(name.endswith(("/data.pkl", ".pkl")) for name in names):
            return archive
        if sum(member.file_size for member in members.infolist()) > _MOST_BYTES:
            raise ModelError(f"{archive.name} unpacks to more than 4 GB; that is no model.")
        try:
            members.extractall(into)
        except (zipfile.BadZipFile, RuntimeError, OSError) as error:
            raise ModelError(f"{archive.name} cannot be unpacked: {error}.") from error
    folders = [into, *sorted(p for p in into.rglob("*") if p.is_dir())]
    found = [f for f in folders if is_whole(f) or has_description(f)]
    if not found:
        raise ModelError(
            f"{archive.name} holds no model: no folder with config.json and weights, and no "
            "rdf.yaml."
        )
    return found[0]
