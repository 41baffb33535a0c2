"""The model that a learning project begins with: what it may be, and what it asks of images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_histo.core import ClassScheme
from napari_histo.errors import LearningError
from napari_histo.learning.cellpose.params import CELLPOSE_FAMILY
from napari_histo.learning.click.params import CLICK_FAMILY
from napari_histo.learning.project.facts import ProjectImage, Settings, StartModel
from napari_histo.learning.rounds.families import FAMILIES
from napari_histo.learning.rounds.files import sha256_of_folder
from napari_histo.learning.tissue.params import AREA_REGION_PX, REGION_FAMILY

__all__ = ["check_pixel_sizes", "paints_areas", "start_of", "usual_region_px"]

#: Those that `StartModel` tells apart.
_TOLD = (CLICK_FAMILY, REGION_FAMILY)
#: What painted areas need beside the model's tissues.
_BACKGROUND = ClassScheme.of("Ignore*")


def start_of(model: str, aside: Path) -> tuple[Path | None, StartModel, ClassScheme]:
    """Folder to copy, card for the record, classes; a file is put into a folder in `aside`.

    Raises
    ------
    ModelError
        There is no such model.
    LearningError
        It is of a family that no round can train.
    """
    from napari_histo.models.registry import get_info, model_folder

    info = get_info(model)
    if info.family not in FAMILIES:
        raise LearningError(
            f"The model {info.name!r} is of the family {info.family!r}, which the rounds of a "
            f"project do not train; they train {', '.join(FAMILIES)}."
        )
    trains = info.family if info.family in _TOLD else ""
    classes = info.classes.union(_BACKGROUND) if trains == REGION_FAMILY else info.classes
    folder = model_folder(model)
    if info.family == CELLPOSE_FAMILY and not folder.is_dir():
        from napari_histo.learning.cellpose.start import unpack

        folder = unpack(model, aside / "model")
    if not folder.is_dir():  # a model without weights
        return None, StartModel(info.name, family=trains), classes
    return folder, StartModel(info.name, sha256_of_folder(folder), trains), classes


def usual_region_px(model: str) -> int:
    """Side of a region to annotate with a model, by name or folder; px of the model.

    Raises
    ------
    ModelError
        There is no such model.
    """
    return AREA_REGION_PX if paints_areas(model) else Settings().region_px


def paints_areas(model: str) -> bool:
    """Whether a model, by name or folder, learns from areas of tissue.

    Raises
    ------
    ModelError
        There is no such model.
    """
    from napari_histo.models.registry import get_info

    return get_info(model).family == REGION_FAMILY


def check_pixel_sizes(model: str, images: Sequence[ProjectImage]) -> None:
    """Raise LearningError where a model with a pixel size is to see images without one.

    Parameters
    ----------
    model : str
        Name or folder.
    images : sequence of ProjectImage

    Raises
    ------
    ModelError
        There is no such model.
    """
    from napari_histo.models.registry import get_info

    info = get_info(model)
    lacking = [image.name for image in images if image.pixel_size is None]
    if info.pixel_size_um is None or not lacking:
        return
    more = ", …" if len(lacking) > 5 else ""
    tissues = " For nuclei choose another model, for example 'he-nuclei'."
    raise LearningError(
        f"The model {info.name!r} works at a pixel size of its own, and {len(lacking)} of "
        f"{len(images)} images carry none: {', '.join(lacking[:5])}{more}. Say how large their "
        "pixels are with --pixel-size UM: usually 0.25 for a slide scanned at 40x, 0.5 at 20x."
        f"{tissues if info.family == REGION_FAMILY else ''}"
    )
