"""Makes the sample images and their exact ground truth, all from a seed.

    python sample_data/make_sample_data.py [FOLDER]

Nothing here was photographed: the pictures are drawn, so every outline is known.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_histo.core import ClassScheme, ObjectTable
from napari_histo.store import write_geojson
from napari_histo.testing.synthetic import fluorescence, make_he_field
from napari_histo.testing.synthetic.nuclei import PIXEL_SIZE_UM as HE_PIXEL_UM
from napari_histo.testing.synthetic.nuclei import tabulate

HERE = Path(__file__).resolve().parent
HE_SEED, HE_SIZE_PX = 7, 1024
FLUO_SEED, FLUO_SIZE_PX, FLUO_PIXEL_UM = 11, 512, 0.5


@dataclass(frozen=True)
class Sample:
    """A picture with its truth.

    Attributes
    ----------
    image : (h, w, 3) uint8 or (h, w) uint16
    labels : (h, w) uint16
        0 background, else the row in `table` + 1.
    table : ObjectTable
    """

    image: NDArray[Any]
    labels: NDArray[np.uint16]
    table: ObjectTable


def make_he() -> Sample:
    """The H&E-like field, 1024 x 1024 px of 0.25 µm."""
    field = make_he_field(np.random.default_rng(HE_SEED), HE_SIZE_PX)
    return Sample(field.image, field.labels.astype(np.uint16), field.table)


def make_fluo() -> Sample:
    """The DAPI-like field, 512 x 512 px of 0.5 µm, 16 bit."""
    rng = np.random.default_rng(FLUO_SEED)
    nuclei = fluorescence.place_nuclei(FLUO_SIZE_PX, rng)
    table, labels = tabulate(nuclei, FLUO_SIZE_PX, ClassScheme.of("Nucleus"), rng)
    image = fluorescence.photograph(nuclei, labels.astype(np.int64), rng)
    return Sample(image, labels.astype(np.uint16), table)


def write_all(folder: Path) -> None:
    """Write every file of the sample data."""
    folder.mkdir(parents=True, exist_ok=True)
    tissue, cells = make_he(), make_fluo()
    _write_pyramid(folder / "he_tile.ome.tif", tissue.image, HE_PIXEL_UM)
    _write_plane(folder / "fluo_tile.tif", cells.image, FLUO_PIXEL_UM, "DAPI")
    for name, sample, pixel_um in (("he", tissue, HE_PIXEL_UM), ("fluo", cells, FLUO_PIXEL_UM)):
        _write_plane(folder / f"{name}_tile_labels.tif", sample.labels, pixel_um, "labels")
        write_geojson(folder / f"{name}_tile.geojson", sample.table)


def _write_pyramid(path: Path, image: NDArray[np.uint8], pixel_um: float) -> None:
    """Tiled OME-TIFF with two halved levels in SubIFDs, JPEG as scanners write it."""
    options: dict[str, Any] = {
        "tile": (256, 256),
        "photometric": "rgb",
        "compression": "jpeg",
        "compressionargs": {"level": 90},
    }
    with tifffile.TiffWriter(path, ome=True) as tiff:
        tiff.write(image, subifds=2, metadata=_ome(path, pixel_um), **options)
        for _ in range(2):
            h, w = image.shape[:2]
            halves = image.reshape(h // 2, 2, w // 2, 2, 3).mean(axis=(1, 3))
            image = np.rint(halves).astype(np.uint8)
            tiff.write(image, subfiletype=1, metadata=None, **options)


def _write_plane(path: Path, plane: NDArray[Any], pixel_um: float, channel: str) -> None:
    metadata = {"axes": "YX", "Channel": {"Name": [channel]}, **_ome(path, pixel_um)}
    options = {"compression": "deflate", "predictor": True, "metadata": metadata}
    tifffile.imwrite(path, plane, ome=True, photometric="minisblack", **options)


def _ome(path: Path, pixel_um: float) -> dict[str, Any]:
    return {
        "Name": path.name.split(".")[0],
        # tifffile would take one made from the clock and the network card.
        "UUID": f"urn:uuid:{uuid5(NAMESPACE_URL, path.name)}",
        "PhysicalSizeX": pixel_um,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": pixel_um,
        "PhysicalSizeYUnit": "µm",
    }


if __name__ == "__main__":
    write_all(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
