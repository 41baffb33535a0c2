"""Files that panels ask for, and what they tell: the same for all that work on objects."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QWidget

from napari_histo.session.annotate.desk import Desk

__all__ = ["SAVE_FILTER", "ask_and_import_classes", "ask_and_save", "notify", "with_suffix"]

SAVE_FILTER = (
    "GeoJSON for QuPath (*.geojson);;GeoJSON, compressed (*.geojson.gz);;Parquet (*.parquet)"
)


def ask_and_save(parent: QWidget, session: Desk) -> None:
    """Let the user choose a file for the objects, which live there from then on."""
    kept, choice = session.state.kept, session.state.image
    name = "objects" if choice is None else Path(choice.reader.info.name).stem
    proposed = kept.target or Path.cwd() / f"{name}.geojson"
    chosen, kind = QFileDialog.getSaveFileName(parent, "Save objects", str(proposed), SAVE_FILTER)
    if chosen:
        # The dialog has asked whether to replace a file that is there.
        session.save(with_suffix(Path(chosen), kind), overwrite=True)


def ask_and_import_classes(parent: QWidget, session: Desk) -> None:
    """Let the user choose QuPath's file of classes."""
    chosen, _ = QFileDialog.getOpenFileName(
        parent, "QuPath's classes", "", "QuPath's classes (classes.json *.json)"
    )
    if chosen:
        session.import_classes(Path(chosen))


def with_suffix(path: Path, kind: str) -> Path:
    """The path with the suffix of the chosen kind, where it has none that is known."""
    from napari_histo.store import format_of

    if format_of(path) is not None:
        return path
    return path.with_name(path.name + kind.rpartition("*")[2].rstrip(")"))


def notify(error: str) -> None:
    """Tell an error in napari's own way, too; nothing for an empty one."""
    if error:
        from napari.utils.notifications import show_error

        show_error(error)
