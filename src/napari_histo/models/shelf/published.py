"""StarDist's own published models: known by name, downloaded on first use, checked."""

from __future__ import annotations

from pathlib import Path

from napari_histo.core import ModelInfo
from napari_histo.errors import ModelError, ModelUnavailableError
from napari_histo.models.shelf.folder import is_whole
from napari_histo.store import atomic_path
from napari_histo.store.replacing import nothing

__all__ = ["PUBLISHED", "archive_of", "download", "unpacked"]

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


PUBLISHED = dict(
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


def _cache() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_path("napari-histo")) / "models"


def archive_of(info: ModelInfo) -> Path:
    """Where the download of a published model is kept."""
    return _cache() / f"{info.name}.zip"


def unpacked(info: ModelInfo) -> Path | None:
    """Folder of a published model in the cache; None unless it is there whole."""
    configs = sorted((_cache() / f"{info.name}.zip.unzip").rglob("config.json"))
    return next((c.parent for c in configs if is_whole(c.parent)), None)


def download(info: ModelInfo) -> Path:
    """Folder of a published model, fetched, checked and unpacked on first use."""
    folder = unpacked(info)
    if folder is None:
        try:
            _unpack(_fetch(info), _cache() / f"{info.name}.zip.unzip")
        except OSError as error:
            raise ModelUnavailableError(
                f"The model {info.name!r} was downloaded but cannot be unpacked in {_cache()}: "
                f"{error}. Check the space and the permissions there."
            ) from error
        folder = unpacked(info)
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

    # A folder of the cache: nothing in it is a person's.
    with (
        atomic_path(folder, folder=True, strangers=nothing) as work,
        zipfile.ZipFile(archive) as members,
    ):
        members.extractall(work)
