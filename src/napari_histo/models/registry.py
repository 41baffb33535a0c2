"""Names of models: shipped ones, published ones, those added, and folders of the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from napari_histo.core import ModelInfo, PromptSegmenter, Segmenter
from napari_histo.core.regions import RegionSegmenter
from napari_histo.errors import ModelError
from napari_histo.models.cellpose.files import (
    CELLPOSE_FAMILY,
    PUBLISHED_FILES,
    file_info,
    find_published,
    load_cellpose,
    unavailable,
)
from napari_histo.models.foreign.loading import FOREIGN_FAMILIES, load_foreign
from napari_histo.models.region.segmenter import REGION_FAMILY
from napari_histo.models.shelf import adding as _adding
from napari_histo.models.shelf.adding import Addition
from napari_histo.models.shelf.folder import read_info
from napari_histo.models.shelf.loading import PROMPT_FAMILY, load_click, load_stardist
from napari_histo.models.shelf.places import (
    Place,
    describe,
    find_place,
    find_places,
    shared_folders,
    write_shared,
)
from napari_histo.models.shelf.published import PUBLISHED, download, unpacked

__all__ = [
    "add_model",
    "add_shared_folder",
    "get_info",
    "is_available",
    "list_models",
    "list_prompt_models",
    "list_region_models",
    "load_model",
    "load_prompt_model",
    "load_region_model",
    "model_folder",
    "notes",
    "origin_of",
    "places",
    "remove_model",
]

DEFAULT_MODEL = "he-nuclei"
DEFAULT_PROMPT_MODEL = "click"
_SHIPPED = Path(__file__).parent / "weights"
_NOT_SEGMENTERS = (PROMPT_FAMILY, REGION_FAMILY)


def list_models() -> list[ModelInfo]:
    """All models that segment by themselves, known by name: shipped, classical, published, added.

    Of Cellpose's networks those that are on this machine; of a lab's folders all.
    """
    every = [*_own(), *_added()]
    return [info for info in every if info.family not in _NOT_SEGMENTERS]


def list_prompt_models() -> list[ModelInfo]:
    """All models that answer a person's gestures."""
    return [info for info in [*_own(), *_added()] if info.family == PROMPT_FAMILY]


def list_region_models() -> list[ModelInfo]:
    """All models that tell tissues apart; none is shipped."""
    return [info for info in _added() if info.family == REGION_FAMILY]


def places() -> dict[str, Place]:
    """Models that were added, or that lie in a lab's folder, by name."""
    return find_places(_own_names())[0]


def notes() -> list[str]:
    """What cannot be listed, and why."""
    return find_places(_own_names())[1]


def origin_of(name: str) -> str:
    """``shipped``, ``published``, ``added``, ``shared``, or ``a path``."""
    if name in PUBLISHED or name in find_published():
        return "published"
    if name in _own_names():
        return "shipped"
    place = _place(name)
    if place is None:
        return "a path"
    return "added" if place.shared is None else "shared"


def add_model(asked: Addition) -> ModelInfo:
    """Check a model and keep it under a name, whole or not at all.

    Raises
    ------
    ModelError
        It is no model, damaged, its name is taken, or its licence was not accepted.
    ModelUnavailableError
        A URL that cannot be reached.
    """
    return _adding.add(asked, _own_names()).info


def add_shared_folder(folder: Path) -> list[ModelInfo]:
    """List all models in a lab's folder from now on, where they are; gives those it holds."""
    if not folder.is_dir():
        raise ModelError(f"{folder} is no folder. Give the folder in which the models lie.")
    folder = folder.absolute()
    write_shared(dict.fromkeys([*shared_folders(), folder]))
    return [place.info for place in places().values() if place.shared == folder]


def remove_model(name: str) -> None:
    """Take away a model that was added, or no longer list a lab's folder.

    Raises
    ------
    ModelError
        It was not added: shipped and published models stay.
    """
    folder = Path(name).expanduser().absolute()
    if folder in shared_folders():
        write_shared(f for f in shared_folders() if f != folder)
        if folder in shared_folders():
            raise ModelError(f"{folder} comes from NAPARI_HISTO_SHARED_MODELS; take it out there.")
        return
    if name in _own_names():
        raise ModelError(f"The model {name!r} belongs to the program and cannot be removed.")
    _adding.remove(name)


def get_info(name: str) -> ModelInfo:
    """Card of a model by name, or of a folder or Cellpose file by path.

    Raises
    ------
    ModelError
        No such model; the message lists the names.
    """
    own = {info.name: info for info in _own()}
    if name in own:
        return own[name]
    if place := _place(name):
        return place.info
    if Path(name).exists():
        return describe(Path(name))
    if name in PUBLISHED_FILES:
        raise unavailable(name)
    names = ", ".join([*own, *(info.name for info in _added())])
    raise ModelError(
        f"There is no model {name!r}. Known models: {names}. "
        "A folder with config.json and weights works too, and a file of Cellpose: give its path, "
        "or add it with 'napari-histo models add'."
    )


def is_available(name: str) -> bool:
    """True where the model can be loaded without a download."""
    if name in PUBLISHED:
        return unpacked(PUBLISHED[name]) is not None
    if name in _shipped() or name == _classical_info().name or name in find_published():
        return True
    place = _place(name)
    return Path(name).exists() if place is None else place.path.exists()


def load_model(
    name: str,
    *,
    device: str = "auto",
    precision: str = "auto",
    diameter_um: float | None = None,
) -> Segmenter:
    """A segmenter by name, or from a folder or file.

    Parameters
    ----------
    name : str
        As in `list_models`, or the path of a StarDist folder, stock or shipped, or of a file of
        Cellpose 1 to 3.
    device : {"auto", "cpu", "cuda", "mps"}
    precision : {"auto", "float32", "bfloat16"}
    diameter_um : float, optional
        Of the objects to find, for Cellpose's networks, which are scaled to it.

    Raises
    ------
    ModelError
        Unknown name, damaged files, another architecture, or no such device.
    ModelUnavailableError
        A published model that is not here and could not be downloaded.
    """
    if name == _classical_info().name:
        from napari_histo.models._classical import ClassicalSegmenter

        return ClassicalSegmenter()
    info = get_info(name)
    if info.family == CELLPOSE_FAMILY:
        path = find_published().get(name) or model_folder(name)
        return load_cellpose(
            path, info, device=device, precision=precision, diameter_um=diameter_um
        )
    if diameter_um is not None:
        raise ModelError(
            f"The model {name!r} has a pixel size of its own and takes no diameter; leave it out."
        )
    if info.family == PROMPT_FAMILY:
        raise ModelError(
            f"The model {name!r} answers clicks; it does not find objects by itself. Use it with "
            f"'napari-histo prompt' or the Annotate panel, or choose another model here."
        )
    if info.family == REGION_FAMILY:
        raise ModelError(
            f"The model {name!r} tells tissues apart; it does not find objects. Use it with "
            "'napari-histo regions predict', or choose another model here."
        )
    if info.family in FOREIGN_FAMILIES:
        place = _place(name)
        record = {} if place is None else place.record
        return load_foreign(model_folder(name), info, device=device, record=record)
    return load_stardist(model_folder(name), info, device=device, precision=precision)


def model_folder(name: str) -> Path:
    """Folder or file of a model with weights; a published one is downloaded first.

    Raises
    ------
    ModelUnavailableError
        A published model that is not here and could not be downloaded.
    """
    if name in PUBLISHED:
        return download(PUBLISHED[name])
    if name in _shipped():
        return _SHIPPED / name
    place = _place(name)
    return Path(name) if place is None else place.path


def load_prompt_model(
    name: str = DEFAULT_PROMPT_MODEL, *, device: str = "auto", precision: str = "auto"
) -> PromptSegmenter:
    """A model that answers gestures, by name or from a folder.

    Raises
    ------
    ModelError
        Unknown name, damaged files, a model of another kind, or no such device.
    """
    info = get_info(name)
    if info.family != PROMPT_FAMILY:
        names = ", ".join(i.name for i in list_prompt_models())
        raise ModelError(f"The model {name!r} does not answer clicks. Models that do: {names}.")
    return load_click(model_folder(name), info, device=device, precision=precision)


def load_region_model(name: str, *, device: str = "auto") -> RegionSegmenter:
    """A model that tells tissues apart, by name or from a folder.

    Raises
    ------
    ModelError
        Unknown name, damaged files, a model of another kind, or no such device.
    """
    from napari_histo.models.region import segmenter as _region

    return _region.load_region_model(model_folder(name), device=device)


# -- cards -----------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _shipped() -> Mapping[str, ModelInfo]:
    folders = sorted(p.parent for p in _SHIPPED.glob("*/config.json"))
    order = {DEFAULT_MODEL: 0}
    folders.sort(key=lambda f: (order.get(f.name, 1), f.name))
    return {folder.name: read_info(folder) for folder in folders}


def _classical_info() -> ModelInfo:
    from napari_histo.models._classical import CLASSICAL_INFO

    return CLASSICAL_INFO


def _own() -> list[ModelInfo]:
    """Shipped, classical, published, and those of Cellpose's that are here."""
    cellpose = [file_info(path, name=name) for name, path in find_published().items()]
    return [*_shipped().values(), _classical_info(), *PUBLISHED.values(), *cellpose]


def _place(name: str) -> Place | None:
    return None if name in _own_names() else find_place(name)


def _added() -> list[ModelInfo]:
    return [place.info for place in places().values()]


def _own_names() -> list[str]:
    """Names that nobody else may have, on this machine or not."""
    return [*_shipped(), _classical_info().name, *PUBLISHED, *PUBLISHED_FILES]
