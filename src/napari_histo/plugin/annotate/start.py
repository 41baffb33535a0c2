"""What annotating an image can begin with."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_histo.core import ClassScheme, ObjectTable
from napari_histo.plugin.layers import table_of
from napari_histo.session.annotate.places import left_over_since
from napari_histo.session.annotate.target import default_target

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer

__all__ = ["Beginning", "beginnings", "source_path"]


@dataclass(frozen=True, eq=False)
class Beginning:
    """Objects to begin with.

    Attributes
    ----------
    title : str
        In the list of choices.
    facts : str
        What to know before choosing it.
    table : ObjectTable or None
        None where the file's are taken.
    target : Path or None
        File of the objects; None for the one beside the image.
    layer : hashable or None
        Key of the layer that shows the table now.
    asks : bool
        True where a file is still to be chosen.
    """

    title: str
    facts: str = ""
    table: ObjectTable | None = None
    target: Path | None = None
    layer: Hashable = None
    asks: bool = False

    def __eq__(self, other: object) -> bool:
        """The same choice, though layers or files changed meanwhile: so it stays chosen."""
        if not isinstance(other, Beginning):
            return NotImplemented
        return self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[Hashable, ...]:
        return (self.layer, self.target, self.asks, self.table is None)


def beginnings(viewer: ViewerModel, image: Image, classes: ClassScheme) -> list[Beginning]:
    """All choices for an image, the most likely first.

    `classes` are what an image without objects begins with, and what is added to the one class
    of a model that only finds: there are keys to sort its objects with.
    """
    own = _file_beside(image)
    layers = [
        _of_layer(x, own, classes) for x in reversed(viewer.layers) if table_of(x) is not None
    ]
    empty = Beginning("nothing yet", table=ObjectTable.empty(classes))
    other = Beginning("a file…", "GeoJSON or Parquet; what is saved goes there.", asks=True)
    kept = None if own is None else left_over_since(own, image.name)
    if own is not None and own.exists():
        also = "" if kept is None else f", and changes up to {kept:%H:%M} that were not"
        facts = f"The objects that were saved beside the image{also}."
        return [Beginning(own.name, facts, target=own), *layers, other]
    if kept is not None:
        facts = f"Changes up to {kept:%H:%M} that were never saved; they come back."
        return [Beginning("what was not saved", facts, target=own), *layers, empty, other]
    return [*layers, empty, other]


def source_path(layer: Layer) -> Path | None:
    """File that a layer was read from."""
    return None if layer.source.path is None else Path(layer.source.path)


def _file_beside(image: Image) -> Path | None:
    path = source_path(image)
    return None if path is None else default_target(path)


def _of_layer(layer: Layer, own: Path | None, classes: ClassScheme) -> Beginning:
    table = table_of(layer)
    assert table is not None
    count = f"{len(table):,} {'object' if len(table) == 1 else 'objects'}"
    path = source_path(layer)
    if path is not None:
        return Beginning(layer.name, f"{count} of {path.name}", None, path, layer.unique_id)
    if len(table.classes) == 1:
        table = replace(table, classes=table.classes.union(classes))
    warning = f" Saving will replace {own.name}." if own is not None and own.exists() else ""
    return Beginning(layer.name, f"{count} to start from.{warning}", table, None, layer.unique_id)
