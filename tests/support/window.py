"""A napari window that all tests of a file share, each of which finds it as new."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from unittest import mock

import pytest
from qtpy.QtCore import QCoreApplication, QEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QWidget


class _NoConsole(QWidget):
    """In place of a console, which takes long to make."""

    def _update_theme(self, *_):
        pass


@contextmanager
def napari_window():
    """As napari's own fixture ``make_napari_viewer`` makes and closes it."""
    import napari
    from napari._qt.qt_viewer import QtViewer
    from napari.settings import get_settings

    with _actions_of_its_own(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari._qt.threads.status_checker.StatusChecker.start", lambda *_: None)
        patch.setattr(QtViewer, "_get_console", lambda _: _NoConsole())
        patch.setattr("napari_histo.plugin.leaving._CALM_MS", 400)
        patch.setenv("NAPARI_ENSURE_PLUGIN_MAIN_THREAD", "True")
        get_settings().reset()
        viewer = napari.Viewer(show=True, show_welcome_screen=False)
        _draw_two_things(viewer)
        gc.collect()
        gc.freeze()  # napari collects at each layer that leaves: not all that is there, too
        yield viewer
        get_settings().reset()
        with mock.patch.object(viewer.window._qt_window, "_save_current_window_settings"):
            viewer.close()
        del viewer
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        QtViewer._instances.clear()


class Calm:
    """The clock of the layers that leave a window: it stands, or goes fast."""

    def __init__(self, viewer, patch):
        from napari_histo.plugin.leaving import Leaving

        self.leaving, self._patch = Leaving.of(viewer), patch

    def hold(self):
        """None leaves from now on."""
        self._set(10**7)

    def go_on(self, calm_ms=30):
        """One leaves after the other."""
        self._set(calm_ms)

    def _set(self, calm_ms):
        self._patch.setattr("napari_histo.plugin.leaving._CALM_MS", calm_ms)
        self.leaving.wait()


@contextmanager
def _actions_of_its_own():
    """napari's menus and keys for one window alone, as in its fixture ``mock_app_model``."""
    from app_model import Application
    from napari._app_model._app import NapariApplication, _napari_names
    from napari._qt._qapp_model.qactions import init_qactions
    from napari.plugins import _initialize_plugins

    _initialize_plugins.cache_clear()
    init_qactions.cache_clear()
    app = NapariApplication("shared_window")
    app.injection_store.namespace = _napari_names
    with mock.patch.object(NapariApplication, "get_app_model", return_value=app):
        try:
            yield
        finally:
            Application.destroy("shared_window")
            _initialize_plugins.cache_clear()
            init_qactions.cache_clear()


@contextmanager
def fresh(viewer):
    """The window for one test: without panels and layers, in its first looks."""
    from napari.settings import get_settings
    from napari.utils._proxies import PublicOnlyProxy

    yield PublicOnlyProxy(viewer)
    for panel in list(viewer.window.dock_widgets.values()):
        viewer.window.remove_dock_widget(panel)
        panel.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    while viewer.layers:
        viewer.layers.pop()
        QTest.qWait(1)
    _draw_two_things(viewer)
    get_settings().reset()
    viewer.theme = get_settings().appearance.theme
    viewer.help = viewer.status = ""
    gc.collect()
    gc.freeze()


def _draw_two_things(viewer):
    """Let something be drawn at all times that nobody sees.

    Mesa's software driver (22.3) unbinds the shader in use where others end, and binds it again
    only after another one was in use: it crashes where one kind of thing alone is left to draw.
    """
    viewer.scale_bar.colored = True
    viewer.scale_bar.color = (0.02, 0.02, 0.02, 1)
    viewer.scale_bar.visible = True
