"""What all panels have in common that show a session: they follow it, and end it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QVBoxLayout, QWidget

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["Panel"]


class Panel(QWidget):
    """Shows a session's state soon after it changed, and ends the session where it is closed.

    Subclasses make `form` and `controller`, and bring `render_state` and `_apply_theme`.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    """

    form: Any
    controller: Any

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        # napari hands plugins a wrapper that warns of each private access, four times an edit.
        self.viewer: Any = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self._rendering = QTimer(self)
        self._rendering.setSingleShot(True)
        self._rendering.timeout.connect(self.render_state)

    def render_state(self) -> None:
        """Show the state, and no widget reports this as a change by the user."""
        raise NotImplementedError

    def _apply_theme(self) -> None:
        raise NotImplementedError

    def _show(self, content: QWidget) -> None:
        """Let the content take all of the panel."""
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(content)

    def event(self, event: QEvent | None) -> bool:
        """End the session where the panel is closed: napari then takes it away, and keeps it."""
        if event is not None and event.type() == QEvent.Type.ParentChange and not self.parent():
            self._end()
        return super().event(event)

    def _end(self) -> None:
        self.controller.close()

    def _render_soon(self, *_: Any) -> None:
        """Once for all that changed together."""
        if not self._rendering.isActive():
            self._rendering.start(0)

    def _later(self, wait_ms: int, call: Callable[[], object]) -> None:
        """Call after a while, unless the panel is gone by then."""
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.timeout.connect(call)
        timer.timeout.connect(timer.deleteLater)
        timer.start(wait_ms)
