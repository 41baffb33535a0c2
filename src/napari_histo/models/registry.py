"""Names of models: shipped ones, published ones, and folders of the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from napari_histo.core import ClassScheme, ModelInfo, PromptSegmenter, Segmenter
from napari_histo.errors import ModelError, ModelUnavailableError
from napari_histo.models._cellpose_files import (
    CELLPOSE_FAMILY,
    PUBLISHED_FILES,
    file_info,
    find_published,
    load_cellpose,
    unavailable,
)
from napari_histo.models._model_folder import (
    SHIPPED_WEIGHTS,
    is_whole,
    read_info,
    read_percentiles,
)
from napari_histo.models._region import REGION_FAMILY
from napari_histo.store import atomic_path

__all__ = [
    "get_info",
    "is_available",
    "list_models",
    "list_prompt_models",
    "load_model",
    "load_prompt_model",
    "model_folder",
]

DEFAULT_MODEL = "he-nuclei"
DEFAULT_PROMPT_MODEL = "click"
_PROMPT_FAMILY = "nuclick"
_SHIPPED = Path(__file__).parent / "weights"
_RELEASE = "https://github.com/stardist/stardist-models/releases/download/v0.1"


def _published(
    name: str, sha256: str, pixel_size_um: float, nominal: bool, data: str
) -> tuple[str, ModelInfo]:
    """A model of StarDist's own release; hashes as the stardist package lists them."""
    return name, ModelInfo(
        name,
        "stardist",
        pixel_size_um,
        nominal,
        "rgb" if name.endswith("_he") else "gray",
        licence="BSD-3-Clause",
        source=f"{_RELEASE}/python_{name}.zip",
        sha256=sha256,
        description=f"Published StarDist weights, trained on {data}; downloaded on first use.",
    )


_PUBLISHED = dict(
    [
        _published(
            "2D_versatile_he",
            "f1696ef0631bd7e1c0e5c0d3017e2b4c6a95e284c6aab9c22fc2f08317817b28",
            0.25,
            False,
            "MoNuSeg 2018 (CC BY-NC-SA 4.0) and TNBC (CC BY 4.0)",
        ),
        _published(
            "2D_versatile_fluo",
            "4ad678d0758eed6e55625f1b5ae30771e59adb79f1239e09b9772eac8846c3dd",
            0.5,
            True,
            "a fluorescence subset of the Data Science Bowl 2018 (CC0)",
        ),
        _published(
            "2D_paper_dsb2018",
            "4c11cf68512341d9e8ce3d1278c64ceb8ac400582739f85fcab079a2e82840d2",
            0.5,
            True,
            "a fluorescence subset of the Data Science Bowl 2018 (CC0)",
        ),
    ]
)


def list_models() -> list[ModelInfo]:
    """All models that segment by themselves, known by name: shipped, classical, published.

    Of Cellpose's networks those that are on this machine.
    """
    shipped = [info for info in _shipped().values() if info.family != _PROMPT_FAMILY]
    cellpose = [file_info(path, name=name) for name, path in find_published().items()]
    return [*shipped, _classical_info(), *_PUBLISHED.values(), *cellpose]


def list_prompt_models() -> list[ModelInfo]:
    """All models that answer a person's gestures."""
    return [info for info in _shipped().values() if info.family == _PROMPT_FAMILY]


def get_info(name: str) -> ModelInfo:
    """Card of a model by name, or of a folder or Cellpose file by path.

    Raises
    ------
    ModelError
        No such model; the message lists the names.
    """
    known = [*list_models(), *list_prompt_models()]
    for info in known:
        if info.name == name:
            return info
    if Path(name).is_dir():
        return read_info(Path(name))
    if Path(name).is_file():
        return file_info(Path(name))
    if name in PUBLISHED_FILES:
        raise unavailable(name)
    names = ", ".join(info.name for info in known)
    raise ModelError(
        f"There is no model {name!r}. Known models: {names}. "
        "A folder with config.json and weights works too, and a file of Cellpose 1 to 3: give its "
        "path."
    )


def is_available(name: str) -> bool:
    """True where the model can be loaded without a download."""
    if name in _PUBLISHED:
        return _unpacked(_PUBLISHED[name]) is not None
    if name in find_published() or Path(name).exists():
        return True
    return name in _shipped() or name == _classical_info().name


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
        path = find_published().get(name, Path(name))
        return load_cellpose(path, info, device=device, diameter_um=diameter_um)
    if diameter_um is not None:
        raise ModelError(
            f"The model {name!r} has a pixel size of its own and takes no diameter; leave it out."
        )
    if info.family == _PROMPT_FAMILY:
        raise ModelError(
            f"The model {name!r} answers clicks; it does not find objects by itself. Use it with "
            f"'napari-histo prompt' or the Annotate panel, or choose another model here."
        )
    if info.family == REGION_FAMILY:
        raise ModelError(
            f"The model {name!r} tells tissues apart; it does not find objects. Use it with "
            "'napari-histo regions predict', or choose another model here."
        )
    return _load_stardist(model_folder(name), info, device=device, precision=precision)


def model_folder(name: str) -> Path:
    """Where the files of a model with weights lie; a published one is downloaded first.

    Raises
    ------
    ModelUnavailableError
        A published model that is not here and could not be downloaded.
    """
    if name in _PUBLISHED:
        return _download(_PUBLISHED[name])
    return _SHIPPED / name if name in _shipped() else Path(name)


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
    if info.family != _PROMPT_FAMILY:
        names = ", ".join(i.name for i in list_prompt_models())
        raise ModelError(f"The model {name!r} does not answer clicks. Models that do: {names}.")
    from napari_histo.models._nuclick import NuClickSegmenter, load_click_net

    folder = model_folder(name)
    net = load_click_net(folder / SHIPPED_WEIGHTS)
    return NuClickSegmenter(net, info, device=device, precision=precision)


def _load_stardist(folder: Path, info: ModelInfo, *, device: str, precision: str) -> Segmenter:
    from napari_histo.models._stardist import StarDistSegmenter
    from napari_histo.models._stardist_files import load_shipped, load_stock

    ours = (folder / SHIPPED_WEIGHTS).is_file()
    net, thresholds = load_shipped(folder) if ours else load_stock(folder)
    n_classes = net.config.n_classes or 1
    if len(info.classes) != n_classes:
        names = (f"Class {i + 1}" for i in range(n_classes))
        info = replace(info, classes=ClassScheme.of(*names))
    return StarDistSegmenter(
        net,
        replace(info, thresholds=thresholds),
        percentiles=read_percentiles(folder),
        device=device,
        precision=precision,
    )


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


# -- published models ------------------------------------------------------------------------------


def _cache() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_path("napari-histo")) / "models"


def _unpacked(info: ModelInfo) -> Path | None:
    """Folder of a published model in the cache; None unless it is there whole."""
    configs = sorted((_cache() / f"{info.name}.zip.unzip").rglob("config.json"))
    return next((c.parent for c in configs if is_whole(c.parent)), None)


def _download(info: ModelInfo) -> Path:
    """Folder of a published model, fetched, checked and unpacked on first use."""
    folder = _unpacked(info)
    if folder is None:
        try:
            _unpack(_fetch(info), _cache() / f"{info.name}.zip.unzip")
        except OSError as error:
            raise ModelUnavailableError(
                f"The model {info.name!r} was downloaded but cannot be unpacked in {_cache()}: "
                f"{error}. Check the space and the permissions there."
            ) from error
        folder = _unpacked(info)
    if folder is None:
        raise ModelError(f"The archive of {info.name} holds no config.json with weights beside it.")
    return folder


def _fetch(info: ModelInfo) -> Path:
    """The archive of a published model, its hash checked."""
    import pooch

    pooch.get_logger().setLevel("WARNING")
    try:
        return Path(
            pooch.retrieve(
                info.source,
                known_hash=f"sha256:{info.sha256}",
                fname=f"{info.name}.zip",
                path=_cache(),
            )
        )
    except ValueError as error:
        raise ModelError(
            f"The download of {info.name} is not the published file: {error}. Try again; if "
            "it stays so, tell the maintainers."
        ) from error
    except Exception as error:  # requests' own tree of errors, and the disk's
        raise ModelUnavailableError(
            f"The model {info.name!r} is not on this machine and could not be downloaded "
            f"({type(error).__name__}: {error}).\n"
            f"Connect to the internet once, or download {info.source} elsewhere, unpack it, "
            f"and give the folder's path as the model. Offline you can use 'he-nuclei', "
            f"'fluo-nuclei' or 'classical'."
        ) from error


def _unpack(archive: Path, folder: Path) -> None:
    """Whole or not at all: what an interrupted run left behind is replaced."""
    import zipfile

    with atomic_path(folder, folder=True) as work, zipfile.ZipFile(archive) as members:
        members.extractall(work)
