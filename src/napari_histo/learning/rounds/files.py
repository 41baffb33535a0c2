"""Sealed files: plain JSON that says of itself, and of the files beside it, what it must hash to.

Text is sorted, floats have 6 decimals at most and nothing tells of a time or a machine: the same
decisions are the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from napari_histo.errors import LearningError
from napari_histo.store.write import atomic_path

__all__ = [
    "FORMAT_VERSION",
    "canonical",
    "digest_of_files",
    "read_json",
    "read_sealed",
    "sha256_of",
    "sha256_of_folder",
    "write_json",
    "write_sealed",
]

FORMAT_VERSION = 1
_SEAL, _VERSION = "seal", "format_version"
_DECIMALS = 6


def canonical(value: Any) -> str:
    """JSON that is the same for the same content; NaN and infinity become null."""
    return json.dumps(_plain(value), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        # "+ 0.0" because -0.0 is written otherwise than 0.0.
        return round(value, _DECIMALS) + 0.0 if math.isfinite(value) else None
    return value


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a file that is no decision: whole or not at all, and may be written again."""
    with atomic_path(path) as work:
        work.write_text(canonical(value), encoding="utf-8", newline="\n")


def write_sealed(path: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """Write a file once and for all; returns what was written.

    Raises
    ------
    LearningError
        It is there already.
    WriteError
    """
    if path.exists():
        raise LearningError(f"{path} is sealed and is not written again.")
    words: dict[str, Any] = json.loads(canonical({**content, _VERSION: FORMAT_VERSION}))
    words[_SEAL] = _seal_of(words)
    write_json(path, words)
    return words


def read_sealed(path: Path) -> dict[str, Any]:
    """Content of a sealed file, its seal checked.

    Raises
    ------
    LearningError
        It is missing, damaged, was changed, or was written by a newer version.
    """
    words = read_json(path)
    if words.get(_SEAL) != _seal_of(words):
        raise LearningError(
            f"{path} was changed since it was sealed. Sealed files are the record of what was "
            "done; bring back the original, for example from a copy of the project."
        )
    return words


def read_json(path: Path) -> dict[str, Any]:
    """Named values of a file of this format; raises `LearningError` as `read_sealed` does."""
    try:
        words = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LearningError(f"Cannot read {path}: {error.strerror}. Check the path.") from error
    except ValueError as error:
        raise LearningError(
            f"{path} is damaged ({error}). Bring it back from a copy of the project."
        ) from error
    if not isinstance(words, dict) or not isinstance(words.get(_VERSION), int):
        raise LearningError(f"{path} is no file of a learning project: it lacks {_VERSION!r}.")
    if words[_VERSION] > FORMAT_VERSION:
        raise LearningError(
            f"{path} has format version {words[_VERSION]}; this napari-histo reads up to "
            f"{FORMAT_VERSION}. Update napari-histo (pip install -U napari-histo)."
        )
    return words


def _seal_of(words: Mapping[str, Any]) -> str:
    text = canonical({k: v for k, v in words.items() if k != _SEAL})
    return hashlib.sha256(text.encode()).hexdigest()


# -- hashes --------------------------------------------------------------------------------------


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_of_files(folder: Path, names: Iterable[str] | None = None) -> dict[str, str]:
    """SHA-256 of files by their path in a folder, ``/`` between its parts; of all by default.

    Raises
    ------
    LearningError
        One is missing or cannot be read.
    """
    if names is None:
        files = (p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
        names = [p.relative_to(folder).as_posix() for p in files]
    try:
        return {name: sha256_of(folder / name) for name in sorted(names)}
    except OSError as error:
        raise LearningError(
            f"Cannot read {error.filename}: {error.strerror}. Bring the file back from a copy of "
            "the project."
        ) from error


def sha256_of_folder(folder: Path) -> str:
    """One hash for a folder: that of the names and hashes of its files."""
    listed = "".join(f"{name} {digest}\n" for name, digest in digest_of_files(folder).items())
    return hashlib.sha256(listed.encode()).hexdigest()
