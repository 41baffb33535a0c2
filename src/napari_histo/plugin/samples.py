"""Sample images that come with packages on every machine."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_histo.errors import ImageError

if TYPE_CHECKING:
    from napari.types import LayerDataTuple

__all__ = [
    "drawn_fluorescence_nuclei",
    "drawn_he_tissue",
    "fluorescence_nuclei",
    "he_tissue",
    "ihc_tissue",
]


def he_tissue() -> list[LayerDataTuple]:
    """H&E from the Cancer Imaging Archive, as it comes with StarDist; no pixel size is known."""
    return [_image("stardist", "data/images/histo.jpg", "H&E tissue")]


def ihc_tissue() -> list[LayerDataTuple]:
    """Colon, FHL2 in DAB with haematoxylin, as it comes with scikit-image."""
    return [_image("skimage", "data/ihc.png", "IHC tissue")]


def fluorescence_nuclei() -> list[LayerDataTuple]:
    """Nuclei of the Data Science Bowl 2018 (CC0), as they come with StarDist."""
    return [_image("stardist", "data/images/img2d.tif", "Fluorescence nuclei")]


def drawn_he_tissue() -> list[LayerDataTuple]:
    """An H&E-like pyramid of 1024 × 1024 px at 0.25 µm/px, drawn by a script; shows no person."""
    return _drawn("he_tile.ome.tif")


def drawn_fluorescence_nuclei() -> list[LayerDataTuple]:
    """A DAPI-like field of 512 × 512 px at 0.5 µm/px, drawn by a script; shows no person."""
    return _drawn("fluo_tile.tif")


def _drawn(name: str) -> list[LayerDataTuple]:
    """A slide of the sample data, opened as from File > Open."""
    from napari_histo.cli.demo import sample_folder
    from napari_histo.plugin.readers import read_slide

    return read_slide(str(sample_folder() / name))


def _image(package: str, path: str, name: str) -> LayerDataTuple:
    """A picture that lies in an installed package, which is not imported."""
    from napari_histo.slides import open_slide

    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ImageError(f"The package {package} is not installed. Run: pip install {package}")
    with open_slide(Path(found.submodule_search_locations[0]) / path) as reader:
        pixels: Any = reader.read(reader.info.box)
        rgb = reader.info.is_rgb
    return (pixels if rgb else np.squeeze(pixels, -1), {"name": name, "rgb": rgb}, "image")
