"""Adding models from folders, files and URLs, whole or not at all, and taking them away."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from napari_histo.core import ModelInfo
from napari_histo.errors import ModelError
from napari_histo.models.cellpose.size import find_size_file
from napari_histo.models.shelf.fetching import fetch, is_url
from napari_histo.models.shelf.folder import stock_weights
from napari_histo.models.shelf.places import (
    RECORD,
    Place,
    describe,
    find_places,
    sha256_of,
    user_folder,
)
from napari_histo.store.lock import FileLock
from napari_histo.store.write import atomic_path, check_writable, make_folder

__all__ = ["Addition", "add", "files_of", "remove"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_INSIDE = "model"


class Addition:
    """What is to be added, and what the user said about it.

    Parameters
    ----------
    source : str
        A folder, a file, or a URL.
    name : str, optional
        By default the card's, or that of the folder or file.
    sha256 : str, optional
        Of the file behind a URL, which needs it.
    licence : str, optional
        Where the card says none.
    accept_licence, link, trust : bool
        The licence was read; refer to the files where they are; run the TorchScript in them.
    """

    def __init__(
        self,
        source: str,
        *,
        name: str | None = None,
        sha256: str | None = None,
        licence: str | None = None,
        accept_licence: bool = False,
        link: bool = False,
        trust: bool = False,
    ) -> None:
        self.source, self.name, self.sha256, self.licence = source, name, sha256, licence
        self.accept_licence, self.link, self.trust = accept_licence, link, trust


def add(asked: Addition, taken: Collection[str]) -> Place:
    """Check a model and put it into the user's folder; nothing is left of one that fails.

    Parameters
    ----------
    asked : Addition
    taken : collection of str
        Names of the program's own models.

    Raises
    ------
    As `napari_histo.models.add_model`.
    """
    with _alone() as home:
        if not is_url(asked.source):
            return _keep(asked, _given(asked.source), home, taken)
        if asked.link:
            raise ModelError("A model from a URL cannot be linked; leave --link out.")
        with (
            fetch(asked.source, asked.sha256, home) as fetched,
            _told_of(fetched, asked.source),
        ):
            return _keep(asked, fetched, home, taken)


def remove(name: str) -> None:
    """Take away a model that was added; a linked one's files stay where they are.

    Raises
    ------
    ModelError
        It was not added.
    """
    place = find_places()[0].get(name)
    if place is not None and place.shared is not None:
        raise ModelError(
            f"The model {name!r} lies in the lab's folder {place.shared}, which is never changed "
            f"from here. To list none of its models: napari-histo models remove {place.shared}"
        )
    with _alone() as home:
        folder = home / name
        if not _NAME.fullmatch(name) or not (folder / RECORD).is_file():
            raise ModelError(
                f"The model {name!r} was not added here; only what 'napari-histo models add' "
                "brought can be removed."
            )
        # Out of sight in one step; what is left of it is swept away, now or the next time.
        folder.rename(home / f".{name}.part")
        shutil.rmtree(home / f".{name}.part")


def files_of(path: Path) -> dict[str, Path]:
    """Files that make a model, by their name in its folder: of several weights, those loaded.

    With a file of Cellpose goes the size model beside it.
    """
    if path.is_file():
        size_model = find_size_file(path)
        return {p.name: p for p in (path, size_model) if p is not None}
    inside = [p for folder in (path, path / "guide") for p in sorted(folder.glob("[!.]*"))]
    weights = [p for p in inside if p.suffix == ".h5"]
    if len(weights) > 1:
        wanted = stock_weights(path)
        inside = [p for p in inside if p.suffix != ".h5" or p == wanted]
    return {p.relative_to(path).as_posix(): p for p in inside if p.is_file() and p.name != RECORD}


def _given(source: str) -> Path:
    """A folder or file of this machine."""
    if not source.strip():
        raise ModelError("Nothing was given. Give a folder, a file, or a URL.")
    # Not Path.expanduser, which fails where there is no such person.
    path = Path(os.path.expanduser(source)).absolute()  # noqa: PTH111
    if not path.exists():
        raise ModelError(f"{path} does not exist. Give a folder, a file, or a URL.")
    return path


@contextmanager
def _told_of(copy: Path, given: Path | str) -> Iterator[None]:
    """Let errors name what the user gave, not our passing copy of it."""
    try:
        yield
    except ModelError as error:
        if str(copy) not in str(error):
            raise
        raise type(error)(str(error).replace(str(copy), str(given))) from error


def _keep(asked: Addition, path: Path, home: Path, taken: Collection[str]) -> Place:
    info = describe(path)
    licence = asked.licence or info.licence
    _check_licence(asked, info, licence)
    name = _name_for(asked, info, path, taken)
    with atomic_path(home / name, folder=True) as work:
        at = path if asked.link else _copy(path, work / _INSIDE)
        files = {key: sha256_of(file) for key, file in files_of(at).items()}
        _check_sum(info, files)
        record: dict[str, Any] = {
            "path": str(at) if asked.link else at.relative_to(work).as_posix(),
            "source": asked.source if is_url(asked.source) else str(path),
            "licence": licence,
            "added": datetime.now(UTC).isoformat(timespec="seconds"),
            "files": files,
            "trusted": asked.trust,
        }
        text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
        (work / RECORD).write_text(text, encoding="utf-8")
        with _told_of(at, path):
            _check_loads(Place(name, at, record=record))
    return Place(name, home / name / str(record["path"]), record=record)


def _check_licence(asked: Addition, info: ModelInfo, licence: str) -> None:
    if not is_url(asked.source) or asked.accept_licence:
        return
    raise ModelError(
        f"The model {info.name!r} from {asked.source} is under this licence: {licence}. Nothing "
        "was kept. If it suits you, repeat the command with --accept-licence."
    )


def _check_sum(info: ModelInfo, files: Mapping[str, str]) -> None:
    if info.sha256 and info.sha256.lower() not in files.values():
        raise ModelError(
            f"No file of the model {info.name!r} has the SHA-256 {info.sha256} that its card names "
            "for the weights. Copy or download the model again."
        )


def _name_for(asked: Addition, info: ModelInfo, path: Path, taken: Collection[str]) -> str:
    name = asked.name or info.name or path.stem
    if not _NAME.fullmatch(name):
        raise ModelError(
            f"{name!r} cannot name a model: wanted are 1 to 64 letters, digits, dots, hyphens and "
            "underscores, the first a letter or digit. Choose one with --name."
        )
    known = {other.lower(): other for other in (*find_places()[0], *taken)}
    known |= {p.name.lower(): p.name for p in user_folder().glob("[!.]*") if p.is_dir()}
    if name.lower() in known:
        raise ModelError(
            f"There is a model {known[name.lower()]!r} already. Choose another name with --name, "
            "or remove that one first."
        )
    return name


def _copy(path: Path, into: Path) -> Path:
    """The model's files; gives what is to be loaded."""
    for key, file in files_of(path).items():
        target = into / key
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    return into / path.name if path.is_file() else into


def _check_loads(place: Place) -> None:
    from napari_histo.models.shelf.loading import load_any

    load_any(place.path, place.info, place.record)


@contextmanager
def _alone() -> Iterator[Path]:
    """The user's folder, with no other program adding to it, and nothing half left in it."""
    home = make_folder(user_folder())
    check_writable(home / ".lock")
    lock = FileLock(home / ".lock", f"The folder of your models {home}")
    try:
        for left in (*home.glob(".*.part"), *home.glob(".*.old")):
            _sweep(left)
        yield home
    finally:
        lock.release()


def _sweep(path: Any) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
