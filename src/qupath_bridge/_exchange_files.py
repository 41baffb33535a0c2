# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of an exchange folder, as QuPath's scripts write them; see `qupath_bridge.exchange`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import ClassDef, ClassScheme, ObjectTable
from napari_histo.core.bridge import ImageEntry
from napari_histo.errors import BridgeError, ObjectsFileError
from napari_histo.store.geojson import read_geojson
from qupath_bridge._json_files import read_json_object

__all__ = ["MANIFEST", "ExchangeImage", "Exported", "Manifest", "read_head"]

MANIFEST = "exchange.json"
_FORMAT = "napari-histo exchange 1"
_MEMBER = "napari-histo"
_PRINT_CHARS = 16
_AGAIN = "Run the export script in QuPath again."
_WRONG = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


@dataclass(frozen=True)
class ExchangeImage:
    """An image of the project.

    Attributes
    ----------
    entry : ImageEntry
    file : str or None
        Its objects, relative to the folder; None where it was never exported.
    n_objects : int
        At the last export.
    problem : str
        Why QuPath could not export it; empty where it could.
    width, height : int or None
        Pixels, as the project remembers them.
    pixel_size_um : float or None
        Mean of both sides.
    """

    entry: ImageEntry
    file: str | None
    n_objects: int
    problem: str
    width: int | None
    height: int | None
    pixel_size_um: float | None


@dataclass(frozen=True)
class Manifest:
    """``exchange.json``: which images there are.

    Attributes
    ----------
    path : Path
    project_name, project_uri : str
    created_ms : int
        The project's ``createTimestamp``, by which another project is known.
    classes : ClassScheme
        The project's.
    images : tuple of ExchangeImage
    """

    path: Path
    project_name: str
    project_uri: str
    created_ms: int
    classes: ClassScheme
    images: tuple[ExchangeImage, ...]

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read the file.

        Raises
        ------
        BridgeError
            It is missing, damaged, of another program or of another version.
        """
        words = read_json_object(path, what="Exchange folder's list of images", remedy=_AGAIN)
        if words.get("format") != _FORMAT:
            raise BridgeError(
                f"{path} is of the format {words.get('format')!r}, not {_FORMAT!r}. Put the "
                "scripts of this version into QuPath ('qupath-bridge scripts') and export again."
            )
        try:
            return cls._parse(path, words)
        except _WRONG as error:
            raise BridgeError(
                f"{path} is not as the export script writes it ({type(error).__name__}: {error}). "
                f"{_AGAIN}"
            ) from error

    @classmethod
    def _parse(cls, path: Path, words: Mapping[str, Any]) -> Manifest:
        project = words["project"]
        images = tuple(_image(item) for item in words["images"])
        if len({image.entry.entry_id for image in images}) < len(images):
            raise ValueError("an id stands twice")
        return cls(
            path=path,
            project_name=str(project["name"]),
            project_uri=str(project.get("uri") or ""),
            created_ms=int(project["created_ms"]),
            classes=_classes(words["classes"]),
            images=images,
        )

    @property
    def folder(self) -> Path:
        """The exchange folder."""
        return self.path.parent

    def image(self, entry: ImageEntry) -> ExchangeImage:
        """The image of an entry's id.

        Raises
        ------
        BridgeError
            There is none.
        """
        for image in self.images:
            if image.entry.entry_id == entry.entry_id:
                return image
        raise BridgeError(
            f"{self.path} has no image with the id {entry.entry_id} ({entry.name}); it has "
            f"{len(self.images)} images. It may have been removed in QuPath since."
        )

    def exported(self, image: ExchangeImage) -> Path:
        """Objects of an image, from QuPath.

        Raises
        ------
        BridgeError
            It was never exported.
        """
        if image.file is None:
            why = f": {image.problem}" if image.problem else ""
            raise BridgeError(
                f"{image.entry.name!r} was not exported from QuPath{why}. Put that right in "
                "QuPath, then run the export script again."
            )
        return self.folder / image.file

    def pending(self, image: ExchangeImage) -> Path:
        """What of ours waits for QuPath."""
        return self.folder / "to-qupath" / f"{image.entry.entry_id}.geojson"


@dataclass(frozen=True, eq=False)
class Exported:
    """An image's objects as QuPath exported them.

    Attributes
    ----------
    table : ObjectTable
    prints : (n,) bytes of 16
        Fingerprint of each object, by which the import script knows whether it changed since.
    marks : tuple of str
        Of writes that the import script carried out.
    """

    table: ObjectTable
    prints: NDArray[np.bytes_]
    marks: tuple[str, ...]

    @classmethod
    def read(cls, path: Path, manifest: Manifest, image: ExchangeImage) -> Exported:
        """Read an export.

        Raises
        ------
        BridgeError
            It is damaged, cut short, or of another image or project.
        """
        head = read_head(path, _AGAIN)
        table = read_objects(path, _AGAIN)
        try:
            check_owner(head, manifest, image)
            prints = np.frombuffer(head["prints"].encode("ascii"), f"S{_PRINT_CHARS}")
            if len(prints) != len(table):
                raise ValueError(f"{len(prints):,} fingerprints for {len(table):,} objects")
            return cls(table, prints, tuple(map(str, head["marks"])))
        except _WRONG as error:
            raise damaged(path, error, _AGAIN) from error


def read_head(path: Path, remedy: str) -> dict[str, Any]:
    """The member ``napari-histo`` of a GeoJSON file, which is its first line.

    Raises
    ------
    BridgeError
        The file is missing, or its first line is something else.
    """
    try:
        with path.open(encoding="utf-8") as file:
            line = file.readline()
        found = json.loads(line.rstrip("\n") + "]}")[_MEMBER]
        if not isinstance(found, dict):
            raise TypeError(f"its head is a {type(found).__name__}")
    except OSError as error:
        raise BridgeError(f"{path} cannot be read ({error.strerror or error}). {remedy}") from error
    except _WRONG as error:
        raise damaged(path, error, remedy) from error
    return found


def read_objects(path: Path, remedy: str) -> ObjectTable:
    """Objects of a file; BridgeError where it is damaged."""
    try:
        return read_geojson(path)
    except ObjectsFileError as error:
        raise BridgeError(f"{error} {remedy}") from error


def check_owner(head: Mapping[str, Any], manifest: Manifest, image: ExchangeImage) -> None:
    """Raise ValueError for a file of another image or project."""
    of = (int(head["project"]), str(head["image"]))
    if of != (manifest.created_ms, image.entry.entry_id):
        raise ValueError(f"it belongs to image {of[1]} of the project made at {of[0]} ms")


def damaged(path: Path, error: Exception, remedy: str) -> BridgeError:
    """What to tell the user of a file that is not as the scripts, or we, write it."""
    return BridgeError(f"{path} is damaged ({type(error).__name__}: {error}). {remedy}")


def _image(words: Mapping[str, Any]) -> ExchangeImage:
    entry_id, file = str(words["id"]), words.get("file")
    if not re.fullmatch(r"[\w-]+", entry_id):
        raise ValueError(f"{entry_id!r} is no id")
    if file is not None and file != f"from-qupath/{entry_id}.geojson":
        raise ValueError(f"{file!r} is no file of image {entry_id}")
    return ExchangeImage(
        entry=ImageEntry(entry_id, str(words["name"]), str(words.get("uri") or "")),
        file=file,
        n_objects=int(words.get("n_objects") or 0),
        problem=str(words.get("problem") or ""),
        width=words.get("width"),
        height=words.get("height"),
        pixel_size_um=words.get("pixel_size_um"),
    )


def _classes(words: list[Mapping[str, Any]]) -> ClassScheme:
    found = {str(item["name"]): ClassDef(str(item["name"]), _rgb(item["color"])) for item in words}
    return ClassScheme(tuple(found.values()))


def _rgb(color: list[int]) -> tuple[int, int, int]:
    r, g, b = (int(v) for v in color)
    return r, g, b
