"""Whether the files of models are still those that they were."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from napari_histo.core import ModelInfo
from napari_histo.errors import ModelError
from napari_histo.models import registry
from napari_histo.models.foreign.description import has_description, read_description
from napari_histo.models.shelf.adding import files_of
from napari_histo.models.shelf.folder import CELLPOSE_WEIGHTS, SHIPPED_WEIGHTS, stock_weights
from napari_histo.models.shelf.places import Place, sha256_of
from napari_histo.models.shelf.published import PUBLISHED, archive_of, unpacked

__all__ = ["Verdict", "verify"]

State = Literal["whole", "damaged", "no checksum", "not here"]


@dataclass(frozen=True)
class Verdict:
    """What became of a model's files.

    Attributes
    ----------
    name : str
    state : {"whole", "damaged", "no checksum", "not here"}
    details : tuple of str
        Files that are missing, changed or new.
    """

    name: str
    state: State
    details: tuple[str, ...] = ()


def verify(names: Iterable[str] = ()) -> Iterator[Verdict]:
    """Compare weights with their SHA-256, one model after the other; of all models by default.

    Raises
    ------
    ModelError
        A name is unknown.
    """
    every = (registry.list_models, registry.list_prompt_models, registry.list_region_models)
    wanted = list(names) or [info.name for listed in every for info in listed()]
    places = registry.places()
    for name in wanted:
        yield _verify_one(name, registry.get_info(name), places.get(name))


def _verify_one(name: str, info: ModelInfo, place: Place | None) -> Verdict:
    if name in PUBLISHED:
        return _published(info)
    if place is not None and place.record:
        return _added(place)
    return _by_card(info, registry.model_folder(name) if place is None else place.path)


def _added(place: Place) -> Verdict:
    """Every file is that of when it was added."""
    if not place.path.exists():
        return Verdict(place.name, "damaged", (f"{place.path} is gone",))
    kept, now = place.record.get("files") or {}, files_of(place.path)
    details = [f"{key} is missing" for key in kept if key not in now]
    details += [f"{key} is new" for key in now if key not in kept]
    details += [
        f"{key} was changed" for key in now if key in kept and sha256_of(now[key]) != kept[key]
    ]
    return Verdict(place.name, "damaged" if details else "whole", tuple(details))


def _by_card(info: ModelInfo, path: Path) -> Verdict:
    """The weights are those that the card names; without such a card nobody can tell."""
    if info.family == "classical":
        return Verdict(info.name, "whole", ("needs no files",))
    weights = _weights(path)
    if weights is None:
        return Verdict(info.name, "damaged", (f"{path} holds no weights",))
    if not info.sha256:
        return Verdict(info.name, "no checksum", (str(weights),))
    if sha256_of(weights) != info.sha256.lower():
        return Verdict(info.name, "damaged", (f"{weights} is not the file that its card names",))
    return Verdict(info.name, "whole")


def _weights(path: Path) -> Path | None:
    if path.is_file():
        return path

    if has_description(path):
        return read_description(path).weights
    for name in (SHIPPED_WEIGHTS, CELLPOSE_WEIGHTS):
        if (path / name).is_file():
            return path / name
    try:
        return stock_weights(path)
    except ModelError:
        return None


def _published(info: ModelInfo) -> Verdict:
    """The archive is StarDist's, and what was unpacked is what it holds."""
    folder, archive = unpacked(info), archive_of(info)
    if folder is None:
        return Verdict(info.name, "not here", ("downloaded on first use",))
    if not archive.is_file():
        return Verdict(info.name, "no checksum", (f"{archive} is gone",))
    if sha256_of(archive) != info.sha256:
        return Verdict(info.name, "damaged", (f"{archive} is not the published file",))
    changed = list(_changed(archive, archive.with_name(f"{archive.name}.unzip")))
    return Verdict(info.name, "damaged" if changed else "whole", tuple(changed))


def _changed(archive: Path, into: Path) -> Iterator[str]:
    with zipfile.ZipFile(archive) as members:
        for member in members.infolist():
            file = into / member.filename
            if member.is_dir():
                continue
            if not file.is_file() or zlib.crc32(file.read_bytes()) != member.CRC:
                yield f"{file} is missing or was changed; delete {into} to unpack it again"
