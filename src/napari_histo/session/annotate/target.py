"""The file that holds an image's objects, which other programs may change behind our back."""

from __future__ import annotations

from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path

from napari_histo.core import ObjectTable, SlideInfo
from napari_histo.errors import ObjectsFileError, TargetChangedError, WriteError
from napari_histo.store import load_objects, save_objects
from napari_histo.store._journal_files import sha256_of
from napari_histo.store.journal import Journal
from napari_histo.store.write import check_writable, put_in_place

__all__ = ["NO_FILE", "TargetFile", "default_target", "free_name_beside"]

NO_FILE = ""  #: stands for the checksum of a file that is not there


def default_target(image_path: Path | str) -> Path:
    """``<image>.geojson`` beside the image."""
    path = Path(image_path)
    return path.with_name(f"{path.stem.removesuffix('.ome')}.geojson")


def free_name_beside(target: Path) -> Path:
    """A name like the target's that nothing bears yet: ``slide (2).geojson``."""
    stem, dot, suffixes = target.name.partition(".")
    number = 2
    while (free := target.with_name(f"{stem} ({number}){dot}{suffixes}")).exists():
        number += 1
    return free


@dataclass(frozen=True)
class TargetFile:
    """The file, if the image has one.

    Attributes
    ----------
    path : Path or None
    info : SlideInfo or None
        The image, for the file's head.
    """

    path: Path | None
    info: SlideInfo | None = None

    def checksum(self) -> str:
        """SHA-256 of the content; `NO_FILE` where there is none.

        Raises
        ------
        ObjectsFileError
            The file is there but cannot be read.
        """
        if self.path is None:
            return NO_FILE
        try:
            return sha256_of(self.path)
        except FileNotFoundError:
            return NO_FILE
        except OSError as error:
            raise ObjectsFileError(
                f"Cannot read {self.path}: {error.strerror or error}. Check its permissions, or "
                "choose another file."
            ) from error

    def read(self) -> ObjectTable:
        """Its objects; none where there is no file.

        Raises
        ------
        ObjectsFileError
            It is damaged or of another format than its name says.
        """
        if self.path is None or not self.path.exists():
            return ObjectTable.empty()
        return load_objects(self.path)

    def keeps_ids(self, table: ObjectTable) -> bool:
        """True where the file is sure to give the ids of `table` whenever it is read.

        Objects of other programs may have none, and get fresh ones each time.
        """
        if self.path is None or not len(table):
            return True
        if self.path.suffix not in (".geojson", ".json"):
            return False
        sample = [str(table.uuid(row)).encode() for row in {0, len(table) // 2, len(table) - 1}]
        with self.path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
            return all(content.find(text) >= 0 for text in sample)

    def write(
        self, table: ObjectTable, journal: Journal, revision: int, *, overwrite: bool
    ) -> None:
        """Replace the file by one that holds all changes up to `revision`, and say so in `journal`.

        Raises
        ------
        TargetChangedError
            Another program changed it, and `overwrite` is False.
        WriteError
            It cannot be written. In both cases it is as it was.
        """
        assert self.path is not None
        check_writable(self.path)
        if not overwrite:
            self.check_unchanged(journal)
        # In the journal's folder, whose leftovers are removed after a crash.
        work = journal.folder / f"new-{self.path.name}"
        try:
            save_objects(work, table, info=self.info)
            if not overwrite:
                self.check_unchanged(journal)
            journal.note_saved(sha256_of(work), revision)
            put_in_place(work, self.path)
        except WriteError as error:
            if isinstance(error, TargetChangedError):
                raise
            raise WriteError(str(error).replace(str(work), str(self.path))) from error
        finally:
            work.unlink(missing_ok=True)

    def check_unchanged(self, journal: Journal) -> None:
        """Raise TargetChangedError where the content is none that `journal` knows."""
        if self.checksum() not in {NO_FILE, *journal.saved}:
            raise self.refusal()

    def refusal(self) -> TargetChangedError:
        """What to tell when another program changed it."""
        assert self.path is not None
        return TargetChangedError(
            f"{self.path} was changed by another program since it was opened here; saving would "
            f"undo that. Save under another name ({free_name_beside(self.path).name} is free), or "
            "replace it on purpose. Your edits are safe in the journal."
        )
