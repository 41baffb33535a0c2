# SPDX-License-Identifier: GPL-3.0-or-later
"""A QuPath project, or the exchange folder that stands for it, as a place where rounds are done.

What `publish` and `collect` do to all images of a place, without a word on a screen: what is wrong
with one image stops no other and is given back.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from napari_histo.core import (
    CancelToken,
    ObjectTable,
    Progress,
    QueriedRegion,
    RoundFacts,
    retold,
)
from napari_histo.core.bridge import ImageEntry
from napari_histo.errors import BridgeError, Cancelled, HistoError, WriteError
from qupath_bridge._places import Bridge, can_read_projects, place_of
from qupath_bridge.exchange import ExchangeBridge, is_exchange
from qupath_bridge.project import QuPathProject, open_project
from qupath_bridge.rounds import Collected, Published, collecting, publishing
from qupath_bridge.rounds_list import ListChange, list_region_classes, show_rounds

__all__ = ["Failure", "RoundsDone", "RoundsPlace", "open_rounds"]

Item = TypeVar("Item", Published, Collected)
Steps = Callable[[Bridge, ImageEntry], Generator[Progress, None, list[Item]]]
Request = tuple[Sequence[QueriedRegion], ObjectTable]


@dataclass(frozen=True)
class Failure:
    """What is wrong with an image."""

    image: ImageEntry
    message: str


@dataclass(frozen=True, eq=False)
class RoundsDone(Generic[Item]):
    """What publishing or collecting did.

    Attributes
    ----------
    done : tuple of Published or of Collected
    failed : tuple of Failure
    listed : ListChange
        In QuPath's list of images.
    notes : tuple of str
        What somebody should know of that list, a sentence or two each.
    """

    done: tuple[Item, ...]
    failed: tuple[Failure, ...]
    listed: ListChange = field(default_factory=ListChange)
    notes: tuple[str, ...] = ()


class RoundsPlace:
    """A QuPath project or an exchange folder; see `open_rounds`.

    Attributes
    ----------
    path : Path
        The ``project.qpproj`` or the ``exchange.json``.
    is_exchange : bool
        Whether QuPath comes by with its scripts; else it is worked with directly.
    """

    def __init__(self, path: Path) -> None:
        self._place = place_of(path)
        self.path = self._place.path
        self.is_exchange = is_exchange(path)

    def images(self, *, with_objects: bool = False) -> Sequence[ImageEntry]:
        """All images, or those that hold something; counts on disk tell without Java."""
        if not with_objects:
            return self._place.entries
        if self.is_exchange:
            listed = ExchangeBridge(self.path, read_only=True).manifest.images
            return [i.entry for i in listed if i.file]
        return [
            entry
            for entry, found in zip(self._place.entries, self._project.entries, strict=True)
            if found.data_file.exists()
        ]

    def shows(self, entry: ImageEntry, file: Path, series: int) -> bool:
        """Whether an entry is image number `series` of a file on this machine."""
        there = self._place.find_image(entry).path
        if there is None or os.path.realpath(there) != os.path.realpath(file):
            return False
        if self.is_exchange:  # which image of the file is not said
            return True
        return self._project.entry(entry.entry_id).builder.series == series

    def publishing(
        self,
        asked: Mapping[str, Request],
        *,
        model: str = "",
        dry_run: bool = False,
        cancel: CancelToken | None = None,
    ) -> Generator[Progress, None, RoundsDone[Published]]:
        """Put regions and predictions, by the image's id, into the place.

        Raises
        ------
        BridgeError, WriteError
            The place as a whole cannot be written to.
        """

        def steps(bridge: Bridge, entry: ImageEntry) -> Generator[Progress, None, list[Published]]:
            regions, table = asked[entry.entry_id]
            given = {entry.entry_id: table}
            return publishing(bridge, regions, given, model=model, dry_run=dry_run, cancel=cancel)

        if not dry_run and not self.is_exchange:
            list_region_classes(self._project)
        entries = [entry for entry in self._place.entries if entry.entry_id in asked]
        done, failed = yield from self._each(entries, steps, read_only=dry_run)
        if dry_run:
            return RoundsDone(tuple(done), tuple(failed))
        facts = {p.image.entry_id: p.facts for p in done}
        return RoundsDone(tuple(done), tuple(failed), *self._show(facts))

    def collecting(
        self,
        entries: Sequence[ImageEntry],
        *,
        dry_run: bool = False,
        cancel: CancelToken | None = None,
    ) -> Generator[Progress, None, RoundsDone[Collected]]:
        """Read regions and what was done in them; only QuPath's list of images is written to."""

        def steps(bridge: Bridge, entry: ImageEntry) -> Generator[Progress, None, list[Collected]]:
            found = yield from collecting(bridge, [entry], cancel)
            return found or [Collected(entry)]

        done, failed = yield from self._each(entries, steps, read_only=True)
        found = tuple(c for c in done if c.regions)
        if dry_run:
            return RoundsDone(found, tuple(failed))
        facts = {c.image.entry_id: c.facts for c in done}
        return RoundsDone(found, tuple(failed), *self._show(facts))

    def n_waiting(self) -> int:
        """Objects that wait for the import in QuPath; none where it is worked with directly."""
        if not self.is_exchange:
            return 0
        bridge = ExchangeBridge(self.path, read_only=True)
        return sum(map(bridge.n_waiting, self.images(with_objects=True)))

    @property
    def _project(self) -> QuPathProject:
        return open_project(self.path)

    def _each(
        self, entries: Sequence[ImageEntry], steps: Steps[Item], *, read_only: bool
    ) -> Generator[Progress, None, tuple[list[Item], list[Failure]]]:
        done: list[Item] = []
        failed: list[Failure] = []
        with self._place.open(read_only) as bridge:
            for i, entry in enumerate(entries):
                words = partial(_of_image, entry.name, i, len(entries))
                try:
                    done += yield from retold(steps(bridge, entry), words)
                except Cancelled:
                    raise
                except HistoError as error:
                    failed.append(Failure(entry, str(error)))
        return done, failed

    def _show(self, facts: Mapping[str, RoundFacts]) -> tuple[ListChange, tuple[str, ...]]:
        """Bring QuPath's list of images up to date; a view, so a failure stops nothing."""
        if self.is_exchange:
            return ListChange(), ()  # the list is the project's, which may be on another computer
        try:
            listed = show_rounds(self._project, facts)
        except WriteError as error:
            return ListChange(), (
                f"The list of images in QuPath was not brought up to date. {error}",
            )
        return listed, tuple(_notes(listed))


def open_rounds(path: Path) -> RoundsPlace:
    """The place that a path names, as this machine can work with it.

    Parameters
    ----------
    path : Path
        A ``project.qpproj``, its folder, or an exchange folder. Without QuPath on this machine the
        project's folder ``exchange`` is taken.

    Raises
    ------
    BridgeError
        There is none, it is damaged, or there is neither QuPath here nor an exchange folder.
    """
    path = path.expanduser()
    if is_exchange(path) or can_read_projects():
        return RoundsPlace(path)
    folder = open_project(path).folder
    if is_exchange(folder / "exchange"):
        return RoundsPlace(folder / "exchange")
    raise BridgeError(
        f"QuPath or paquo is not on this computer, and {folder} has no folder 'exchange' yet. Run "
        f"'qupath-bridge scripts {folder}' once, then in QuPath Automate > Project scripts > "
        "napari-histo 1 export."
    )


def _of_image(name: str, i: int, n: int, step: Progress) -> Progress:
    return Progress(i, n, name if step.message == name else f"{name}: {step.message}")


def _notes(listed: ListChange) -> list[str]:
    found = []
    if listed.overwritten:
        found.append(
            f"QuPath had the project open and saved over the list of {len(listed.overwritten)} "
            "images; they are written again. Close the project in QuPath before publishing, and "
            "open it again to see them."
        )
    if listed.vanished:
        found.append(
            f"{len(listed.vanished)} images have fewer regions than before. Where nobody deleted "
            "them, QuPath had the image open while they were published and saved it since: publish "
            "them again."
        )
    return found
