"""Making a learning project: images, splits, start model, what was labelled before."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from napari_histo.core import ClassScheme, PixelSize, SlideInfo
from napari_histo.core.learning import LabelledRegion
from napari_histo.core.rounds import Split
from napari_histo.errors import LearningError
from napari_histo.learning.project import LearningProject
from napari_histo.learning.project_facts import (
    ProjectFacts,
    ProjectImage,
    Settings,
    StartModel,
    image_id,
)
from napari_histo.learning.project_places import look_in, relative_path
from napari_histo.learning.round_files import FORMAT_VERSION, sha256_of_folder, write_json
from napari_histo.learning.round_labels import KeptRegion, write_labels
from napari_histo.learning.splits import split_groups
from napari_histo.store.write import atomic_path, make_folder

__all__ = ["NewImage", "NewProject", "create_project"]


@dataclass(frozen=True)
class NewImage:
    """An image that is to be in a project.

    Attributes
    ----------
    path : Path
    name : str
        As shown; by default the file's.
    id : str
        Fit for file names; by default made from the name.
    group : str
        Patient or slide; by default the image alone.
    split : {"train", "validation"} or None
        None where it is to be drawn.
    stratum : str
    pixel_size : PixelSize or None
        Where the file carries none.
    z, series : int
    """

    path: Path
    name: str = ""
    id: str = ""
    group: str = ""
    split: Split | None = None
    stratum: str = ""
    pixel_size: PixelSize | None = None
    z: int = 0
    series: int = 0


@dataclass(frozen=True)
class NewProject:
    """What a project is made of.

    Attributes
    ----------
    images : sequence of NewImage
    model : str
        Name or folder of the start model.
    name : str
        By default that of the folder.
    classes : ClassScheme or None
        By default the model's.
    share : float
        Of the groups, that validate.
    seed : int
    settings : Settings
    """

    images: Sequence[NewImage]
    model: str = "he-nuclei"
    name: str = ""
    classes: ClassScheme | None = None
    share: float = 0.25
    seed: int = 0
    settings: Settings = field(default_factory=Settings)


#: Regions labelled before, by the path of their image; the field ``image`` is filled in here.
Labelled = Sequence[tuple[str, Path, LabelledRegion]]


def create_project(
    path: Path | str,
    wanted: NewProject,
    labelled: Labelled = (),
    *,
    info_of: Callable[[NewImage], SlideInfo] | None = None,
) -> LearningProject:
    """Make a project, whole or not at all.

    Parameters
    ----------
    path : path
        A new or empty folder.
    wanted : NewProject
    labelled : sequence of (str, Path, LabelledRegion)
        A UUID, the image's file, and the region; those of validation images judge.
    info_of : callable, optional
        Facts about an image; by default those of its file.

    Raises
    ------
    LearningError
        The folder holds something, there is no image to learn from, or a group is in both splits.
    ImageError, ModelError, WriteError
    """
    folder = Path(path)
    _check_empty(folder)
    images = _images(folder, wanted, info_of or _info_of)
    source, start, classes = _start(wanted.model)
    facts = ProjectFacts(
        wanted.name or folder.absolute().name,
        wanted.classes or classes,
        tuple(sorted(images, key=lambda image: image.id)),
        start,
        wanted.seed,
        wanted.settings,
    )
    by_file = {_real(n.path): i for n, i in zip(wanted.images, images, strict=True)}
    kept = [_kept(key, by_file, file, region) for key, file, region in labelled]
    make_folder(folder.parent)
    with atomic_path(folder, folder=True) as work:
        if source is not None:
            shutil.copytree(source, work / "start" / "model")
        if kept:
            make_folder(work / "start")
            write_labels(work / "start" / "labels", kept, {"round": 0, "after": None})
        far = {i.path.parent for i in wanted.images if relative_path(i.path, folder) is None}
        if far:
            look_in(work, sorted(far))
        write_json(work / "project.json", {**facts.as_dict(), "format_version": FORMAT_VERSION})
    project = LearningProject(folder)
    project.log(f"made with {len(images)} images, start model {start.name}")
    return project


def _check_empty(folder: Path) -> None:
    if (folder / "project.json").exists():
        raise LearningError(
            f"{folder} is a learning project already. Go on with it, or choose another folder."
        )
    if folder.is_dir() and any(folder.iterdir()):
        raise LearningError(f"{folder} is not empty. Choose a new folder for the project.")


def _images(
    folder: Path, wanted: NewProject, info_of: Callable[[NewImage], SlideInfo]
) -> list[ProjectImage]:
    """The images in the order in which they were given."""
    if not wanted.images:
        raise LearningError("A project needs images. Give files, folders or a list of them.")
    found: list[ProjectImage] = []
    seen: set[tuple[str, int, int]] = set()
    for new in wanted.images:
        key = (_real(new.path), new.z, new.series)
        if key in seen:
            raise LearningError(f"{new.path} is given twice. Leave one out.")
        seen.add(key)
        found.append(_image(folder, new, info_of(new), [image.id for image in found]))
    return _with_splits(found, wanted)


def _image(folder: Path, new: NewImage, info: SlideInfo, taken: list[str]) -> ProjectImage:
    name = new.name or new.path.name
    key = new.id or image_id(name, taken)
    return ProjectImage(
        id=key,
        name=name,
        path=relative_path(new.path, folder) or new.path.name,
        width=info.width,
        height=info.height,
        pixel_size=info.pixel_size or new.pixel_size,
        group=new.group or key,
        split=new.split or "train",
        stratum=new.stratum,
        z=new.z,
        series=new.series,
    )


def _with_splits(images: list[ProjectImage], wanted: NewProject) -> list[ProjectImage]:
    pairs = list(zip(wanted.images, images, strict=True))
    # Two splits for one group are told by the check of the whole.
    told: dict[str, Split] = {i.group: n.split for n, i in pairs if n.split is not None}
    groups, strata = [i.group for i in images], [i.stratum for i in images]
    drawn = split_groups(groups, wanted.share, wanted.seed, strata=strata, known=told)
    return [
        replace(image, split=new.split or split)
        for (new, image), split in zip(pairs, drawn, strict=True)
    ]


def _real(path: Path) -> str:
    return os.path.realpath(path)


def _start(model: str) -> tuple[Path | None, StartModel, ClassScheme]:
    """Folder to copy, card for the record, classes; raises ModelError for an unknown model."""
    from napari_histo.models.registry import get_info, model_folder

    info = get_info(model)
    folder = model_folder(model)
    if not folder.is_dir():  # a model without weights
        return None, StartModel(info.name), info.classes
    return folder, StartModel(info.name, sha256_of_folder(folder)), info.classes


def _kept(
    key: str, images: dict[str, ProjectImage], file: Path, region: LabelledRegion
) -> KeptRegion:
    image = images.get(_real(file))
    if image is None:
        raise LearningError(f"Labels are given for {file}, which is no image of the project.")
    return KeptRegion(key, image.split, replace(region, image=image.id, round=0))


def _info_of(image: NewImage) -> SlideInfo:
    from napari_histo.slides import open_slide

    with open_slide(image.path, z=image.z, series=image.series) as reader:
        return reader.info
