"""What all panels do."""

from __future__ import annotations

import pytest

pytest.importorskip("pytestqt")


@pytest.mark.gui
@pytest.mark.parametrize("is_gone", [False, True], ids=["there", "gone"])
def test_what_is_to_come_later_comes_unless_the_panel_is_gone(qtbot, is_gone):
    from qtpy.QtCore import QCoreApplication, QEvent

    from napari_histo.plugin.panel import Panel

    class Session:
        def close(self):
            pass

    panel, calls = Panel(object()), []
    panel.controller = Session()
    panel._later(5, lambda: calls.append(panel.parent()))
    if is_gone:
        panel.deleteLater()
        QCoreApplication.sendPostedEvents(panel, QEvent.Type.DeferredDelete)
    qtbot.wait(40)
    assert calls == ([] if is_gone else [None])
    if not is_gone:
        panel.deleteLater()
