"""Models of the user and of the lab: where they lie, and under which names they go.

The user's folder holds one folder a model, with ``added.json``: which files it has, and where they
came from. A lab's folder holds models as they are; they are listed, and nothing is written there.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from napari_histo.core import ModelInfo
from napari_histo.errors import ModelError
from napari_histo.models.cellpose.files import file_info
from napari_histo.models.foreign.description import has_description, read_description
from napari_histo.models.shelf.folder import is_whole, read_info
from napari_histo.models.shelf.kinds import check_weights_file

__all__ = [
    "RECORD",
    "SHARED_VARIABLE",
    "USER_VARIABLE",
    "Place",
    "describe",
    "find_place",
    "find_places",
    "sha256_of",
    "shared_folders",
    "user_folder",
    "write_shared",
]

USER_VARIABLE = "NAPARI_HISTO_MODELS"
SHARED_VARIABLE = "NAPARI_HISTO_SHARED_MODELS"
RECORD = "added.json"
_SHARED = "shared.json"
_WEIGHTS = {".safetensors", ".h5", ".pt", ".onnx"}
#: How files that torch wrote begin: a zip archive, or a pickle.
_TORCH_STARTS = (b"PK\x03\x04", b"\x80\x02")
_TORCH_SUFFIXES = {"", ".pt", ".pth"}


@dataclass(frozen=True)
class Place:
    """A model that was added, or that lies in a lab's folder.

    Attributes
    ----------
    name : str
    path : Path
        Folder or file that is loaded.
    shared : Path or None
        The lab's folder that it lies in; None for one of the user's own.
    record : mapping
        What ``added.json`` says; empty for a lab's.
    """

    name: str
    path: Path
    shared: Path | None = None
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def info(self) -> ModelInfo:
        """Its card, under its name here; raises ModelError where it is damaged."""
        info = _card_of(self.path)
        said = {k: self.record[k] for k in ("licence", "source") if self.record.get(k)}
        sha256 = info.sha256 or self._recorded_sum()
        return replace(info, name=self.name, sha256=sha256, **said)

    def check(self) -> None:
        """Raise ModelError where its card cannot be read."""
        _card_of(self.path)

    def _recorded_sum(self) -> str | None:
        """SHA-256 of the weights when they were added, for what is kept of a run."""
        files = self.record.get("files") or {}
        found = [v for k, v in files.items() if Path(k).suffix in _WEIGHTS or len(files) == 1]
        return str(found[0]) if len(found) == 1 else None


def user_folder() -> Path:
    """Where added models are kept: ``NAPARI_HISTO_MODELS``, or the user's data folder."""
    if told := os.environ.get(USER_VARIABLE):
        return Path(told).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_path("napari-histo")) / "models"


def shared_folders() -> list[Path]:
    """Folders of labs: of ``NAPARI_HISTO_SHARED_MODELS`` first, then those that were added."""
    told = os.environ.get(SHARED_VARIABLE, "").split(os.pathsep)
    words = _read(user_folder() / _SHARED).get("folders", [])
    every = [Path(p).expanduser() for p in (*told, *words) if p]
    return list(dict.fromkeys(every))


def write_shared(folders: Iterable[Path]) -> None:
    """Remember these folders of labs instead of those that were added before."""
    from napari_histo.store.write import atomic_path, make_folder

    with atomic_path(make_folder(user_folder()) / _SHARED) as work:
        work.write_text(json.dumps({"folders": [str(f) for f in folders]}, indent=2) + "\n")


def find_places(taken: Iterable[str] = ()) -> tuple[dict[str, Place], list[str]]:
    """Models by name, the user's before the lab's, and what cannot be used, in words.

    Parameters
    ----------
    taken : iterable of str
        Names that belong to others; capitals do not tell names apart.
    """
    found: dict[str, Place] = {}
    notes: list[str] = []
    owners = {name.lower(): "a model of this program" for name in taken}
    for place in (*_added(), *_shared(notes)):
        if owner := owners.get(place.name.lower()):
            notes.append(f"{place.path} is not listed: the name {place.name!r} is that of {owner}.")
            continue
        try:
            place.check()
        except ModelError as error:
            notes.append(f"{place.name} is not listed: {error}")
            continue
        found[place.name] = place
        owners[place.name.lower()] = str(place.path)
    return found, notes


def find_place(name: str) -> Place | None:
    """Where the model of this name lies, the user's before a lab's; looks at no other model."""
    record = user_folder() / name / RECORD
    if Path(name).name != name or name.startswith("."):
        return None
    if isinstance(where := _read(record).get("path"), str):
        return Place(name, record.parent / where, record=_read(record))
    for folder in shared_folders():
        for path in (folder / f"{name}{suffix}" for suffix in ("", ".pt", ".pth")):
            if _is_model(path):
                return Place(name, path, shared=folder)
    return None


def describe(path: Path) -> ModelInfo:
    """Card of a folder or file that somebody named, without loading a network.

    Raises
    ------
    ModelError
        It is not a model, or its card is damaged.
    """
    if path.is_file():
        check_weights_file(path)
    return _card_of(path)


def _card_of(path: Path) -> ModelInfo:
    """The same of a model that is on a list; whether it is whole, `verify` tells."""
    if path.is_file():
        return file_info(path)
    return read_description(path).info if has_description(path) else read_info(path)


def sha256_of(path: Path) -> str:
    """Of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _added() -> Iterator[Place]:
    for record in sorted(user_folder().glob(f"[!.]*/{RECORD}")):
        words = _read(record)
        where = words.get("path")
        if isinstance(where, str):
            yield Place(record.parent.name, record.parent / where, record=words)


def _shared(notes: list[str]) -> Iterator[Place]:
    for folder in shared_folders():
        try:
            inside = sorted(folder.iterdir())
        except OSError as error:
            notes.append(f"The lab's folder {folder} cannot be read ({error.strerror}).")
            continue
        for path in inside:
            if not path.name.startswith(".") and _is_model(path):
                yield Place(path.name if path.is_dir() else path.stem, path, shared=folder)


def _is_model(path: Path) -> bool:
    if path.is_dir():
        return is_whole(path) or has_description(path)
    try:
        with path.open("rb") as stream:
            return path.suffix in _TORCH_SUFFIXES and stream.read(4).startswith(_TORCH_STARTS)
    except OSError:
        return False


def _read(path: Path) -> dict[str, Any]:
    """Named values of a file of our own; none where it is missing or damaged."""
    try:
        words = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return words if isinstance(words, dict) else {}
