"""What the QuPath panel does in threads: plain generators of Progress."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from napari_histo.core import CancelToken, Progress, SlideReader
from napari_histo.errors import TargetChangedError
from napari_histo.session.qupath.known import after_sync, after_undo
from napari_histo.session.qupath.state import ImageRow, OpenedSlide, Preview
from qupath_bridge.bridge import QuPathBridge
from qupath_bridge.changes import FileFacts
from qupath_bridge.exchange import ExchangeBridge, is_exchange
from qupath_bridge.locate import find_qupath
from qupath_bridge.pair import Comparison, Pair, SyncBridge, carry_out, compare, undo
from qupath_bridge.project import QuPathProject
from qupath_bridge.snapshot import load_undo

__all__ = [
    "QuPathTools",
    "Work",
    "look_for_qupath",
    "reading",
    "slide_of",
    "undoing",
    "writing",
]

Result = TypeVar("Result")
Work = Generator[Progress, None, Result]


def look_for_qupath() -> str:
    """Why nothing can be written to a project on this machine; empty where it can."""
    if importlib.util.find_spec("paquo") is None:
        return (
            "Pull, Push and Sync need the bridge to QuPath. Install it with "
            'pip install "napari-histo[qupath]", then start napari again.'
        )
    if find_qupath() is None:
        return (
            "Pull, Push and Sync need QuPath on this computer. Install it from qupath.github.io, "
            "or set PAQUO_QUPATH_DIR to its folder, then start napari again. Or open an exchange "
            "folder, which needs no QuPath here."
        )
    return ""


def _make_bridge(file: Path) -> QuPathBridge | ExchangeBridge:
    return ExchangeBridge(file) if is_exchange(file) else QuPathBridge(file)


def _open_slide(path: Path, *, series: int) -> SlideReader:
    from napari_histo.slides import open_slide

    return open_slide(path, series=series)


@dataclass(frozen=True)
class QuPathTools:
    """What a session works with; tests put fakes here. All run in threads.

    Attributes
    ----------
    make_bridge : callable
        For a project file, or the ``exchange.json`` of an exchange folder.
    look_for_qupath : callable
        Why there can be no bridge; empty where there can.
    open_slide : callable
        As `napari_histo.slides.open_slide`.
    data_folder : Path or None
        Of journals; the user's by default.
    """

    make_bridge: Callable[[Path], Any] = _make_bridge
    look_for_qupath: Callable[[], str] = look_for_qupath
    open_slide: Callable[..., SlideReader] = _open_slide
    data_folder: Path | None = None


def slide_of(project: QuPathProject, row: ImageRow, tools: QuPathTools) -> OpenedSlide:
    """The pixels of an image as QuPath shows it."""
    entry = project.entry(row.key)
    reader = project.open_image(entry, tools.open_slide)
    builder = entry.builder
    is_view = bool(builder.steps or builder.series or builder.argument("--rotate"))
    return OpenedSlide(row, reader, is_view, builder.channels, entry.stains())


def reading(
    bridge: SyncBridge, row: ImageRow, *, settle: Callable[[], None], cancel: CancelToken
) -> Work[Comparison]:
    """Read both places and merge them; the project is not written.

    `settle` brings edits that our file lacks into it, first of all.
    """
    yield Progress(0, 0, "Saving your edits")
    settle()
    return (yield from compare(bridge, _pair(row), cancel=cancel))


def writing(
    bridge: SyncBridge, preview: Preview, *, settle: Callable[[], None], cancel: CancelToken
) -> Work[Preview | None]:
    """Carry out what was shown.

    Returns
    -------
    Preview or None
        None where all is written. Where one side went on meanwhile, so that something would be
        written or left open which nobody has seen, what to show instead; nothing is written then.
    """
    yield Progress(0, 0, "Saving your edits")
    settle()
    found = preview.found
    if FileFacts.of(found.pair.file) != found.ours:
        found = yield from _again(bridge, preview, cancel)
    for is_last in (False, True):
        writes_unseen = found.writes_ours(preview.direction) and not preview.writes[0]
        if writes_unseen or found.merge.n_open > preview.found.merge.n_open:
            return replace(preview, found=found)
        try:
            yield from carry_out(bridge, found, preview.direction, cancel)
            break
        except TargetChangedError:  # QuPath saved between our reading and our writing
            if is_last:
                raise
        found = yield from _again(bridge, preview, cancel)
    after_sync(found, preview.direction).save(found.pair)
    return None


def undoing(
    bridge: SyncBridge, row: ImageRow, *, settle: Callable[[], None], cancel: CancelToken
) -> Work[None]:
    """Take the last sync of an image back."""
    yield Progress(0, 0, "Saving your edits")
    settle()
    pair = _pair(row)
    kept = load_undo(pair.undo_folder) if pair.undo_folder.exists() else None
    yield from undo(bridge, pair, cancel)
    if kept is not None:
        after_undo(pair, kept).save(pair)


def _again(bridge: SyncBridge, preview: Preview, cancel: CancelToken) -> Work[Comparison]:
    yield Progress(0, 0, "Looking at the latest changes")
    pair, answers = preview.found.pair, dict(preview.answers)
    return (yield from compare(bridge, pair, answers=answers, cancel=cancel))


def _pair(row: ImageRow) -> Pair:
    pair = row.pair
    assert pair is not None, "the session refuses images that are not found"
    return pair
