"""What panels have in common that work on a project on disk, beside the Annotate panel."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import QDockWidget, QFrame, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from napari_histo.plugin.activity import Activity
from napari_histo.plugin.qupath.opening import annotate_dock
from napari_histo.plugin.threads import AtEnd
from napari_histo.session import AnnotationController

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["ProjectDock"]


class ProjectDock(QWidget):
    """Shows a session's state, looks at its files now and then, and ends it with the panel.

    Subclasses make `form` and `controller`, then call `_begin`, and bring `render_state` and
    `_apply_theme`.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    """

    form: Any
    controller: Any
    #: Whether the form is scrolled where the window is lower than it.
    scrolls = False

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        # napari hands plugins a wrapper that refuses what it takes for private.
        self.viewer: Any = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self._rendering, self._watch = QTimer(self), QTimer(self)

    def render_state(self) -> None:
        """Show the state, and no widget reports this as a change by the user."""
        raise NotImplementedError

    def _apply_theme(self) -> None:
        raise NotImplementedError

    def _begin(self, title: str, look_ms: int, close: Callable[[], None]) -> None:
        """Lay the form out, follow the session and the theme, and look every `look_ms`.

        `close` ends what the form has under way in threads.
        """
        # The list takes the height that there is; else napari puts a stretch below.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(_scrolling(self.form) if self.scrolls else self.form)
        self._activity = Activity(title)
        self._rendering.setSingleShot(True)
        self._rendering.timeout.connect(self.render_state)
        self._watch.setInterval(look_ms)
        self._watch.timeout.connect(self._look)
        self._follow(close)
        self._apply_theme()
        self.render_state()
        self._watch.start()

    def _follow(self, close: Callable[[], None]) -> None:
        session, activity = self.controller, self._activity
        events, theme = session.state.events, self.viewer.events.theme
        apply_theme = self._apply_theme
        events.connect(self._render_soon)
        events.progress.connect(activity.show)
        theme.connect(apply_theme)

        def on_destroyed() -> None:
            events.disconnect()
            session.close()
            activity.close()
            close()
            theme.disconnect(apply_theme)

        self.destroyed.connect(AtEnd(on_destroyed))

    def event(self, event: QEvent | None) -> bool:
        """End the session where the panel is closed: napari then takes it away, and keeps it."""
        if event is not None and event.type() == QEvent.Type.ParentChange and not self.parent():
            self._watch.stop()
            self.controller.close()
            self._activity.close()
        return super().event(event)

    def _desk(self) -> AnnotationController | None:
        dock = annotate_dock(self.viewer)
        return None if dock is None else dock.controller

    def _render_soon(self, *_: Any) -> None:
        """Once for all that changed together."""
        if not self._rendering.isActive():
            self._rendering.start(0)

    def _look(self) -> None:
        if self.isVisible():
            self.controller.look()

    def _come_forward(self) -> None:
        """The Annotate panel, where it is new, lies over this one."""
        place = self.parent()
        if isinstance(place, QDockWidget):
            place.raise_()


def _scrolling(form: QWidget) -> QScrollArea:
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setMinimumWidth(form.minimumWidth())
    area.setWidget(form)
    return area
