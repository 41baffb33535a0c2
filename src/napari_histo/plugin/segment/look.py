"""Rows of the Segment panel: which channels and planes a model sees, and in which colours."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSignalBlocker, Signal  # type: ignore[attr-defined] # qtpy's own name
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QCheckBox, QComboBox, QVBoxLayout, QWidget

from napari_histo.core import ModelInfo
from napari_histo.pipeline.colour_choice import ColourChoice, Normalization
from napari_histo.plugin.image_stacks import Channels, ImageStack
from napari_histo.plugin.parts import LabelledRow, combo, row, show_choices

__all__ = ["ChannelRows", "ColourRows"]

_SWATCH_PX = 12
_STAINS = (
    ("automatic", "default"),
    ("none, colours averaged", ""),
    ("Hematoxylin in H&E", "he"),
    ("Hematoxylin in H&E, vectors of this slide", "auto"),
    ("Hematoxylin in H-DAB", "hdab"),
    ("Hematoxylin in H-DAB, vectors of this slide", "auto-hdab"),
)
_NORMALIZATIONS = (("as they are", "none"), ("Reinhard", "reinhard"), ("Macenko", "macenko"))


class ChannelRows(QWidget):
    """Channels with the names and colours that the viewer shows them in, and focal planes.

    Rows without a choice are hidden.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.channel_box = combo("Channel that the model looks at.")
        self.nuclear_box = combo("Channel with the nuclei of these cells, if there is one.")
        self.plane_box = combo(
            "Which of the planes in front of one another: the one that is shown, or the brightest "
            "of all, pixel by pixel."
        )
        self.plane_box.addItem("as shown", userData=False)
        self.plane_box.addItem("brightest of all planes", userData=True)
        self._rows = [
            LabelledRow("Channel", self.channel_box),
            LabelledRow("Nuclei in", self.nuclear_box),
            LabelledRow("Planes", self.plane_box),
        ]
        _stack(self, self._rows)
        for box in (self.channel_box, self.nuclear_box, self.plane_box):
            box.currentIndexChanged.connect(lambda _: self.changed.emit())

    def show_stack(self, stack: ImageStack | None, channels: Channels, *, is_cells: bool) -> None:
        """What there is to choose, and what is chosen; reports nothing as the user's change."""
        many = stack is not None and len(stack.layers) > 1
        if many and stack is not None:
            _fill(self.channel_box, stack, channels.first)
            _fill(self.nuclear_box, stack, channels.nuclei, none="none")
        self._rows[0].label.setText("Cells in" if is_cells else "Channel")
        self._rows[0].setVisible(many)
        self._rows[1].setVisible(many and is_cells)
        self._rows[2].setVisible(stack is not None and stack.n_planes > 1)
        _hide_if_empty(self, self._rows)

    @property
    def channels(self) -> Channels:
        """As the boxes stand."""
        first = self.channel_box.currentData() or 0
        nuclei = None if self._rows[1].isHidden() else self.nuclear_box.currentData()
        return Channels(first, None if nuclei == first else nuclei)

    @property
    def all_planes(self) -> bool:
        """True for the brightest of all planes."""
        return not self._rows[2].isHidden() and bool(self.plane_box.currentData())


class ColourRows(QWidget):
    """Stain and normalisation of brightfield images, with a preview."""

    changed = Signal()
    previewed = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.stain_box = combo(
            "One stain for models that need no colours: it is bright where dense. Automatic is the "
            "hematoxylin of brightfield images for models of one grey channel, else none."
        )
        self.colour_box = combo(
            "The whole slide in the colours of the H&E models' training images, before the model "
            "looks. Helps with some stains and harms with others: look at the preview."
        )
        self.is_busy = self._is_gray = False
        self.preview_box = QCheckBox("Preview")
        self.preview_box.setToolTip("A layer that shows what the model sees; its eye compares.")
        self.invert_box = QCheckBox("dark on a light ground")
        self.invert_box.setToolTip(
            "Show the model the image with dark and light exchanged, for grey images whose nuclei "
            "are darker than what is around them: models of one channel know bright nuclei."
        )
        show_choices(self.stain_box, _STAINS)
        for text, data in _NORMALIZATIONS:
            self.colour_box.addItem(text, data)
        self._rows = [
            LabelledRow("Stain", self.stain_box),
            LabelledRow("Colours", row(self.colour_box, self.preview_box)),
            LabelledRow("Nuclei", self.invert_box),
        ]
        _stack(self, self._rows)
        for box in (self.stain_box, self.colour_box):
            box.currentIndexChanged.connect(lambda _: self.changed.emit())
        self.invert_box.toggled.connect(lambda _: self.changed.emit())
        self.preview_box.toggled.connect(self.previewed.emit)

    def show_for(
        self, model: ModelInfo | None, *, is_colour: bool | None, vectors: str = ""
    ) -> None:
        """Rows that an image and a model leave a choice for.

        Parameters
        ----------
        model : ModelInfo or None
        is_colour : bool or None
            Whether the image is brightfield in colours; None without one.
        vectors : str
            Stain vectors of the image's QuPath project, as `StainVectors.parse` reads them.
        """
        own = [("Hematoxylin, vectors of the QuPath project", vectors)] if vectors else []
        show_choices(self.stain_box, [*_STAINS, *own])
        self._is_gray = model is not None and model.channels == "gray"
        one = model is not None and model.channels != "rgb"
        self._rows[0].setVisible(bool(is_colour) and one)
        self._rows[1].setVisible(bool(is_colour))
        self._rows[2].setVisible(is_colour is False and one)
        _hide_if_empty(self, self._rows)

    def show_busy(self, is_busy: bool) -> None:
        """Tell that a preview is on its way."""
        self.is_busy = is_busy
        self.preview_box.setText("Preview…" if is_busy else "Preview")

    @property
    def wants_preview(self) -> bool:
        """Whether a preview is wanted, and there is a row to ask for it in."""
        return self.preview_box.isChecked() and not self._rows[1].isHidden()

    @property
    def choice(self) -> ColourChoice:
        """As the boxes stand; rows that are hidden want nothing."""
        stain = "" if self._rows[0].isHidden() else str(self.stain_box.currentData() or "")
        if stain == "default" and not self._is_gray:
            stain = ""
        normal: Normalization = "none"
        if not self._rows[1].isHidden():
            normal = self.colour_box.currentData()
        invert = not self._rows[2].isHidden() and self.invert_box.isChecked()
        return ColourChoice(normal, stain, invert=invert)


def _fill(box: QComboBox, stack: ImageStack, chosen: int | None, *, none: str = "") -> None:
    items: list[tuple[str, int | None]] = [(none, None)] if none else []
    items += [(name, i) for i, name in enumerate(stack.channels)]
    with QSignalBlocker(box):
        box.clear()
        for text, number in items:
            if number is None:
                box.addItem(text, number)
            else:
                box.addItem(_swatch(stack.colours[number]), text, number)
        box.setCurrentIndex([number for _, number in items].index(chosen))


def _swatch(rgb: tuple[int, int, int]) -> QIcon:
    pixels = QPixmap(_SWATCH_PX, _SWATCH_PX)
    pixels.fill(QColor(*rgb))
    return QIcon(pixels)


def _stack(widget: QWidget, rows: Sequence[QWidget]) -> None:
    layout = QVBoxLayout(widget)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(6)
    for one in rows:
        layout.addWidget(one)
        one.hide()


def _hide_if_empty(widget: QWidget, rows: Sequence[QWidget]) -> None:
    """Without rows there must be no gap either."""
    widget.setVisible(not all(one.isHidden() for one in rows))
