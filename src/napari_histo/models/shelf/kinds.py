"""What a file is by how it begins: said before a library stumbles over one that is no model."""

from __future__ import annotations

import codecs
import zipfile
from pathlib import Path

from napari_histo.errors import ModelError

__all__ = ["check_weights_file"]

_ZIP = b"PK\x03\x04"
#: How files that torch wrote begin: a zip archive, or a pickle of any protocol but the first.
_PICKLE = b"\x80"
_IMAGES = {
    b"II*\0": "a TIFF image",
    b"MM\0*": "a TIFF image",
    b"II+\0": "a TIFF image",
    b"MM\0+": "a TIFF image",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
}
_HDF5 = b"\x89HDF"
_HTML = (b"<!doctype", b"<html")
_ENOUGH = 512


def check_weights_file(path: Path) -> None:
    """Raise ModelError where a file cannot hold weights, as its first bytes tell; cheap.

    Passes files of torch (zip archive or pickle) and safetensors, damaged ones too where only
    reading them all would tell.
    """
    with path.open("rb") as stream:
        start = stream.read(_ENOUGH)
    if why := _why_not(path, start):
        raise ModelError(f"{path} is not a file of weights: {why}")


def _why_not(path: Path, start: bytes) -> str | None:
    """What it is and what to do, or None."""
    if not start:
        return "it is empty. Copy or download it again."
    if path.suffix == ".safetensors":
        # Eight bytes of length, then JSON.
        whole = start[8:9] == b"{" and 8 + int.from_bytes(start[:8], "little") <= _size(path)
        return None if whole else "it is damaged, or no safetensors. Copy or download it again."
    if start.startswith(_ZIP):
        return _why_not_archive(path)
    if start.startswith(_PICKLE):
        return None
    for mark, image in _IMAGES.items():
        if start.startswith(mark):
            return f"it is {image}. Choose the file that Cellpose wrote, or a model's folder."
    if start.startswith(_HDF5):
        return "it is an HDF5 file, as Keras writes. Give the folder with it and config.json."
    if path.suffix == ".onnx":
        return "it is an ONNX network by itself. Give the folder with it and its rdf.yaml."
    if start.lstrip().lower().startswith(_HTML):
        return "it is a web page; the download went wrong. Download the model itself."
    kind = "text" if _is_text(start) else "of an unknown kind"
    return f"it is {kind}. Choose the file that Cellpose wrote, or a model's folder."


def _why_not_archive(path: Path) -> str | None:
    if not zipfile.is_zipfile(path):
        return "its end is missing. Copy or download it again."
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.endswith("/constants.pkl") for name in names):
        return "it is TorchScript, a program. Give the folder with it and its rdf.yaml."
    if not any(name.endswith("/data.pkl") for name in names):
        return "it is a zip archive of other things. Unpack it and give the model's folder."
    return None


def _size(path: Path) -> int:
    return path.stat().st_size


def _is_text(start: bytes) -> bool:
    try:
        # Not as a whole: the last character may be cut.
        text = codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
    return all(letter.isprintable() or letter.isspace() for letter in text)
