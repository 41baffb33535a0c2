"""The images of a project as the panel lists them, from files alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from napari_histo.core.bridge import ImageEntry
from napari_histo.errors import BridgeError
from napari_histo.session.annotate.places import left_over_since
from napari_histo.session.annotate.target import default_target
from napari_histo.session.qupath.exchange import ExchangeEntry
from napari_histo.session.qupath.known import Known, Stamp, stamp_of
from napari_histo.session.qupath.state import ImageRow, Sync
from qupath_bridge._qpdata import DataState
from qupath_bridge.images import FoundImage
from qupath_bridge.pair import Pair
from qupath_bridge.project import ProjectEntry, QuPathProject

__all__ = ["Listing", "files_of", "old_folder", "round_of"]

_STATES = {DataState.DAMAGED: Sync.DAMAGED, DataState.SAVING: Sync.SAVING}
_CHANGES = {
    (False, False): Sync.IN_STEP,
    (True, False): Sync.HERE,
    (False, True): Sync.QUPATH,
    (True, True): Sync.BOTH,
}


@dataclass
class Listing:
    """The rows of a project, renewed one by one where their files moved.

    Any thread may call, one at a time. Nothing is written.

    Attributes
    ----------
    project : QuPathProject
        Or an `ExchangeProject`.
    data_folder : Path or None
        Where journals go whose image's folder takes none.
    """

    project: QuPathProject
    data_folder: Path | None = None
    _seen: dict[str, tuple[Stamp, ...]] = field(default_factory=dict)
    _rows: dict[str, ImageRow] = field(default_factory=dict)
    _files: dict[str, Path | None] = field(default_factory=dict)
    _found: dict[str, FoundImage] = field(default_factory=dict)
    _folders: dict[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._project_stamp = stamp_of(self.project.file)

    def rows(self) -> tuple[ImageRow, ...]:
        """All images in the project's order, those with moved files looked at anew."""
        if not self._found:
            self._found = {e.entry_id: self.project.find_image(e) for e in self.project.entries}
            self._files = files_of(self.project.entries, self._found)
        return tuple(self._row(entry) for entry in self.project.entries)

    def is_outdated(self) -> bool:
        """Whether QuPath saved the project itself since it was read."""
        return stamp_of(self.project.file) != self._project_stamp

    def _row(self, entry: ProjectEntry) -> ImageRow:
        key = entry.entry_id
        stamps = tuple(stamp_of(path) for path in self._watched(entry))
        if self._seen.get(key) != stamps or key not in self._rows:
            self._seen[key], self._rows[key] = stamps, self._look(entry)
        return self._rows[key]

    def _watched(self, entry: ProjectEntry) -> Iterable[Path]:
        folder, file = entry.folder, self._files[entry.entry_id]
        yield from (entry.data_file, folder / "summary.json", folder / "data.qpdata.bkp")
        if isinstance(entry, ExchangeEntry):
            yield entry.pending
        if file is not None:
            yield from (file, file.with_name(f".{file.name}.journal"))
            yield self._sync_folder(entry.entry_id, file)

    def _sync_folder(self, key: str, file: Path) -> Path:
        if key not in self._folders:
            self._folders[key] = Pair(ImageEntry(key, "", ""), file, self.project.file).folder
        return self._folders[key]

    def _look(self, entry: ProjectEntry) -> ImageRow:
        known = ImageEntry(entry.entry_id, entry.name, entry.uri)
        row = ImageRow(
            entry=known,
            image=self._found[entry.entry_id],
            file=self._files[entry.entry_id],
            project=self.project.file,
            thumbnail=entry.thumbnail,
            by_type=_counts(entry),
            saved_at=_time(stamp_of(entry.data_file)),
            round=round_of(entry),
        )
        sync, message = self._sync(entry, row)
        undo = row.pair is not None and row.pair.undo_folder.exists()
        return replace(row, sync=sync, message=message, can_undo=undo)

    def _sync(self, entry: ProjectEntry, row: ImageRow) -> tuple[Sync, str]:
        check = entry.check_data()
        if check.state in _STATES:
            return _STATES[check.state], check.message
        if isinstance(entry, ExchangeEntry) and entry.lacks:
            return Sync.UNEXPORTED, entry.lacks
        pair = row.pair
        if pair is None:
            return Sync.MISSING, row.image.message
        unsaved = left_over_since(pair.file, row.entry.name, self.data_folder) is not None
        known = Known.of(pair)
        if known is None:
            has_ours = unsaved or pair.file.exists()
            has_theirs = any(row.by_type.values())
            return _first(has_ours, has_theirs), ""
        ours, theirs = known.moved(pair)
        if known.n_open:
            return Sync.CONFLICTS, ""
        change = _CHANGES[ours or unsaved, theirs]
        is_waiting = isinstance(entry, ExchangeEntry) and entry.waits()
        return (Sync.WAITING if is_waiting and change is Sync.IN_STEP else change), ""


def files_of(
    entries: Sequence[ProjectEntry], found: dict[str, FoundImage]
) -> dict[str, Path | None]:
    """Our file of each image, by id: ``slide.geojson`` beside ``slide.svs``.

    Images that share a file, as a slide and its rotated view, each bear their own name:
    ``slide (rotated).geojson``.
    """
    paths = {e.entry_id: found[e.entry_id].path for e in entries}
    files = {key: None if path is None else default_target(path) for key, path in paths.items()}
    for name in (lambda e: e.name, lambda e: f"{e.name} {e.entry_id}"):
        shared = Counter(file for file in files.values() if file is not None)
        for entry in entries:
            file = files[entry.entry_id]
            path = paths[entry.entry_id]
            if file is not None and path is not None and shared[file] > 1:
                own = default_target(path)
                files[entry.entry_id] = own.with_name(f"{own.stem} ({_safe(name(entry))}).geojson")
    return files


def round_of(entry: ProjectEntry) -> str:
    """What the project says of an image's round of active learning: ``round 3 · done``."""
    found = {k.lower(): v for k, v in entry.metadata.items() if "round" in k.lower() and v}
    number = found.pop("round", "")
    words = [f"round {number}"] if number else []
    return " · ".join([*words, *(v for k, v in found.items() if "status" in k)])


def old_folder(row: ImageRow) -> str:
    """The folder in which the project believes a missing image to be."""
    from qupath_bridge._uris import path_of_uri

    path = path_of_uri(row.image.uri)
    return "" if path is None else path.parent.as_posix()


def _first(has_ours: bool, has_theirs: bool) -> Sync:
    if has_ours and has_theirs:
        return Sync.APART
    if has_ours:
        return Sync.HERE
    return Sync.NEW if has_theirs else Sync.NOTHING


def _counts(entry: ProjectEntry) -> dict[str, int]:
    try:
        summary = entry.summary()
    except BridgeError:  # the check of the entry says so
        return {}
    return {} if summary is None else {k: n for k, n in summary.by_type.items() if n}


def _time(stamp: Stamp) -> datetime | None:
    return None if stamp is None else datetime.fromtimestamp(stamp[1] / 1e9)


def _safe(name: str) -> str:
    return re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", name).strip()
