"""The folder of a whole-slide run: what was asked, what is done, and how to go on.

::

    run.json           what was asked for, of which image and model, with which versions
    log.txt            what happened, with times
    tissue.geojson     where the run looked
    joined.json        tiles whose seams were decided together (seldom any)
    proposals/N.npz    what the network found in tile N; removed at the end
    parts/N.parquet    objects of tile N, once its seams are settled; removed at the end
    objects.parquet    all objects, by place
    summary.json       counts and times

Every file appears whole or not at all, and what is there is done: a run that was killed goes on
where it stopped.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from napari_histo.core import Contours, ObjectTable, Proposals
from napari_histo.errors import DocumentLockedError, ObjectsFileError, RunFolderError
from napari_histo.store.lock import FileLock
from napari_histo.store.parquet import read_parquet, write_parquet
from napari_histo.store.run_differences import IDENTITY, differences
from napari_histo.store.write import atomic_path, make_folder

__all__ = ["FORMAT_VERSION", "RunFolder", "read_facts"]

FORMAT_VERSION = 1
_CACHED_TILES = 6
_ENOUGH_ROWS = 20_000
_CONTOURS = [f for f in fields(Contours) if f.init]


class RunFolder:
    """One run on disk. Only one process at a time holds it; `close` lets go.

    Parameters
    ----------
    path : path
        Made if need be.
    asked : mapping
        JSON facts under ``image``, ``model`` and ``parameters``; others are kept for people.
    resume : bool
        Go on with the run that is there.

    Raises
    ------
    RunFolderError
        Another run stands there, or one with other facts; the message tells which differ.
    WriteError
        The folder cannot be written.
    """

    def __init__(self, path: Path | str, asked: Mapping[str, Any], *, resume: bool = False) -> None:
        self.path = make_folder(path)
        try:
            self._lock = FileLock(self.path / ".lock", f"The run {self.path}")
        except DocumentLockedError as error:
            raise RunFolderError(
                f"Another process is working on the run {self.path}. Wait for it, or choose "
                "another folder."
            ) from error
        try:
            self.facts = self._begin(asked, resume)
        except BaseException:
            self._lock.release()
            raise
        for folder in (self.path, self.path / "proposals", self.path / "parts"):
            for torso in make_folder(folder).glob(".*.part*"):  # of a process that was killed
                torso.unlink(missing_ok=True)
        self.proposals = lru_cache(_CACHED_TILES)(self._read_proposals)

    def _begin(self, asked: Mapping[str, Any], resume: bool) -> dict[str, Any]:
        there = read_facts(self.path)
        if there is None:
            facts = {"format_version": FORMAT_VERSION, "started": _now(), **asked}
            self._write_json("run.json", facts)
            return facts
        if not resume:
            state = "finished" if self.is_finished else "unfinished"
            raise RunFolderError(
                f"{self.path} holds a {state} run of {there['image'].get('name')}. Go on with it, "
                "or choose another folder."
            )
        differing = differences(there, asked)
        if differing:
            raise RunFolderError(
                f"The run in {self.path} was started otherwise ({'; '.join(differing)}). Ask for "
                "the same again to go on with it, or choose another folder."
            )
        return there

    def close(self) -> None:
        """Let other processes have the folder; again is no error."""
        self._lock.release()

    # -- what is done ----------------------------------------------------------------------------

    @property
    def is_finished(self) -> bool:
        """True once all objects are in one file."""
        return (self.path / "summary.json").exists() and self.objects_path.exists()

    @property
    def objects_path(self) -> Path:
        """The file of all objects."""
        return self.path / "objects.parquet"

    def proposed(self) -> set[int]:
        """Tiles that the network has done."""
        return _numbers(self.path / "proposals", ".npz")

    def settled(self) -> set[int]:
        """Tiles whose objects are final."""
        return _numbers(self.path / "parts", ".parquet")

    @property
    def joined(self) -> list[list[int]]:
        """Tiles that were decided together."""
        with suppress(FileNotFoundError):
            found: list[list[int]] = json.loads((self.path / "joined.json").read_text("utf-8"))
            return found
        return []

    # -- tiles -----------------------------------------------------------------------------------

    def save_proposals(self, tile: int, found: Proposals) -> None:
        """Keep what the network found in a tile."""
        arrays: dict[str, Any] = {"points": found.points, "prob": found.prob}
        arrays |= {f"column_{name}": values for name, values in found.columns.items()}
        if found.contours is not None:
            arrays |= {f"contours_{f.name}": getattr(found.contours, f.name) for f in _CONTOURS}
        with (
            atomic_path(self.path / "proposals" / f"{tile}.npz") as work,
            work.open("wb") as stream,
        ):
            np.savez(stream, **arrays)

    def _read_proposals(self, tile: int) -> Proposals:
        path = self.path / "proposals" / f"{tile}.npz"
        try:
            with np.load(path) as file:
                arrays = {name: file[name] for name in file.files}
        except (OSError, ValueError, BadZipFile, KeyError) as error:
            with suppress(OSError):
                path.unlink()
            raise RunFolderError(
                f"{path} is damaged and was removed. Go on with the run: it does that tile again."
            ) from error
        parts = {f.name: arrays[f"contours_{f.name}"] for f in _CONTOURS if "contours_xy" in arrays}
        return Proposals(
            arrays["points"],
            arrays["prob"],
            {k.removeprefix("column_"): v for k, v in arrays.items() if k.startswith("column_")},
            Contours(**parts) if parts else None,
        )

    def save_part(self, tile: int, table: ObjectTable) -> None:
        """Keep the objects of a tile."""
        write_parquet(self.path / "parts" / f"{tile}.parquet", table)

    def save_joined(self, joined: Sequence[Sequence[int]]) -> None:
        """Keep which tiles were decided together, before their parts."""
        if [list(group) for group in joined] != self.joined:
            self._write_json("joined.json", joined)

    def parts(self, tiles: Sequence[int]) -> Iterator[ObjectTable]:
        """Objects of tiles that are settled, about 20,000 at once, in the order of `tiles`."""
        waiting: list[ObjectTable] = []
        for tile in tiles:
            waiting.append(self.part(tile))
            if sum(map(len, waiting)) >= _ENOUGH_ROWS:
                yield ObjectTable.concat(waiting)
                waiting = []
        if waiting:
            yield ObjectTable.concat(waiting)

    def part(self, tile: int) -> ObjectTable:
        """Objects of a tile that is settled.

        Raises
        ------
        RunFolderError
            The file is damaged; it is removed.
        """
        path = self.path / "parts" / f"{tile}.parquet"
        try:
            return read_parquet(path)
        except ObjectsFileError as error:
            with suppress(OSError):
                path.unlink()
            raise RunFolderError(
                f"{path} is damaged and was removed. Go on with the run: it makes that file again."
            ) from error

    # -- the end ---------------------------------------------------------------------------------

    def finish(self, tiles: Sequence[int], summary: Mapping[str, Any]) -> int:
        """Bring all parts into one file, by tile; returns the number of objects."""
        about = {key: self.facts[key] for key in IDENTITY}
        n = write_parquet(self.objects_path, self.parts(tiles), about=about)
        self._write_json("summary.json", {**summary, "objects": n, "finished": _now()})
        return n

    def tidy(self, *, keep_proposals: bool = False) -> None:
        """Remove what a finished run needs no more."""
        (self.path / "joined.json").unlink(missing_ok=True)
        shutil.rmtree(self.path / "parts", ignore_errors=True)
        if not keep_proposals:
            shutil.rmtree(self.path / "proposals", ignore_errors=True)

    @property
    def summary(self) -> dict[str, Any]:
        """Of a finished run."""
        found: dict[str, Any] = json.loads((self.path / "summary.json").read_text("utf-8"))
        return found

    def log(self, text: str) -> None:
        """Add a line to ``log.txt``; a full disk does not stop the work for it."""
        with suppress(OSError), (self.path / "log.txt").open("a", encoding="utf-8") as stream:
            stream.write(f"{_now()}  {text}\n")

    def _write_json(self, name: str, value: Any) -> None:
        with atomic_path(self.path / name) as work:
            work.write_text(json.dumps(value, indent=1), encoding="utf-8")


def read_facts(path: Path) -> dict[str, Any] | None:
    """What `run.json` of a folder says; None where there is none.

    Raises
    ------
    RunFolderError
        The folder holds other things, or the file is damaged or of a newer version.
    """
    try:
        facts: dict[str, Any] = json.loads((path / "run.json").read_text("utf-8"))
    except FileNotFoundError:
        if any(p.name != ".lock" for p in path.iterdir()):
            raise RunFolderError(
                f"{path} is not empty and holds no run. Choose a new folder."
            ) from None
        return None
    except ValueError as error:
        raise RunFolderError(
            f"{path / 'run.json'} is damaged ({error}). Remove the folder and start again."
        ) from error
    if facts.get("format_version", 0) > FORMAT_VERSION:
        raise RunFolderError(
            f"{path} was made by a newer napari-histo. Update this one, or choose another folder."
        )
    return facts


def _numbers(folder: Path, suffix: str) -> set[int]:
    stems = (p.name.removesuffix(suffix) for p in folder.iterdir() if p.name.endswith(suffix))
    return {int(stem) for stem in stems if stem.isdigit()}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
