"""Progress in napari's activity dock."""

from __future__ import annotations

from typing import Any

from napari_histo.core import Progress

__all__ = ["Activity"]


class Activity:
    """One bar while work is under way. Only for the thread of the window."""

    def __init__(self, title: str = "Segment nuclei") -> None:
        self._title = title
        self._bar: Any = None

    def show(self, progress: Progress | None) -> None:
        """Move the bar; None takes it away."""
        if progress is None:
            self.close()
            return
        if self._bar is None:
            from napari.utils import progress as napari_progress

            self._bar = napari_progress(total=progress.total, desc=self._title)
        if self._bar.total != progress.total:
            self._bar.total = progress.total
        self._bar.set_description(f"{self._title}: {progress.message.lower()}")
        self._bar.update(progress.done - self._bar.n)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
