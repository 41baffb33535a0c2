"""The Active learning panel in a window, with a hand on it."""

from __future__ import annotations

from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QMessageBox

from napari_histo.plugin.learning.dock import LearningDock
from napari_histo.plugin.qupath.opening import annotate_dock
from napari_histo.session.learning.state import Task
from napari_histo.session.learning.work import LearningTools
from support.learning import FAKES, make_project, making
from support.mouse import Hand, settle

LEFT, PLAIN = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


class Panel:
    """The panel with a project, and a hand on it."""

    def __init__(self, viewer, qtbot, folder, tools=FAKES, settings=None):
        self.viewer, self.qtbot, self.folder = viewer, qtbot, folder
        made = LearningTools(making(tools), settings or {}, folder / "journals")
        self.dock = LearningDock(viewer, made)
        viewer.window.add_dock_widget(self.dock, name="Active learning")
        self.form, self.session = self.dock.form, self.dock.controller
        self.state = self.session.state

    def until(self, done):
        self.qtbot.waitUntil(lambda: bool(done()))
        settle(20)

    def idle(self):
        self.until(lambda: self.state.task is Task.NONE)
        assert not self.state.error, self.state.error
        settle(20)

    def press(self, button):
        assert button.isEnabled()
        assert button.isVisible()
        QTest.mouseClick(button, LEFT)
        settle(20)

    def answer(self, text, tick=False):
        """Press a button, by its first words, in the dialog that comes next; gives what it says."""
        told, timer = {}, QTimer(self.dock)

        def look():
            box = QApplication.activeModalWidget()
            if not isinstance(box, QMessageBox):
                return
            timer.stop()
            told.update(question=box.text(), details=box.informativeText())
            if tick:
                QTest.mouseClick(box.checkBox(), LEFT, PLAIN, QPoint(8, 8))
                told["ticked"] = box.checkBox().isChecked()
            (button,) = [b for b in box.buttons() if b.text().replace("&", "").startswith(text)]
            QTest.mouseClick(button, LEFT)

        timer.timeout.connect(look)
        timer.start(20)
        return told

    def pick_round(self, i):
        """Choose a line of the table of rounds."""
        rounds = self.form.rounds
        at = rounds.visualItemRect(rounds.item(i, 0)).center()
        QTest.mouseClick(rounds.viewport(), LEFT, PLAIN, QPoint(at))
        settle(20)

    def open(self, path=None):
        self.session.open_project(path or make_project(self.folder).path)
        self.idle()
        return self

    def begin(self):
        self.press(self.form.round_button)
        self.idle()
        return self

    def double_click(self, i):
        regions = self.form.regions
        regions.scrollTo(regions.model().index(i, 0))
        at = regions.visualRect(regions.model().index(i, 0)).center()
        for click in (QTest.mouseClick, QTest.mouseDClick):
            click(regions.viewport(), LEFT, PLAIN, at)

    def shown(self, row):
        """Wait until a region's objects can be edited."""
        file = f"{row.image}.geojson"

        def is_open():
            state = None if self.desk is None else self.desk.state
            kept = None if state is None or not state.is_open else state.kept.target
            return kept is not None and kept.name == file

        self.until(is_open)
        settle(30)

    def delete_by_hand(self, row):
        """Pick a nucleus of a region with the mouse and delete it by key; its id."""
        viewer = self.dock.viewer
        layer = next(x for x in viewer.layers if x.name == row.image_name)
        hand = Hand(viewer, layer, self.qtbot)
        tables = [self.desk.objects.get([key]) for key in self.desk.objects.ids_in(row.box)]
        x, y = max(tables, key=lambda t: t.contours.areas_px[0]).centroids[0]
        annotate_dock(viewer).scene.activate()
        hand.press("K")
        hand.click(x, y)
        (chosen,) = self.desk.state.selection
        hand.press("Delete")
        assert chosen not in self.desk.objects
        return chosen

    def close(self):
        if self.desk is not None:
            self.desk.close()
        self.session.close()
        settle(20)

    @property
    def desk(self):
        dock = annotate_dock(self.dock.viewer)
        return None if dock is None else dock.controller

    @property
    def seen(self):
        """Names of the layers that are drawn, but for what is empty and leaves."""
        drawn = [layer.name for layer in self.viewer.layers if layer.visible]
        return [name for name in drawn if not name.endswith("· closed")]

    def statuses(self):
        return [row.status for row in self.state.regions]
