"""Classes as coloured chips, with their keys and how many objects each has."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import QPoint, Qt, Signal  # type: ignore[attr-defined] # qtpy's own name
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QColorDialog, QInputDialog, QMenu, QPushButton, QSizePolicy, QWidget
from superqt import QFlowLayout

from napari_histo.core import ClassDef, ClassScheme
from napari_histo.plugin.annotate.keys import MAX_CLASS_KEYS

__all__ = ["ClassChips", "free_colour"]

RGB = tuple[int, int, int]
#: For classes whose own colour is taken: told apart from each other and from pink and purple.
_MORE_COLOURS: tuple[RGB, ...] = (
    (86, 180, 233),
    (0, 158, 115),
    (230, 159, 0),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (0, 225, 225),
    (120, 220, 0),
    (255, 255, 255),
    (140, 90, 30),
)


class ClassChips(QWidget):
    """One button a class, and one to add more.

    Signals
    -------
    chosen : str
        The class for new objects, and for those that are selected.
    added : str
    renamed : str, str
        The old and the new name.
    recoloured : str, (int, int, int)
    import_wanted
    """

    chosen = Signal(str)
    added = Signal(str)
    renamed = Signal(str, str)
    recoloured = Signal(str, tuple)
    import_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scheme = ClassScheme()
        self._ring = "#ffffff"
        self.chips: dict[str, QPushButton] = {}
        self._flow = QFlowLayout(self)
        self._flow.setContentsMargins(0, 0, 0, 0)
        self._flow.setHorizontalSpacing(5)
        self._flow.setVerticalSpacing(5)
        self.more_button = QPushButton("+ Class")
        self.more_button.setObjectName("more")
        self.more_button.setToolTip("Add a class, or take QuPath's.")
        self.more_button.setMenu(self._more_menu())
        self._flow.addWidget(self.more_button)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)

    # -- showing ---------------------------------------------------------------------------------

    def show_classes(
        self, scheme: ClassScheme, counts: Mapping[str | None, int], active: str | None
    ) -> None:
        """The chips of `scheme`, with `counts` by name; `active` is what new objects get."""
        if scheme != self._scheme:
            self._build(scheme)
        for i, (name, chip) in enumerate(self.chips.items()):
            key = f"{i + 1}  " if i < MAX_CLASS_KEYS else ""
            chip.setText(f"{key}{_short(name)}  {counts.get(name, 0):,}".replace("&", "&&"))
            chip.setChecked(name == active)

    def set_colours(self, text: str) -> None:
        """The ring around the class in use has the colour of the theme's letters."""
        self._ring = text
        for item in self._scheme:
            self.chips[item.name].setStyleSheet(_chip_style(item.rgb, text))

    def _build(self, scheme: ClassScheme) -> None:
        self._scheme = scheme
        for chip in self.chips.values():
            self._flow.removeWidget(chip)
            chip.deleteLater()
        self._flow.removeWidget(self.more_button)
        self.chips = {}
        for i, item in enumerate(scheme):
            self.chips[item.name] = self._chip(i, item)
            self._flow.addWidget(self.chips[item.name])
        self._flow.addWidget(self.more_button)

    def _chip(self, position: int, item: ClassDef) -> QPushButton:
        chip = QPushButton()
        chip.setCheckable(True)
        chip.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        chip.setStyleSheet(_chip_style(item.rgb, self._ring))
        key = f" (key {position + 1})" if position < MAX_CLASS_KEYS else ""
        chip.setToolTip(
            f"{item.name}{key}: the class of new objects, and of those that are selected.\n"
            "Right-click to rename it or change its colour."
        )
        chip.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        chip.customContextMenuRequested.connect(lambda at: self._ask(item, chip.mapToGlobal(at)))
        chip.clicked.connect(lambda: self._choose(item.name))
        return chip

    def _choose(self, name: str) -> None:
        self.chips[name].setChecked(True)  # until the state says otherwise
        self.chosen.emit(name)

    # -- asking ----------------------------------------------------------------------------------

    def _more_menu(self) -> QMenu:
        menu = QMenu(self)
        menu.addAction("New class…", self.ask_name)
        menu.addAction("Import QuPath's classes…", self.import_wanted.emit)
        return menu

    def _ask(self, item: ClassDef, at: QPoint) -> None:
        menu = QMenu(self)
        menu.addAction("Rename…", lambda: self.ask_new_name(item))
        menu.addAction("Colour…", lambda: self.ask_colour(item))
        menu.exec(at)

    def ask_name(self) -> None:
        """Let the user type the name of a new class."""
        name, ok = QInputDialog.getText(self, "New class", "Name of the class:")
        if ok and name.strip():
            self.added.emit(name.strip())

    def ask_new_name(self, item: ClassDef) -> None:
        """Let the user type another name for a class."""
        name, ok = QInputDialog.getText(
            self, "Rename class", f"Another name for '{item.name}':", text=item.name
        )
        if ok and name.strip() and name.strip() != item.name:
            self.renamed.emit(item.name, name.strip())

    def ask_colour(self, item: ClassDef) -> None:
        """Let the user choose another colour for a class."""
        chosen = QColorDialog.getColor(QColor(*item.rgb), self, f"Colour of '{item.name}'")
        if chosen.isValid():
            self.recoloured.emit(item.name, (chosen.red(), chosen.green(), chosen.blue()))


def _chip_style(rgb: RGB, ring: str) -> str:
    """Letters that can be read on any colour; a ring around the class that is in use."""
    light = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2] > 140
    letters = "#101010" if light else "#ffffff"
    colour = QColor(*rgb).name()
    return f"""
        QPushButton {{
            background-color: {colour}; color: {letters}; border-radius: 11px;
            border: 2px solid {colour}; padding: 1px 8px; min-height: 18px;
        }}
        QPushButton:hover {{ border-color: {ring}; }}
        QPushButton:checked {{ border-color: {ring}; }}
    """


def _short(name: str) -> str:
    return name if len(name) <= 24 else f"{name[:23]}…"


def free_colour(name: str, scheme: ClassScheme) -> RGB:
    """Colour for a new class that no other of `scheme` has, for as long as there are enough."""
    taken, own = {item.rgb for item in scheme}, ClassDef.named(name).rgb
    return next((rgb for rgb in (own, *_MORE_COLOURS) if rgb not in taken), own)
