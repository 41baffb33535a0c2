"""Five kinds of image, as files: each is segmented, annotated and exported in a window."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from napari_histo.testing.synthetic.panels import PANEL_CHANNELS, draw_h_dab, draw_panel

SAMPLES = Path(__file__).resolve().parents[2] / "sample_data"
PART = (slice(200, 584), slice(200, 584))
UM = 0.25


@dataclass(frozen=True)
class Kind:
    """What a user chooses for a kind of image.

    Attributes
    ----------
    model : str
    channel : str
        Name of the channel that is preselected; empty where there is one only.
    stain : str
        Words of the row of stains; empty for colours as they are.
    planes : str
    least : int
        So many objects are there.
    """

    model: str
    channel: str = ""
    stain: str = ""
    planes: str = ""
    least: int = 20


KINDS = {
    "H&E": Kind("he-nuclei"),
    "H-DAB": Kind("fluo-nuclei", stain="Hematoxylin in H-DAB"),
    "fluorescence": Kind("fluo-nuclei", channel="DAPI"),
    "grey": Kind("fluo-nuclei"),
    "z-series": Kind("classical", channel="Channel 1", planes="brightest of all planes", least=3),
}


def write(kind: str, folder: Path) -> Path:
    """The file of a kind, but for the z-series, which is real."""
    path = folder / f"{kind.replace('&', '')}.ome.tif"
    if kind == "H&E":
        return _ome(path, tifffile.imread(SAMPLES / "he_tile.ome.tif")[PART], "YXS", UM)
    if kind == "grey":
        pixels = tifffile.imread(SAMPLES / "fluo_tile.tif")[:384, :384]
        return _ome(path, pixels, "YX", 2 * UM)
    labels = tifffile.imread(SAMPLES / "he_tile_labels.tif")[PART]
    if kind == "H-DAB":
        return _ome(path, draw_h_dab(labels), "YXS", UM)
    return write_panel(path, draw_panel(labels), UM)


def write_panel(path: Path, pixels: np.ndarray, um: float) -> Path:
    """With names and colours of the channels, as microscopes write them."""
    words = [(r << 24) + (g << 16) + (b << 8) + 255 for _, (r, g, b) in PANEL_CHANNELS]
    colours = [word - (1 << 32) if word >= 1 << 31 else word for word in words]
    names = [name for name, _ in PANEL_CHANNELS]
    return _ome(path, pixels, "CYX", um, Channel={"Name": names, "Color": colours})


def _ome(path: Path, pixels: np.ndarray, axes: str, um: float, **facts: object) -> Path:
    sizes = {f"PhysicalSize{axis}": um for axis in "XY"}
    rgb = {"photometric": "rgb"} if axes == "YXS" else {"photometric": "minisblack"}
    tifffile.imwrite(path, pixels, metadata={"axes": axes, **sizes, **facts}, **rgb)
    return path
