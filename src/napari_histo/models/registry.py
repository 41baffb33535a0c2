"""Names of models: shipped ones, published ones, and folders of the user's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from napari_histo.core import ClassScheme, ModelInfo, Segmenter, Thresholds
from napari_histo.errors import ModelError, ModelUnavailableError

__all__ = ["get_info", "is_available", "list_models", "load_model"]

DEFAULT_MODEL = "he-nuclei"
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
    """All models known by name: shipped, classical, published."""
    return [*_shipped().values(), _classical_info(), *_PUBLISHED.values()]


def get_info(name: str) -> ModelInfo:
    """Card of a model by name, or of a folder by path.

    Raises
    ------
    ModelError
        No such model; the message lists the names.
    """
    for info in list_models():
        if info.name == name:
            return info
    if Path(name).is_dir():
        return _folder_info(Path(name))
    names = ", ".join(info.name for info in list_models())
    raise ModelError(
        f"There is no model {name!r}. Known models: {names}. "
        "A folder with config.json and weights works too: give its path."
    )


def is_available(name: str) -> bool:
    """True where the model can be loaded without a download."""
    if name in _PUBLISHED:
        return _cached_folder(_PUBLISHED[name]).is_dir()
    return name in _shipped() or name == _classical_info().name or Path(name).is_dir()


def load_model(name: str, *, device: str = "auto", precision: str = "auto") -> Segmenter:
    """A segmenter by name, or from a folder.

    Parameters
    ----------
    name : str
        As in `list_models`, or the path of a StarDist folder, stock or shipped.
    device : {"auto", "cpu", "cuda", "mps"}
    precision : {"auto", "float32", "bfloat16"}

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
    if name in _PUBLISHED:
        folder = _download(_PUBLISHED[name])
    elif name in _shipped():
        folder = _SHIPPED / name
    else:
        folder = Path(name)
    return _load_stardist(folder, info, device=device, precision=precision)


def _load_stardist(folder: Path, info: ModelInfo, *, device: str, precision: str) -> Segmenter:
    from napari_histo.models._stardist import StarDistSegmenter
    from napari_histo.models._stardist_files import SHIPPED_WEIGHTS, load_shipped, load_stock

    ours = (folder / SHIPPED_WEIGHTS).is_file()
    net, found = load_shipped(folder) if ours else load_stock(folder)
    n_classes = net.config.n_classes or 1
    if len(info.classes) != n_classes:
        names = (f"Class {i + 1}" for i in range(n_classes))
        info = replace(info, classes=ClassScheme.of(*names))
    info = replace(info, thresholds=Thresholds(found.prob, found.nms))
    percentiles = _card(folder).get("percentiles", (1.0, 99.8))
    return StarDistSegmenter(
        net, info, percentiles=tuple(percentiles), device=device, precision=precision
    )


# -- cards -----------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _shipped() -> Mapping[str, ModelInfo]:
    folders = sorted(p.parent for p in _SHIPPED.glob("*/config.json"))
    order = {DEFAULT_MODEL: 0}
    folders.sort(key=lambda f: (order.get(f.name, 1), f.name))
    return {folder.name: _folder_info(folder) for folder in folders}


def _classical_info() -> ModelInfo:
    from napari_histo.models._classical import CLASSICAL_INFO

    return CLASSICAL_INFO


def _card(folder: Path) -> Mapping[str, Any]:
    return _json(folder / "card.json") if (folder / "card.json").is_file() else {}


def _json(path: Path) -> dict[str, Any]:
    try:
        words = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is not readable JSON: {error}. Copy the model again.") from error
    if not isinstance(words, dict):
        raise ModelError(f"{path} holds a {type(words).__name__}, not named values.")
    return words


def _folder_info(folder: Path) -> ModelInfo:
    """Card of a StarDist folder: from ``card.json`` where there is one, else from its config."""
    card = _card(folder)
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{folder} has no config.json. A StarDist model is a folder with config.json, "
            "thresholds.json and weights_best.h5 (or weights.safetensors)."
        )
    config = _json(folder / "config.json")
    stored = _json(folder / "thresholds.json") if (folder / "thresholds.json").is_file() else {}
    weights = folder / "weights.safetensors"
    return ModelInfo(
        str(card.get("name", folder.name)),
        str(card.get("family", "stardist")),
        card.get("pixel_size_um"),
        bool(card.get("pixel_size_nominal", False)),
        card.get("channels", "rgb" if config.get("n_channel_in") == 3 else "gray"),
        ClassScheme.of(*card.get("classes", ["Nucleus"])),
        str(card.get("licence", "unknown")),
        str(card.get("source", folder)),
        card.get("sha256"),
        weights.stat().st_size if weights.is_file() else None,
        Thresholds(float(stored.get("prob", 0.5)), float(stored.get("nms", 0.4))),
        str(card.get("description", "")),
    )


# -- published models ------------------------------------------------------------------------------


def _cache() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_path("napari-histo")) / "models"


def _cached_folder(info: ModelInfo) -> Path:
    return _cache() / f"{info.name}.zip.unzip" / info.name


def _download(info: ModelInfo) -> Path:
    """Folder of a published model, fetched and checked on first use."""
    folder = _cached_folder(info)
    if folder.is_dir():
        return folder
    import pooch

    pooch.get_logger().setLevel("WARNING")
    try:
        members = pooch.retrieve(
            info.source,
            known_hash=f"sha256:{info.sha256}",
            fname=f"{info.name}.zip",
            path=_cache(),
            processor=pooch.Unzip(),
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
    configs = [Path(m).parent for m in members if Path(m).name == "config.json"]
    if not configs:
        raise ModelError(f"The archive of {info.name} holds no config.json.")
    return configs[0]
