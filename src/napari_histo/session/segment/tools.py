"""What the Segment panel's session works with, and what it says when that fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from napari_histo.core import Segmenter
from napari_histo.pipeline import segment, segment_slide
from napari_histo.session.segment.candidates import Result
from napari_histo.session.segment.order import SegmentFunction
from napari_histo.session.segment.slide_order import SlideFunction

__all__ = ["Tools", "in_short"]


def _load(name: str, device: str) -> Segmenter:
    from napari_histo.models import load_model

    return load_model(name, device=device)


def _devices() -> tuple[str, ...]:
    from napari_histo.models import devices

    return tuple(devices())


def _save(result: Result, path: Path) -> None:
    from napari_histo.store import save_objects

    save_objects(path, result.table, info=result.info)


@dataclass(frozen=True)
class Tools:
    """What a session works with; tests put fakes here. All run in threads."""

    load_model: Callable[[str, str], Segmenter] = _load
    find_devices: Callable[[], tuple[str, ...]] = _devices
    segment: SegmentFunction = segment
    segment_slide: SlideFunction = segment_slide
    save: Callable[[Result, Path], None] = _save
    data_folder: Path | None = None


def in_short(error: BaseException) -> str:
    """What to tell of an error that nobody foresaw."""
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return (
            "There is not enough memory. Choose a smaller region, close other programs, "
            "or choose the device 'cpu'."
        )
    return (
        f"Something unexpected happened ({type(error).__name__}: {error}). "
        "The log has the details; please report it."
    )
