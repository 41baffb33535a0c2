# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the image files that a project names, also after project or images have moved.

Tried in this order, the first file that exists is taken:

1. where the project says;
2. where the image would lie had it moved together with the project, QuPath's own rule;
3. where the user's rules say (`PathRule`), for slides that came to another disk or system;
4. a file of the same name in the project's folder, four levels deep as in QuPath, or beside it.
   Only one that cannot be confused: QuPath takes the first, here two of a name are none.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath, PureWindowsPath
from typing import Literal

from napari_histo.errors import BridgeError
from qupath_bridge._uris import is_local, path_of_text, path_of_uri, relocated

__all__ = ["FoundImage", "How", "ImageFinder", "PathRule"]

How = Literal["as stored", "moved with the project", "by rule", "same name", "remote", "missing"]
_DEPTH = 4
_MAX_FOLDERS = 20_000  # a project that lies in somebody's home folder must not be walked for hours
# QuPath's own folders in a project; images do not lie there, and data/ has one folder an image.
_NOT_IMAGES = frozenset({"data", "classifiers", "scripts", "models"})


@dataclass(frozen=True)
class PathRule:
    r"""What lay under one folder lies under another now.

    Parameters
    ----------
    old : str
        Folder as the project writes it, of Windows or not: ``D:\slides``, ``//server/share``,
        ``/mnt/slides``. Upper and lower case are one for Windows paths, two for others.
    new : str
        Folder on this machine.

    Examples
    --------
    >>> PathRule.parse("I:/slides=/mnt/slides").apply(PureWindowsPath(r"i:\Slides\a\b.svs"))
    PosixPath('/mnt/slides/a/b.svs')
    """

    old: str
    new: str

    @classmethod
    def parse(cls, text: str) -> PathRule:
        """The rule ``OLD=NEW``.

        Raises
        ------
        BridgeError
            Either side is missing.
        """
        old, _, new = text.partition("=")
        if not (old.strip() and new.strip()):
            raise BridgeError(
                f"'{text}' is no rule for moved images. Write OLD=NEW, the folder as the project "
                "names it and where it is now, for example D:/slides=/mnt/slides."
            )
        return cls(old.strip(), new.strip())

    def apply(self, path: PurePath) -> Path | None:
        """Where `path` lies now; None where the rule does not concern it."""
        old = self._old
        if type(old) is not type(path) or not path.is_relative_to(old):
            return None
        return Path(self.new).expanduser().joinpath(*path.relative_to(old).parts)

    @property
    def _old(self) -> PurePath:
        named = path_of_uri(self.old) if "://" in self.old or self.old[:5] == "file:" else None
        old = named or path_of_text(self.old)
        # "//server" is a share of Windows where the rule's author wrote it with slashes.
        return PureWindowsPath(self.old) if str(old).startswith("//") else old


@dataclass(frozen=True)
class FoundImage:
    """Where an image's file is, or why it is not known.

    Attributes
    ----------
    uri : str
        As the project has it.
    path : Path or None
    how : str
        Which of the tries found it; ``"remote"`` for what is no file, ``"missing"`` for none.
    message : str
        Why there is no path and what to do; empty where there is one.
    """

    uri: str
    path: Path | None
    how: How
    message: str = ""

    def require(self) -> Path:
        """The path.

        Raises
        ------
        BridgeError
            There is none; the text is `message`.
        """
        if self.path is None:
            raise BridgeError(self.message)
        return self.path


class ImageFinder:
    """Finds image files of one project; reads folders, writes nothing.

    Parameters
    ----------
    folder : Path
        Where the project lies now.
    stored_uri : str or None
        Where it lay when QuPath last saved it: the project's ``uri``.
    rules : sequence of PathRule
        The first whose file exists counts.
    uris : iterable of str
        All image URIs of the project; tells which names are not unique in it.
    """

    def __init__(
        self,
        folder: Path,
        stored_uri: str | None,
        *,
        rules: Sequence[PathRule] = (),
        uris: Iterable[str] = (),
    ) -> None:
        self._folder = folder.absolute()
        stored = path_of_uri(stored_uri) if stored_uri else None
        self._old_folder = stored.parent if stored is not None else None
        self._rules = tuple(rules)
        paths = {p for p in map(path_of_uri, uris) if p is not None}
        self._name_counts = Counter(p.name.lower() for p in paths)
        self._roots: dict[str, bool] = {}

    def find(self, uri: str) -> FoundImage:
        """Where the image of `uri` is."""
        stored = path_of_uri(uri)
        if stored is None:
            return FoundImage(uri, None, "remote", _remote(uri))
        tried: list[str] = []
        for how, path in self._places(stored):
            if self._is_file(path):
                return FoundImage(uri, path, how)
            tried.append(f"{path} ({how})")
        same = self._same_name(stored)
        certain = self._certain(stored, same)
        if certain is not None:
            return FoundImage(uri, certain, "same name")
        return FoundImage(uri, None, "missing", self._missing(stored, tried, same))

    def _places(self, stored: PurePath) -> Iterable[tuple[How, Path]]:
        if is_local(stored):
            yield "as stored", Path(stored)
        if self._old_folder is not None:
            moved = relocated(stored, self._old_folder, self._folder)
            if moved is not None and moved != Path(stored):
                yield "moved with the project", moved
        for rule in self._rules:
            place = rule.apply(stored)
            if place is not None:
                yield "by rule", place

    def _is_file(self, path: Path) -> bool:
        # A share or drive that is not there may take seconds to say so: ask once for each.
        if path.anchor not in self._roots:
            self._roots[path.anchor] = _exists(Path(path.anchor))
        return self._roots[path.anchor] and _exists(path)

    def _same_name(self, stored: PurePath) -> list[Path]:
        found = self._files_by_name.get(stored.name.lower(), [])
        return [p for p in found if _alike(stored, p.name, stored.name)]

    def _certain(self, stored: PurePath, same: Sequence[Path]) -> Path | None:
        """The one file that must be meant; of several, or for several images, by its folder."""
        if len(same) == 1 and self._name_counts[stored.name.lower()] <= 1:
            return same[0]
        tails = [_same_tail(path, stored) for path in same]
        best = max(tails, default=0)
        return same[tails.index(best)] if best > 1 and tails.count(best) == 1 else None

    @cached_property
    def _files_by_name(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for path in (*_files_within(self._folder), *_files_in(self._folder.parent)):
            found.setdefault(path.name.lower(), []).append(path)
        return found

    def _missing(self, stored: PurePath, tried: Sequence[str], same: Sequence[Path]) -> str:
        lines = list(tried)
        if not is_local(stored):
            lines.insert(0, f"{stored} (as stored: a path of another system)")
        why = f"not certain that it is {' or '.join(map(str, same))}" if same else "none"
        lines.append(f"a file named {stored.name} in {self._folder} or beside it ({why})")
        listed = "\n".join(f"  - {line}" for line in lines)
        return (
            f"The image {stored} is not found. Tried:\n{listed}\n"
            f"Say where its folder is now with a rule, for example "
            f"'{_folder_of(stored)}=/where/it/is/now' (--map at the command line), or open the "
            "project in QuPath, let it find the image, and save."
        )


def _remote(uri: str) -> str:
    if not uri:
        return "The project names no image file. Open it in QuPath and add the image again."
    return (
        f"The image {uri} is not a file on a disk and can only be opened by QuPath. "
        "To work on it here, save it as a file and add that to the project."
    )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long or with characters that this system does not allow
        return False


def _alike(stored: PurePath, a: str, b: str) -> bool:
    """Whether two names are one by the rule of upper and lower case of `stored`'s system."""
    return type(stored)(a) == type(stored)(b)


def _same_tail(path: Path, stored: PurePath) -> int:
    """How many last parts both paths share, the file's name among them."""
    n = 0
    for a, b in zip(reversed(path.parts), reversed(stored.parts), strict=False):
        if not _alike(stored, a, b):
            break
        n += 1
    return n


def _folder_of(stored: PurePath) -> str:
    return stored.parent.as_posix().rstrip("/") or "/"


def _files_within(folder: Path) -> Iterable[Path]:
    depth = len(folder.parts)
    for n, (here, folders, files) in enumerate(os.walk(folder)):
        if n >= _MAX_FOLDERS:
            return
        below = len(Path(here).parts) - depth
        own = _NOT_IMAGES if below == 0 else frozenset()
        folders[:] = sorted(
            f for f in folders if below < _DEPTH - 1 and f not in own and not f.startswith(".")
        )
        yield from (Path(here) / f for f in files if not f.startswith("."))


def _files_in(folder: Path) -> Iterable[Path]:
    try:
        return [p for p in folder.iterdir() if p.is_file()]
    except OSError:  # not ours to read
        return []
