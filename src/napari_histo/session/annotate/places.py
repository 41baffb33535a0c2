"""Where the journal of an image's objects may be, and the lock on it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from napari_histo.errors import DocumentLockedError, ObjectsFileError, WriteError
from napari_histo.store._journal_files import (
    LOCK_NAME,
    journal_files,
    make_journal_folder,
    remove_leftovers,
)
from napari_histo.store._journal_lines import last_unsaved
from napari_histo.store.lock import FileLock

__all__ = ["Home", "left_over_since"]

_FORMATS = ("geojson", "parquet")
_MAX_UNTITLED = 20


@dataclass(frozen=True)
class Home:
    """A target, the folders that its journal may be in, and the lock on them.

    Attributes
    ----------
    target : Path or None
        None for an image without a file.
    folders : tuple of Path
        For reading: all that may hold something.
    usable : tuple of Path
        For writing: those from the first that took the lock.
    lock : FileLock
    notice : str
        Why it is not the first folder; empty where it is.
    data_folder : Path or None
        As given to `take`.
    """

    target: Path | None
    folders: tuple[Path, ...]
    usable: tuple[Path, ...]
    lock: FileLock
    notice: str = ""
    data_folder: Path | None = None

    @classmethod
    def take(
        cls,
        target: Path | None,
        image_name: str,
        data_folder: Path | None,
        *,
        patience_s: float = 0.0,
    ) -> Home:
        """Lock the target's journal; wait so long for another thread that is about to let go.

        Raises
        ------
        DocumentLockedError
            It is open in another window.
        ObjectsFileError
            The target's format cannot hold objects with their ids.
        WriteError
            No folder can be written to.
        """
        if target is not None:
            target = Path(os.path.realpath(target))
            _check_format(target)
            folders = _folders(target, image_name, data_folder)
            return cls._take(target, folders, data_folder, patience_s)
        # Images without a file that bear the same name get a home each.
        for number in range(1, _MAX_UNTITLED):
            name = image_name if number == 1 else f"{image_name} ({number})"
            with suppress(DocumentLockedError):
                return cls._take(None, _folders(None, name, data_folder), data_folder, 0.0)
        raise WriteError(f"Too many open images are named {image_name!r}. Close some.")

    @classmethod
    def _take(
        cls,
        target: Path | None,
        folders: tuple[Path, ...],
        data_folder: Path | None,
        patience_s: float,
    ) -> Home:
        trouble: OSError | None = None
        for i, folder in enumerate(folders):
            try:
                make_journal_folder(folder)
                lock = FileLock(folder / LOCK_NAME, str(target), patience_s=patience_s)
            except OSError as error:
                trouble = trouble or error
                continue
            remove_leftovers(folders)
            notice = _notice(folders, i, trouble)
            return cls(target, folders, folders[i:], lock, notice, data_folder)
        raise WriteError(
            f"Your edits can be kept in none of {', '.join(map(str, folders))}: "
            f"{trouble and trouble.strerror}. Make one of them writable or free some space."
        )

    def another(self, target: Path, image_name: str) -> Home:
        """A home for the same objects at another target.

        Raises
        ------
        DocumentLockedError, ObjectsFileError, WriteError
            As of `take`; or an earlier session left edits for that target.
        """
        home = Home.take(target, image_name, self.data_folder)
        if journal_files(home.folders):
            home.leave()
            raise WriteError(
                f"An earlier session left unsaved edits for {target}. Open that file first, or "
                "choose another name."
            )
        return home

    def leave(self) -> None:
        """Let go of the lock and remove folders that are empty."""
        self.lock.release()
        for folder in self.folders:
            with suppress(OSError):
                folder.rmdir()


def left_over_since(
    target: Path, image_name: str, data_folder: Path | None = None
) -> datetime | None:
    """When the last change to a target's objects was made that is not in it; None without any."""
    unsaved = last_unsaved(_folders(Path(os.path.realpath(target)), image_name, data_folder))
    return None if unsaved is None else datetime.fromisoformat(unsaved["at"])


def _check_format(target: Path) -> None:
    from napari_histo.store import format_of

    if format_of(target) not in _FORMATS:
        raise ObjectsFileError(
            f"{target} cannot hold objects with their ids and classes. Choose a name that ends "
            "with .geojson or .parquet; labels can be written beside it."
        )


def _folders(target: Path | None, image_name: str, data_folder: Path | None) -> tuple[Path, ...]:
    import platformdirs

    name = image_name if target is None else target.name
    key = f"untitled {image_name}" if target is None else os.path.normcase(target)
    label = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)[:60]
    journal = f"{label}-{sha256(key.encode()).hexdigest()[:12]}"
    if data_folder is None:
        data_folder = Path(platformdirs.user_data_path("napari-histo"))
    away = (data_folder / "journals" / journal, _temporary() / journal)
    return away if target is None else (target.with_name(f".{target.name}.journal"), *away)


def _temporary() -> Path:
    user = os.getuid() if hasattr(os, "getuid") else "journals"
    return Path(tempfile.gettempdir()) / f"napari-histo-{user}"


def _notice(folders: Sequence[Path], used: int, trouble: OSError | None) -> str:
    if not used:
        return ""
    why = trouble.strerror if trouble is not None else "it cannot be written to"
    return (
        f"{folders[0].parent} takes no files ({why}). Your edits are kept in {folders[used]}; "
        "save the objects to another folder."
    )
