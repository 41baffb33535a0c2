"""Names of a journal's files, and how they go."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from hashlib import file_digest
from pathlib import Path

__all__ = [
    "LOCK_NAME",
    "clear",
    "journal_files",
    "make_journal_folder",
    "remove_leftovers",
    "sha256_of",
]

LOCK_NAME = "lock"
_NAME = re.compile(r"(base|edits)-(\d{8,})\.(parquet|jsonl)")
_ASIDE = "aside"


def sha256_of(path: Path) -> str:
    """Hex digest of a file's content."""
    with path.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


def make_journal_folder(folder: Path) -> None:
    """Make a folder; a hidden one only beside the user's own files, never their folders."""
    folder.mkdir(parents=not folder.name.startswith("."), exist_ok=True)


def journal_files(folders: Iterable[Path]) -> dict[tuple[str, int], Path]:
    """Files of a journal by ("base" or "edits", revision); the first folder wins."""
    found: dict[tuple[str, int], Path] = {}
    for folder in folders:
        with suppress(OSError):
            for path in sorted(folder.iterdir()):
                name = _NAME.fullmatch(path.name)
                if name is not None:
                    found.setdefault((name[1], int(name[2])), path)
    return found


def clear(folders: Iterable[Path], *, below: int | None = None, keep: Iterable[Path] = ()) -> None:
    """Remove a journal's files, those of revisions below `below` if given.

    Files in `keep` go into the subfolder ``aside`` instead, for a person to look at.
    """
    kept = set(keep)
    for folder in folders:
        for (_, revision), path in journal_files([folder]).items():
            if below is None or revision < below:
                with suppress(OSError):
                    _set_aside(path) if path in kept else path.unlink()


def remove_leftovers(folders: Iterable[Path]) -> None:
    """Remove files that a killed process did not finish; only who holds the lock may."""
    for folder in folders:
        with suppress(OSError):
            for path in folder.iterdir():
                if path.is_file() and path.name != LOCK_NAME and not _NAME.fullmatch(path.name):
                    with suppress(OSError):
                        path.unlink()


def _set_aside(path: Path) -> None:
    aside = path.parent / _ASIDE
    aside.mkdir(exist_ok=True)
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    path.rename(aside / f"{stamp}-{path.name}")
