"""The dialog in which a learning project is made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_histo.errors import LearningError
from napari_histo.learning.project.facts import Settings
from napari_histo.learning.project.groups import by_folder, grouped
from napari_histo.learning.project.making import NewImage, NewProject, check_new
from napari_histo.learning.project.starting import usual_region_px
from napari_histo.plugin.learning.choice import number_box
from napari_histo.plugin.parts import combo, form_grid, row, show_choices, small_label
from napari_histo.plugin.threads import Mailbox
from napari_histo.session.jobs import Job, Lane
from napari_histo.session.learning.qupath import images_there

__all__ = ["NewProjectDialog"]

_FEW = 4
_FROM_QUPATH = "Add from QuPath…"
_HINT = "A quarter of the patients judge the model and never teach it."
#: How slides are told to be of one patient: by name of the choice, in this order.
_EACH, _FOLDER, _TABLE = "each", "folder", "table"
_PATIENTS = (
    ("Each slide is a patient's", _EACH),
    ("A folder is a patient's", _FOLDER),
    ("A table says it (CSV)…", _TABLE),
)


class NewProjectDialog(QDialog):
    """Asks for a folder, slides, a model and how much to annotate a round.

    Parameters
    ----------
    parent : QWidget
    slides : sequence of Path
        To begin with: those that are open.
    """

    def __init__(self, parent: QWidget, slides: Sequence[Path]) -> None:
        super().__init__(parent)
        self.setWindowTitle("New learning project")
        self.setMinimumWidth(460)
        self.folder = QLineEdit()
        self.folder.setPlaceholderText("A new or empty folder")
        browse = QPushButton("Browse…")
        browse.clicked.connect(self._browse)
        self.images = QListWidget()
        self._list([NewImage(path) for path in slides])
        self.images.setSelectionMode(QListWidget.SelectionMode.ExtendedSelection)
        add, remove = QPushButton("Add slides…"), QPushButton("Remove")
        self.qupath_button = QPushButton(_FROM_QUPATH)
        self.qupath_button.setToolTip(
            "All images of a QuPath project. Rounds are put into it, and what is annotated there "
            "is collected."
        )
        self.qupath_button.clicked.connect(self._ask_for_qupath)
        #: The QuPath project that images were taken from.
        self.qupath: Path | None = None
        self._reading = Lane(Mailbox(self).post, "learn-new")
        add.clicked.connect(self._add)
        remove.clicked.connect(self._remove)
        self.model = combo("The model to begin with: of nuclei or cells, or of tissues.")
        self._fill_models()
        self.model.activated.connect(self._propose_side)
        self.patients = combo(
            "Slides of one patient teach or judge together. A table has the columns image and "
            "group, and perhaps split (train or validation) and stratum."
        )
        show_choices(self.patients, _PATIENTS)
        self.patients.activated.connect(self._ask_for_table)
        self.table: Path | None = None
        self._told = ""
        self.regions = number_box(1, 200, Settings().regions, "To annotate in a round.")
        self.region_px = number_box(32, 2048, Settings().region_px, "Side, in px of the model.")
        self.region_px.setSuffix(" px")
        self.hint = small_label()
        self.buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addLayout(form_grid(("Folder", row(self.folder, browse))))
        layout.addWidget(self.images, 1)
        layout.addLayout(row(QWidget(), add, self.qupath_button, remove))
        grid = form_grid(
            ("Model", self.model),
            ("Patients", self.patients),
            ("Regions", self.regions),
            ("Their side", self.region_px),
        )
        layout.addLayout(grid)
        layout.addWidget(self.hint)
        layout.addWidget(self.buttons)
        self.folder.textChanged.connect(self._render)
        self._render()

    def wanted(self) -> tuple[Path, NewProject]:
        """The folder, and what the project is to be made of.

        Raises
        ------
        LearningError
            The table of patients does not fit the slides.
        """
        images = self._images()
        if self.patients.currentData() == _FOLDER:
            images = by_folder(images)
        elif self.table is not None:
            images = grouped(images, self.table)
        settings = Settings(region_px=self.region_px.value(), regions=self.regions.value())
        made = NewProject(images, self.model.currentData(), settings=settings)
        return Path(self.folder.text().strip()).expanduser(), made

    def add_slides(self, paths: Sequence[Path]) -> None:
        """Those that are not in the list yet."""
        known = [image.path for image in self._images()]
        self._list([NewImage(path) for path in paths if path not in known])
        self._render()

    def add_qupath(self, path: Path) -> None:
        """The images of a QuPath project; found in a thread, for each is opened."""
        self.qupath_button.setEnabled(False)
        self.qupath_button.setText("Reading…")
        self._told = ""

        def done(found: tuple[list[NewImage], list[str]]) -> None:
            images, notes = found
            known = {(image.path, image.series) for image in self._images()}
            self._list([i for i in images if (i.path, i.series) not in known])
            self.qupath, self._told = path, " ".join(notes)
            self._end_reading()

        def failed(error: BaseException) -> None:
            self._told = str(error)
            self._end_reading()

        self._reading.submit(Job(lambda _: images_there(path), done, failed))

    def _end_reading(self) -> None:
        self.qupath_button.setEnabled(True)
        self.qupath_button.setText(_FROM_QUPATH)
        self._render()

    def _list(self, images: Sequence[NewImage]) -> None:
        for image in images:
            item = QListWidgetItem(image.name or str(image.path))
            item.setToolTip(str(image.path))
            item.setData(Qt.ItemDataRole.UserRole, image)
            self.images.addItem(item)

    def _images(self) -> list[NewImage]:
        items = (self.images.item(i) for i in range(self.images.count()))
        return [item.data(Qt.ItemDataRole.UserRole) for item in items if item is not None]

    def _fill_models(self) -> None:
        from napari_histo.models import is_available, list_models, list_region_models

        usable = [m for m in [*list_models(), *list_region_models()] if is_available(m.name)]
        show_choices(self.model, [(m.name, m.name) for m in usable])

    def _propose_side(self) -> None:
        """Of the regions, as is usual for the model."""
        self.region_px.setValue(usual_region_px(self.model.currentData()))

    def _browse(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Folder of the project")
        if chosen:
            self.folder.setText(chosen)

    def _ask_for_table(self) -> None:
        """Without a table, each slide is a patient's again."""
        self.table = None
        if self.patients.currentData() == _TABLE:
            chosen, _ = QFileDialog.getOpenFileName(self, "Table of patients", "", "CSV (*.csv)")
            self.table = Path(chosen) if chosen else None
            if self.table is None:
                self.patients.setCurrentIndex(0)
        self._render()

    def _add(self) -> None:
        chosen, _ = QFileDialog.getOpenFileNames(self, "Add slides")
        self.add_slides([Path(path) for path in chosen])

    def _ask_for_qupath(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(
            self, "A QuPath project", "", "QuPath project (*.qpproj)"
        )
        if chosen:
            self.add_qupath(Path(chosen))

    def _remove(self) -> None:
        for item in self.images.selectedItems():
            self.images.takeItem(self.images.row(item))
        self._render()

    def _unfit(self) -> str:
        """Why no project can be made in the folder that was typed, so far."""
        try:
            check_new(Path(self.folder.text().strip()).expanduser())
        except (LearningError, OSError, RuntimeError) as error:
            return str(error)
        return ""

    def _render(self) -> None:
        n, is_named = self.images.count(), bool(self.folder.text().strip())
        unfit = self._unfit() if is_named else ""
        ok = self.buttons.button(QDialogButtonBox.StandardButton.Ok)
        if ok is not None:
            ok.setEnabled(n > 0 and is_named and not unfit)
        few = f" {n} slides are few: too little to judge a model by." if 0 < n < _FEW else ""
        says = "" if self.table is None else f" {self.table.name} says which slides are whose."
        there = "" if self.qupath is None else " Rounds go into the QuPath project too."
        usual = _HINT + says + few + there
        self.hint.setText(" ".join(part for part in (self._told, unfit or usual) if part))
