# SPDX-License-Identifier: GPL-3.0-or-later
"""One image of a project, and the files that QuPath keeps for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_histo.errors import BridgeError
from qupath_bridge._builders import Builder, parse_builder, parse_server_file
from qupath_bridge._json_files import read_json_object
from qupath_bridge._qpdata import DataCheck, DataState, check_data
from qupath_bridge._summary import Summary, read_summary
from qupath_bridge.stains import read_stains

__all__ = ["ProjectEntry", "parse_entry"]


@dataclass(frozen=True)
class ProjectEntry:
    """An image of a project.

    Attributes
    ----------
    entry_id : str
        QuPath's number for it, unique in the project and never used again; names its folder.
    name : str
        As shown in QuPath.
    randomized_name : str
        Shown instead where QuPath masks names.
    description : str
    metadata : mapping of str to str
        What the user keeps about the image.
    tags : tuple of str
        Since QuPath 0.6.
    builder : Builder
        What the image is made of.
    folder : Path
        ``data/<id>``, there or not.
    words : mapping
        The entry as it stands in the file.
    """

    entry_id: str
    name: str
    randomized_name: str
    description: str
    metadata: Mapping[str, str]
    tags: tuple[str, ...]
    builder: Builder
    folder: Path
    words: Mapping[str, Any] = field(repr=False, compare=False)

    @property
    def uri(self) -> str:
        """The first image URI; empty where the project names none."""
        return next(iter(self.builder.uris), "")

    @property
    def thumbnail(self) -> Path | None:
        """QuPath's small picture of the image, where it made one."""
        path = self.folder / "thumbnail.jpg"
        return path if path.is_file() else None

    @property
    def data_file(self) -> Path:
        """The objects, there or not."""
        return self.folder / "data.qpdata"

    def summary(self) -> Summary | None:
        """Counts at QuPath's last save, read anew each time; None before the first.

        Raises
        ------
        BridgeError
            The file is damaged.
        """
        return read_summary(self.folder / "summary.json")

    def stains(self) -> str:
        """Stain vectors as QuPath's script sets them, read anew each time; empty where unset."""
        return read_stains(self.data_file)

    def check_data(self) -> DataCheck:
        """Whether the saved objects are whole, looked at anew each time."""
        try:
            summary = self.summary()
        except BridgeError as error:
            return DataCheck(DataState.DAMAGED, str(error))
        return check_data(self.folder, summary)

    def server_file(self) -> Builder | None:
        """The builder in ``server.json``, of use where the project file is lost; None without it.

        Raises
        ------
        BridgeError
            The file is damaged.
        """
        path = self.folder / "server.json"
        if not path.is_file():
            return None
        remedy = "The project works without it; QuPath writes it anew with the next save."
        return parse_server_file(read_json_object(path, what="Description of", remedy=remedy))


def parse_entry(words: Mapping[str, Any], folder: Path) -> ProjectEntry:
    """An element of the project's ``images``; raises what malformed JSON raises."""
    entry_id = str(int(words["entryID"]))
    return ProjectEntry(
        entry_id=entry_id,
        name=str(words.get("imageName") or f"Image {entry_id}"),
        randomized_name=str(words.get("randomizedName") or ""),
        description=str(words.get("description") or ""),
        metadata={str(k): str(v) for k, v in (words.get("metadata") or {}).items()},
        tags=tuple(str(t) for t in words.get("tags") or ()),
        builder=parse_builder(words.get("serverBuilder")),
        folder=folder / "data" / entry_id,
        words=words,
    )
