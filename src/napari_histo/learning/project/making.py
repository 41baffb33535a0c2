"""Making a learning project, and adding images to one: splits, start model, first labels."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from napari_histo.core import ClassScheme, PixelSize, SlideInfo
from napari_histo.core.learning import LabelledRegion
from napari_histo.core.rounds import Split
from napari_histo.errors import LearningError
from napari_histo.learning.project.facts import (
    ProjectFacts,
    ProjectImage,
    Settings,
    image_id,
)
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.project.places import look_in, relative_path
from napari_histo.learning.project.splits import split_groups
from napari_histo.learning.project.starting import check_pixel_sizes, start_of
from napari_histo.learning.rounds.files import FORMAT_VERSION, write_json
from napari_histo.learning.rounds.labels import KeptRegion, write_labels
from napari_histo.store.write import atomic_path, make_folder

__all__ = ["NewImage", "NewProject", "add_images", "check_new", "create_project"]


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
        Name or folder of the start model: one that finds objects, answers clicks, or tells tissues
        apart.
    finder : str
        Beside a model that answers clicks: name or folder of one that finds objects and says where
        to look.
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
    finder: str = "he-nuclei"
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
        The folder holds something, there is no image to learn from, a group is in both splits, or
        the model needs a pixel size that an image does not carry.
    ImageError, ModelError, WriteError
    """
    folder = Path(path)
    check_new(folder)
    images = _with_splits(
        _images(folder, wanted.images, info_of or _info_of),
        [image.split for image in wanted.images],
        wanted.share,
        wanted.seed,
    )
    with TemporaryDirectory() as aside:
        return _make(folder, wanted, images, labelled, Path(aside))


def _make(
    folder: Path,
    wanted: NewProject,
    images: list[ProjectImage],
    labelled: Labelled,
    aside: Path,
) -> LearningProject:
    source, start, classes = start_of(wanted.model, aside)
    check_pixel_sizes(wanted.model, images)
    found, finder = None, None
    if start.answers_clicks:
        found, finder, classes = start_of(wanted.finder, aside)
        if finder.family:
            raise LearningError(
                f"The model {finder.name!r} finds no objects by itself, so it cannot say where to "
                "look. Choose one that does, for example 'he-nuclei'."
            )
    facts = ProjectFacts(
        wanted.name or folder.absolute().name,
        wanted.classes or classes,
        tuple(sorted(images, key=lambda image: image.id)),
        start,
        wanted.seed,
        wanted.settings,
        finder,
    )
    by_file = {_real(n.path): i for n, i in zip(wanted.images, images, strict=True)}
    kept = [_kept(key, by_file, file, region) for key, file, region in labelled]
    make_folder(folder.parent)
    with atomic_path(folder, folder=True) as work:
        if source is not None:
            shutil.copytree(source, work / "start" / "model")
        if found is not None:
            shutil.copytree(found, work / "start" / "finder")
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


def add_images(
    project: LearningProject,
    images: Sequence[NewImage],
    *,
    info_of: Callable[[NewImage], SlideInfo] | None = None,
) -> LearningProject:
    """Add images to a project; gives it back as it is then.

    A group that is known keeps its split; new ones are drawn so that about the same share
    validates. What is in the project already stays as it is.

    Raises
    ------
    LearningError
        An image is in the project already, or a group would be in both splits.
    ImageError, WriteError
    """
    with project.editing():
        facts, there = project.facts, list(project.facts.images)
        known = {(i.path, i.z, i.series) for i in there}
        fresh = _images(project.path, images, info_of or _info_of, [i.id for i in there])
        double = [i.name for i in fresh if (i.path, i.z, i.series) in known]
        if double:
            raise LearningError(f"{', '.join(double[:5])}: in the project already. Leave it out.")
        groups = {i.group: i.split for i in there}
        share = sum(s == "validation" for s in groups.values()) / len(groups)
        told = [
            *(i.split for i in there),
            *(i.split or groups.get(j.group) for i, j in zip(images, fresh, strict=True)),
        ]
        joined = _with_splits([*there, *fresh], told, share, facts.seed)
        joined.sort(key=lambda image: image.id)
        check_pixel_sizes(project.model(0), fresh)
        words = replace(facts, images=tuple(joined)).as_dict()
        write_json(project.path / "project.json", {**words, "format_version": FORMAT_VERSION})
        project.log(f"added {len(fresh)} images")
    return LearningProject(project.path)


def check_new(folder: Path) -> None:
    """Raise LearningError where a folder holds something, so that no project is made in it."""
    if (folder / "project.json").exists():
        raise LearningError(
            f"{folder} is a learning project already. Go on with it, or choose another folder."
        )
    if folder.is_dir() and any(folder.iterdir()):
        raise LearningError(f"{folder} is not empty. Choose a new folder for the project.")


def _images(
    folder: Path,
    wanted: Sequence[NewImage],
    info_of: Callable[[NewImage], SlideInfo],
    taken: Sequence[str] = (),
) -> list[ProjectImage]:
    """The images in the order in which they were given; their splits are to be drawn."""
    if not wanted:
        raise LearningError("A project needs images. Give files, folders or a list of them.")
    found: list[ProjectImage] = []
    seen: set[tuple[str, int, int]] = set()
    for new in wanted:
        key = (_real(new.path), new.z, new.series)
        if key in seen:
            raise LearningError(f"{new.path} is given twice. Leave one out.")
        seen.add(key)
        found.append(_image(folder, new, info_of(new), [*taken, *(image.id for image in found)]))
    return found


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


def _with_splits(
    images: Sequence[ProjectImage], told: Sequence[Split | None], share: float, seed: int
) -> list[ProjectImage]:
    """Images with the splits that were told, and others drawn."""
    # Two splits for one group are told by the check of the whole.
    known = {i.group: s for i, s in zip(images, told, strict=True) if s is not None}
    groups, strata = [i.group for i in images], [i.stratum for i in images]
    drawn = split_groups(groups, share, seed, strata=strata, known=known)
    return [
        replace(image, split=first or second)
        for image, first, second in zip(images, told, drawn, strict=True)
    ]


def _real(path: Path) -> str:
    return os.path.realpath(path)


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
