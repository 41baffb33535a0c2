# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a QuPath project of image files, and adds images to one, through QuPath itself.

Each file is a command of its own to the Java process: an image that a reader hangs or crashes on
costs that image alone, and a project that was interrupted is whole and can be gone on with.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from napari_histo.core import CancelToken, ClassDef, ClassScheme, Progress
from napari_histo.errors import BridgeError, Cancelled, MissingDependencyError, WriteError
from qupath_bridge._class_file import DEFAULT_CLASSES, list_classes
from qupath_bridge._readers import UNREAD, why_unread
from qupath_bridge.client import WorkerClient
from qupath_bridge.locate import find_qupath
from qupath_bridge.project import QuPathProject, open_project
from qupath_bridge.project_file import keep_project_file
from qupath_bridge.safety import OWN_FOLDER, check_may_write, make_folder, project_lock

__all__ = ["AddedFile", "AddedImage", "ImageType", "adding", "check_new"]

_LIMIT_S = 600.0


class ImageType(StrEnum):
    """How QuPath is to understand the colours of an image."""

    HE = "he"
    HDAB = "hdab"
    BRIGHTFIELD = "brightfield"
    FLUORESCENCE = "fluorescence"
    OTHER = "other"

    @property
    def in_qupath(self) -> str:
        """Name of QuPath's own constant."""
        names = {"he": "BRIGHTFIELD_H_E", "hdab": "BRIGHTFIELD_H_DAB"}
        names["brightfield"] = "BRIGHTFIELD_OTHER"
        return names.get(self.value, self.value.upper())


@dataclass(frozen=True)
class AddedImage:
    """An image as QuPath sees it; `pixel_um` is None where the file does not tell."""

    entry_id: str
    name: str
    width: int
    height: int
    n_levels: int
    pixel_um: float | None


@dataclass(frozen=True)
class AddedFile:
    """What became of a file.

    Attributes
    ----------
    file : Path
    state : str
        "added", "there" (the project has it already) or "failed".
    images : tuple of AddedImage
        One a series, for files that hold several.
    message : str
        Why it failed.
    """

    file: Path
    state: str
    images: tuple[AddedImage, ...] = ()
    message: str = ""


def check_new(folder: Path) -> None:
    """Raise BridgeError where a new project cannot be made in a folder."""
    if folder.suffix == ".qpproj":
        raise BridgeError(f"{folder} names a file. Name the folder that is to hold the project.")
    if folder.exists() and not folder.is_dir():
        raise BridgeError(f"{folder} is a file. Name a folder that is not there yet, or is empty.")
    present = [p.name for p in folder.iterdir()] if folder.is_dir() else []
    if any(name.endswith((".qpproj", ".qpproj.backup")) for name in present):
        raise BridgeError(
            f"{folder} holds a project already. Use --add to add images to it, or name another "
            "folder."
        )
    if present:
        raise BridgeError(
            f"{folder} is not empty ({', '.join(sorted(present)[:3])}, …). QuPath wants a folder "
            "of its own for a project: name one that is not there yet."
        )


def adding(
    folder: Path,
    files: Sequence[Path],
    *,
    image_type: ImageType | None = None,
    classes: Iterable[ClassDef] = DEFAULT_CLASSES,
    client: WorkerClient | None = None,
    cancel: CancelToken | None = None,
) -> Generator[Progress, None, list[AddedFile]]:
    """Add image files to the project in `folder`, which is made where there is none.

    Parameters
    ----------
    folder : Path
        Of a project, or passed by `check_new`.
    files : sequence of Path
    image_type : ImageType, optional
        Of all of them; without it QuPath asks when an image is first opened.
    classes : iterable of ClassDef
        For the list of classes of a new project.
    client : WorkerClient, optional
        A running one.
    cancel : CancelToken, optional
        Looked at between files and while one is opened; what was added stays.

    Raises
    ------
    MissingDependencyError
        There is no QuPath: its own readers decide how it sees an image.
    BridgeError
        A newer QuPath saved the project than the one here.
    WriteError
        The project is read-only.
    """
    is_new = not (folder / "project.qpproj").exists()
    _check_qupath(None if is_new else open_project(folder))
    make_folder(folder)
    if not is_new:
        check_may_write(folder / "project.qpproj", folder)
        keep_project_file(open_project(folder))
    own = client or WorkerClient()
    found: list[AddedFile] = []
    try:
        for i, file in enumerate(files):
            yield Progress(i, len(files), file.name)
            found.append((yield from _add(own, folder, file.resolve(), image_type, cancel)))
    finally:
        if client is None:
            own.close()
        _finish(folder, is_new, classes)
    return found


def _finish(folder: Path, is_new: bool, classes: Iterable[ClassDef]) -> None:
    """Classes for a new project; nothing at all is left of one that got no image."""
    if not is_new:
        return
    if (folder / "project.qpproj").exists():
        with project_lock(folder):
            list_classes(open_project(folder), classes, after=ClassScheme())
        return
    for path in (folder / OWN_FOLDER, folder / "data", folder / "classifiers", folder):
        with contextlib.suppress(OSError):
            path.rmdir()  # refuses where anything is in it


def _add(
    client: WorkerClient,
    folder: Path,
    file: Path,
    image_type: ImageType | None,
    cancel: CancelToken | None,
) -> Generator[Progress, None, AddedFile]:
    try:
        _check_file(file)
        arguments = {
            "project": str(folder.resolve() / "project.qpproj"),
            "image": str(file),
            "type": image_type.in_qupath if image_type else "",
        }
        with project_lock(folder):
            answer = yield from client.call("add", arguments, limit_s=_LIMIT_S, cancel=cancel)
    except (Cancelled, MissingDependencyError, WriteError):
        raise
    except BridgeError as error:
        reason = str(getattr(error, "reason", error)).rstrip(".")
        if reason == UNREAD and (install := find_qupath()):
            reason = why_unread(file, install)
        return AddedFile(file, "failed", message=f"{file.name} was not added: {reason}.")
    return AddedFile(file, answer["state"], tuple(map(_image, answer["images"])))


def _check_file(file: Path) -> None:
    if not file.exists():
        raise BridgeError(f"there is no such file in {file.parent}")
    if file.is_dir():
        raise BridgeError("it is a folder; name the images in it")
    if not file.stat().st_size:
        raise BridgeError("the file is empty")


def _image(words: dict[str, Any]) -> AddedImage:
    pixel_um = words.get("pixel_um")
    return AddedImage(
        entry_id=str(words["id"]),
        name=str(words["name"]),
        width=int(words["width"]),
        height=int(words["height"]),
        n_levels=int(words["levels"]),
        pixel_um=None if pixel_um is None else float(pixel_um),
    )


def _check_qupath(project: QuPathProject | None) -> None:
    install = find_qupath()
    if install is None:
        raise MissingDependencyError(
            "Making a project and adding images needs QuPath itself, for its readers decide how "
            "it sees an image. Install it from qupath.github.io, or name its folder in "
            "PAQUO_QUPATH_DIR. A project that is there is read without it."
        )
    here = _version(install.version or "")
    theirs = _version(project.version) if project else ()
    if here and theirs and theirs > here and project:
        raise BridgeError(
            f"{project.file} was saved by QuPath {project.version}, and {install.version} is here: "
            "it would drop what it does not know. Update QuPath, or add the images there."
        )


def _version(text: str) -> tuple[int, ...]:
    """The first two numbers of a version; QuPath keeps its format between these."""
    return tuple(int(n) for n in re.findall(r"\d+", text)[:2])
