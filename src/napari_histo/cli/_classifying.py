"""Objects, their images, and the features of both, for ``napari-histo classify``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_histo.cli._console import drive, err, say_choices
from napari_histo.cli._measuring import objects_in
from napari_histo.cli._targets import expand, file_of
from napari_histo.core import CancelToken, ObjectTable, PixelSize, SlideInfo
from napari_histo.errors import LearningError, ObjectsFileError, PixelSizeUnknownError

if TYPE_CHECKING:
    from napari_histo.core.segmenters import Describer
    from napari_histo.learning.cells.features import ObjectFeatures
    from napari_histo.learning.cells.recipe import FeatureRecipe

__all__ = ["Featured", "Maker", "pairs_of"]

#: A file of objects and its image.
Pair = tuple[Path, Path | None]


@dataclass(frozen=True, eq=False)
class Featured:
    """Objects of one image with their features."""

    name: str
    table: ObjectTable
    features: ObjectFeatures
    info: SlideInfo | None


@dataclass(frozen=True)
class Maker:
    """Makes features of one image after another.

    Attributes
    ----------
    recipe : FeatureRecipe
    model : Describer or None
        The network of the recipe.
    pixel_size : PixelSize or None
        The user's word.
    cancel : CancelToken
    names : tuple of str or None
        Features that are wanted; None for all.
    z, series : int or None
    """

    recipe: FeatureRecipe
    model: Describer | None
    pixel_size: PixelSize | None
    cancel: CancelToken
    names: tuple[str, ...] | None = None
    z: int | None = None
    series: int | None = None

    def make(self, objects: Path, image: Path | None) -> Featured:
        """Objects of a file with their features, from the image where the file lacks some.

        Raises
        ------
        HistoError
        """
        from napari_histo.learning.cells.recipe import make_features
        from napari_histo.slides import open_slide
        from napari_histo.store import load_objects

        table = load_objects(objects_in(objects))
        with ExitStack() as stack:
            reader = None
            if image is not None:
                reader = open_slide(image, z=self.z or 0, series=self.series or 0)
                stack.enter_context(reader)
                say_choices(reader.info, z=self.z, series=self.series)
            work = make_features(
                table,
                self.recipe,
                reader=reader,
                model=self.model,
                pixel_size=self.pixel_size,
                names=self.names,
                cancel=self.cancel,
            )
            try:
                made = drive(work, objects.name)
            except (LearningError, PixelSizeUnknownError) as error:
                raise type(error)(f"{objects}: {error}") from error
            info = None if reader is None else reader.info
        name = objects.name if image is None else image.name
        return Featured(name, made.table, made.features, info)


def pairs_of(objects: Sequence[Path], images: Sequence[Path]) -> list[Pair]:
    """Files of objects with their images; folders are paired by the names of their files.

    Raises
    ------
    ObjectsFileError
        They do not belong together.
    """
    if not images:
        return [(file, None) for path in objects for file in _files(path)]
    if any(_is_folder(path) for path in objects):
        return _by_name(objects, [file for image in images for file in expand(image)])
    found = [file for image in images for file in expand(image)]
    if len(found) != len(objects):
        raise ObjectsFileError(
            f"{len(objects)} files of objects do not go with {len(found)} images. Give --image "
            "once for each, in the same order; or a folder of objects and a folder of images."
        )
    return list(zip(objects, found, strict=True))


def _by_name(objects: Sequence[Path], images: Sequence[Path]) -> list[Pair]:
    found: list[Pair] = []
    alone = []
    for image in images:
        files = [file for folder in objects if (file := file_of(image, folder))]
        found += [(file, image) for file in files[:1]]
        alone += [] if files else [image.name]
    if not found:
        raise ObjectsFileError(
            f"No image has a file of objects of its name in {objects[0]}. Files belong together "
            "when their names agree up to the ending."
        )
    if alone:
        err.print(f"{len(alone)} images without objects were left out: {alone[0]} ...")
    return found


def _files(path: Path) -> list[Path]:
    from napari_histo.store import format_of

    if not _is_folder(path):
        return [path]
    names = sorted(p for p in path.iterdir() if not p.name.startswith("."))
    found = [p for p in names if format_of(p) in ("geojson", "parquet")]
    if not found:
        raise ObjectsFileError(f"The folder {path} holds no objects (.geojson, .parquet).")
    return found


def _is_folder(path: Path) -> bool:
    """A folder of files, no run folder."""
    return path.is_dir() and objects_in(path) == path
