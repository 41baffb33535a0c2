"""What ``project.json`` says: the images, their splits, the classes, and where learning started."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from napari_histo.core import ClassDef, ClassScheme, PixelSize
from napari_histo.core.rounds import Split
from napari_histo.errors import LearningError
from napari_histo.learning.click.params import CLICK_FAMILY
from napari_histo.learning.project.splits import check_split
from napari_histo.learning.rounds.promotion import AREA_MEASURE, Gate, things_of
from napari_histo.learning.tissue.params import REGION_FAMILY

__all__ = ["ProjectFacts", "ProjectImage", "Settings", "StartModel", "image_id"]


@dataclass(frozen=True, slots=True)
class ProjectImage:
    """An image of a learning project.

    Attributes
    ----------
    id : str
        Short, unique, fit for file names.
    name : str
        As shown to people.
    path : str
        From the project's folder, with ``/``; only the name where there is no such way, for
        example on another drive.
    width, height : int
        At full resolution, px.
    pixel_size : PixelSize or None
    group : str
        Patient or slide: what must not be in both splits.
    split : {"train", "validation"}
    stratum : str
        Stain, hospital or the like, of which each split gets its share.
    z, series : int
        Focal plane, and which image of the file.
    """

    id: str
    name: str
    path: str
    width: int
    height: int
    pixel_size: PixelSize | None
    group: str
    split: Split
    stratum: str = ""
    z: int = 0
    series: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        size = self.pixel_size
        return {
            "name": self.name,
            "path": self.path,
            "width": self.width,
            "height": self.height,
            "pixel_size_um": None if size is None else [size.x_um, size.y_um],
            "group": self.group,
            "split": self.split,
            "stratum": self.stratum,
            "z": self.z,
            "series": self.series,
        }

    @classmethod
    def from_dict(cls, key: str, words: Mapping[str, Any]) -> ProjectImage:
        """Back from `as_dict`; raises KeyError, TypeError or ValueError for what does not fit."""
        size = words["pixel_size_um"]
        if words["split"] not in ("train", "validation"):
            raise ValueError(f"the split of {key} is {words['split']!r}")
        if not re.fullmatch(_ID, key) or PurePosixPath(words["path"]).is_absolute():
            raise ValueError(f"the id {key!r} or the path {words['path']!r} is not allowed")
        return cls(
            key,
            str(words["name"]),
            str(words["path"]),
            int(words["width"]),
            int(words["height"]),
            None if size is None else PixelSize(*size),
            str(words["group"]),
            words["split"],
            str(words.get("stratum", "")),
            int(words.get("z", 0)),
            int(words.get("series", 0)),
        )


@dataclass(frozen=True, slots=True)
class StartModel:
    """The model that round 1 begins with.

    Attributes
    ----------
    name : str
    sha256 : str
        Of its folder, which is copied into the project; empty for a model without weights, such as
        ``classical``.
    family : str
        What the project trains: empty for a model that finds objects, ``nuclick`` for one that
        answers clicks, ``regions`` for one that tells tissues apart.
    """

    name: str
    sha256: str = ""
    family: str = ""

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        words = {"name": self.name, "sha256": self.sha256}
        return words | ({"family": self.family} if self.family else {})

    @property
    def measure(self) -> str:
        """What figures of quality stand for, in a few words."""
        return {CLICK_FAMILY: "IoU of clicks", REGION_FAMILY: AREA_MEASURE}.get(self.family, "PQ")

    @property
    def answers_clicks(self) -> bool:
        """Whether another model says where objects are."""
        return self.family == CLICK_FAMILY

    @property
    def of_areas(self) -> bool:
        """Whether areas of tissue are painted, and no objects outlined."""
        return self.family == REGION_FAMILY

    @property
    def things(self) -> str:
        """What is annotated, in a word."""
        return things_of(self.measure)

    @classmethod
    def from_dict(cls, words: Mapping[str, Any]) -> StartModel:
        """Back from `as_dict`; raises KeyError or TypeError for what does not fit."""
        return cls(words["name"], words["sha256"], str(words.get("family", "")))


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for all rounds.

    Attributes
    ----------
    region_px : int
        Side of a region to annotate, px of the model.
    regions : int
        To annotate in a round, by default.
    validation_regions : int
        Regions of validation images that the first rounds ask for too, until there are so many.
    gate : Gate
        How a new model is judged.
    """

    region_px: int = 256
    regions: int = 8
    validation_regions: int = 12
    gate: Gate = field(default_factory=Gate)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "region_px": self.region_px,
            "regions": self.regions,
            "validation_regions": self.validation_regions,
            "margin_pq": self.gate.margin_pq,
            "draws": self.gate.draws,
            "confidence": self.gate.confidence,
        }

    @classmethod
    def from_dict(cls, words: Mapping[str, Any]) -> Settings:
        """Back from `as_dict`; what is not said takes its default."""
        own = {
            k: int(words[k]) for k in ("region_px", "regions", "validation_regions") if k in words
        }
        gate = {k: words[k] for k in ("margin_pq", "draws", "confidence") if k in words}
        return cls(**own, gate=Gate(**gate))


@dataclass(frozen=True)
class ProjectFacts:
    """All that ``project.json`` says.

    Attributes
    ----------
    name : str
    classes : ClassScheme
        Of the objects.
    images : tuple of ProjectImage
        By id.
    start : StartModel
    seed : int
        From which those of the rounds follow.
    settings : Settings
    finder : StartModel or None
        Finds objects, and where to look, for a model that only answers clicks.
    """

    name: str
    classes: ClassScheme
    images: tuple[ProjectImage, ...]
    start: StartModel
    seed: int = 0
    settings: Settings = field(default_factory=Settings)
    finder: StartModel | None = None

    def __post_init__(self) -> None:
        ids = [image.id for image in self.images]
        if len(set(ids)) != len(ids):
            raise LearningError(f"Ids of images are not unique: {sorted(ids)}. Rename the doubles.")
        check_split([(image.id, image.group, image.split) for image in self.images])
        if not any(image.split == "train" for image in self.images):
            raise LearningError(
                f"The project {self.name!r} has no image to learn from. Add images, or let fewer "
                "of them validate."
            )

    def image(self, key: str) -> ProjectImage:
        """By id; raises LearningError where there is none."""
        for image in self.images:
            if image.id == key:
                return image
        ids = [image.id for image in self.images]
        raise LearningError(f"The project {self.name!r} has no image {key!r}; it has {ids[:20]}.")

    def of_split(self, split: Split) -> list[ProjectImage]:
        """Images of one split."""
        return [image for image in self.images if image.split == split]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        finder = {} if self.finder is None else {"finder": self.finder.as_dict()}
        return {
            "name": self.name,
            "classes": [{"name": c.name, "color": list(c.rgb)} for c in self.classes],
            "images": {image.id: image.as_dict() for image in self.images},
            "start_model": self.start.as_dict(),
            "seed": self.seed,
            "settings": self.settings.as_dict(),
            **finder,
        }

    @classmethod
    def from_dict(cls, words: Mapping[str, Any], where: Path) -> ProjectFacts:
        """Back from `as_dict`.

        Raises
        ------
        LearningError
            Something is missing or does not fit; the message names the file.
        """
        try:
            images = [ProjectImage.from_dict(k, v) for k, v in sorted(words["images"].items())]
            classes = [ClassDef(c["name"], tuple(c["color"])) for c in words["classes"]]
            return cls(
                str(words["name"]),
                ClassScheme(tuple(classes)),
                tuple(images),
                StartModel.from_dict(words["start_model"]),
                int(words["seed"]),
                Settings.from_dict(words.get("settings", {})),
                StartModel.from_dict(words["finder"]) if "finder" in words else None,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise LearningError(
                f"{where} is no whole learning project: {what}. Bring the file back from a copy."
            ) from error


#: What no file system takes in a name.
_FORBIDDEN = r'[<>:"/\\|?*\x00-\x1f]'
_ID = r'(?![. ])[^<>:"/\\|?*\x00-\x1f]{1,120}(?<![. ])'


def image_id(name: str, taken: Sequence[str]) -> str:
    """A file's name without its ending as id, made unlike those that are taken (case aside).

    Files of an image are called by its id, and other programs know them by the image's name; so it
    stays as it is wherever a file can be called so.
    """
    stem = re.sub(r"(\.ome)?\.\w{1,8}$", "", name)
    plain = re.sub(_FORBIDDEN, "_", stem)[:100].strip(". ") or "image"
    used, key, n = {t.lower() for t in taken}, plain, 1
    while key.lower() in used:
        n += 1
        key = f"{plain}-{n}"
    return key
