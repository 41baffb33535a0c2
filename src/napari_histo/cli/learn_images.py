"""Images and labels for a new learning project, from the words of the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

import typer

from napari_histo.cli._targets import expand, file_of
from napari_histo.cli.learn_qupath import qupath_images
from napari_histo.core import PixelSize, SlideInfo
from napari_histo.core.bridge import ImageEntry
from napari_histo.core.learning import LabelledRegion
from napari_histo.core.round_examples import collect_regions
from napari_histo.core.round_regions import regions_in
from napari_histo.core.rounds import CollectedRegion, QueriedRegion, QueryStatus
from napari_histo.errors import LearningError
from napari_histo.learning.project.facts import image_id
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.project.groups import grouped
from napari_histo.learning.project.making import NewImage
from napari_histo.learning.project.qupath import is_qupath
from napari_histo.learning.rounds.work import Gathered, gather_work
from napari_histo.learning.tissue.collecting import labelled_areas

__all__ = ["collected_in", "labels_of", "new_images"]


def new_images(
    given: Sequence[Path],
    groups: Path | None,
    pixel_um: float | None = None,
    project: LearningProject | None = None,
) -> list[NewImage]:
    """Images of files, folders, lists and QuPath projects, with what a CSV says of them.

    Of a QuPath project those are left out that `project` has already.

    Raises
    ------
    ImageError, BridgeError, LearningError
    """
    found: list[NewImage] = []
    for path in given:
        if is_qupath(path):
            found += qupath_images(path, project)
        else:
            found += [NewImage(file) for file in expand(path)]
    if pixel_um is not None:
        found = [replace(image, pixel_size=PixelSize.square(pixel_um)) for image in found]
    return found if groups is None else grouped(found, groups)


# -- labels --------------------------------------------------------------------------------------


def labels_of(
    folder: Path, images: Sequence[NewImage], *, of_areas: bool = False
) -> list[tuple[str, Path, LabelledRegion]]:
    """Labelled regions of the images that a folder has a file for.

    Where a file holds regions (class ``Region: done``, or ``Training`` and ``Validation`` as in
    QuPath), they are taken; else the whole image is one region, in which everything is outlined.
    With `of_areas` painted areas of tissue are labels, and what they leave out is unknown.

    Raises
    ------
    ObjectsFileError, LearningError
    """
    if not folder.is_dir():
        raise typer.BadParameter(f"{folder} is no folder.", param_hint="--labels")
    found = []
    for image in images:
        path = file_of(image.path, folder) or _png_of(image.path, folder)
        if path is not None:
            found += [(key, image.path, region) for key, region in _labelled(image, path, of_areas)]
    if not found:
        raise LearningError(
            f"{folder} holds no labels of the images. Files are to be named like the images: "
            f"{images[0].path.stem}.geojson, .parquet, .tif or .png."
        )
    return found


def collected_in(folder: Path, project: LearningProject) -> Gathered:
    """What was annotated elsewhere, by image.

    Parameters
    ----------
    folder : Path
        What ``qupath-bridge collect`` wrote, or another person's ``work/0001``.
    project : LearningProject

    Raises
    ------
    LearningError
        It holds regions of an image that the project does not know.
    BridgeError, ObjectsFileError
    """
    from qupath_bridge.rounds_files import LISTING, read_collected

    if not (folder / LISTING).exists():
        there = gather_work(project, folder, folder.name)
        if there.regions:
            return there
    examples: dict[str, list[CollectedRegion]] = {}
    found = read_collected(folder)
    for example in found:
        name = example.query.image.name
        examples.setdefault(_known(name, project), []).append(example)
    return Gathered([example.query for example in found], examples, folder.name)


def _known(name: str, project: LearningProject) -> str:
    """Id of the image of a name, with or without its ending."""
    images = project.facts.images
    fits = [i.id for i in images if i.name == name]
    fits = fits or [i.id for i in images if image_id(name, ()) in (i.id, image_id(i.name, ()))]
    if len(fits) != 1:
        raise LearningError(
            f"The project has {len(fits) or 'no'} images named {name!r}; regions were collected on "
            f"it. Its images are {', '.join(i.name for i in images[:10])}."
        )
    return fits[0]


def _png_of(image: Path, folder: Path) -> Path | None:
    """A label image that bears an image's name."""
    path = folder / f"{image.stem}.png"
    return path if path.is_file() and path != image else None


def _labelled(image: NewImage, path: Path, of_areas: bool) -> list[tuple[str, LabelledRegion]]:
    from napari_histo.store import load_objects

    table = load_objects(path)
    entry = ImageEntry(image.path.name, image.path.name, "")
    regions = regions_in(entry, table)
    if not regions:
        key = uuid5(NAMESPACE_OID, f"{image.path.name} {path.name}")
        box = _info(image).box
        regions = [QueriedRegion.of_box(entry, box, region_id=key, status=QueryStatus.DONE)]
    examples = collect_regions(entry, table, regions)
    return [
        (
            str(e.query.region_id),
            labelled_areas(e, entry.entry_id, any_type=True)
            if of_areas
            else e.labelled(entry.entry_id),
        )
        for e in examples
    ]


def _info(image: NewImage) -> SlideInfo:
    from napari_histo.slides import open_slide

    with open_slide(image.path, z=image.z, series=image.series) as reader:
        return reader.info
