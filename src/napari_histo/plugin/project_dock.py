"""What panels have in common that work on a project on disk, beside the Annotate panel."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QDockWidget, QFrame, QScrollArea, QSizePolicy, QWidget

from napari_histo.plugin.activity import Activity
from napari_histo.plugin.panel import Panel
from napari_histo.plugin.qupath.opening import annotate_dock
from napari_histo.plugin.threads import connect_while
from napari_histo.session import AnnotationController

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["ProjectDock", "scrolling"]


class ProjectDock(Panel):
    """Looks at a session's files now and then, and shows in napari's corner what goes on.

    Subclasses make `form` and `controller`, then call `_begin`, and bring `render_state` and
    `_apply_theme`.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    """

    #: Whether the form is scrolled where the window is lower than it.
    scrolls = False

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self._watch = QTimer(self)

    def _begin(self, title: str, look_ms: int, close: Callable[[], None]) -> None:
        """Lay the form out, follow the session and the theme, and look every `look_ms`.

        `close` ends what the form has under way in threads.
        """
        # The list takes the height that there is; else napari puts a stretch below.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self._show(scrolling(self.form) if self.scrolls else self.form)
        self._activity = Activity(title)
        self._watch.setInterval(look_ms)
        self._watch.timeout.connect(self._look)
        self._follow(close)
        self._apply_theme()
        self.render_state()
        self._watch.start()

    def _follow(self, close: Callable[[], None]) -> None:
        events, activity = self.controller.state.events, self._activity
        events.connect(self._render_soon)
        events.progress.connect(activity.show)
        ends = (events.disconnect, self.controller.close, activity.close, close)
        connect_while(self, [(self.viewer.events.theme, self._apply_theme)], *ends)

    def _end(self) -> None:
        self._watch.stop()
        super()._end()
        self._activity.close()

    def _desk(self) -> AnnotationController | None:
        dock = annotate_dock(self.viewer)
        return None if dock is None else dock.controller

    def _look(self) -> None:
        if self.isVisible():
            self.controller.look()

    def _come_forward(self) -> None:
        """The Annotate panel, where it is new, lies over this one."""
        place = self.parent()
        if isinstance(place, QDockWidget):
            place.raise_()


def scrolling(form: QWidget) -> QScrollArea:
    """A form that scrolls where the window is too low for it."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(form)
    bar = area.verticalScrollBar()
    assert bar is not None
    # Where the bar comes, it stands beside the form and covers nothing of it.
    area.setMinimumWidth(form.minimumWidth() + bar.sizeHint().width())
    return area
