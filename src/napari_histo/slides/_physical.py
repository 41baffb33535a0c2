"""Which numbers in a file's metadata are believed as a pixel size.

Two rules, one for each kind of source:

- *Resolution* (TIFF resolution tags, PNG ``pHYs``, JPEG density) was made for printing and is most
  often a screen's or a printer's: 72 dpi is 353 µm, 300 dpi is 85 µm, a desktop scanner's 2400 dpi
  is 10.6 µm. It is believed from 0.01 to 10 µm/px, where microscopes work and printers do not.
- *Microscope metadata* (OME, Aperio, OpenSlide, ImageJ with a unit) says what it means. It is
  believed from 0.001 to 80 µm/px: converters copy 300, 96 and 72 dpi into it, and no nucleus can
  be seen above 80 µm.

Everything else is None, and the user is asked.
"""

from __future__ import annotations

import math

from napari_histo.core.pixel_size import PixelSize

__all__ = ["MICRONS", "from_metadata", "from_resolution", "microns_per_unit"]

_RESOLUTION_UM = (0.01, 10.0)
_METADATA_UM = (0.001, 80.0)

#: µm in one unit of length, by its names in OME-XML and ImageJ.
MICRONS: dict[str, float] = {
    "pm": 1e-6, "picometer": 1e-6,
    "å": 1e-4, "angstrom": 1e-4,
    "nm": 1e-3, "nanometer": 1e-3, "nanometre": 1e-3,
    "µm": 1.0, "um": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0, "micrometre": 1.0,
    "mm": 1e3, "millimeter": 1e3, "millimetre": 1e3,
    "cm": 1e4, "centimeter": 1e4, "centimetre": 1e4,
    "m": 1e6, "meter": 1e6, "metre": 1e6,
    "in": 25400.0, "inch": 25400.0, "inches": 25400.0,
}  # fmt: skip


def microns_per_unit(unit: str) -> float | None:
    """µm in one `unit` of length; None for what is no length (``pixel``, ``reference frame``)."""
    # ImageJ escapes the sign as text, and Unicode has two letters for it.
    name = unit.strip().replace("\\u00B5", "µ").replace("\\u00b5", "µ").replace("\u03bc", "µ")
    return MICRONS.get(name.lower())


def from_resolution(
    x_per_unit: float, y_per_unit: float, unit_um: float | None
) -> PixelSize | None:
    """Pixel size of a resolution in pixels per unit of `unit_um` µm, where it is a microscope's."""
    if not unit_um or x_per_unit <= 0 or y_per_unit <= 0:
        return None
    return _believed(unit_um / x_per_unit, unit_um / y_per_unit, _RESOLUTION_UM)


def from_metadata(x_um: float | None, y_um: float | None) -> PixelSize | None:
    """Pixel size that metadata of a microscope names; a missing side is taken from the other."""
    sides = (x_um if x_um else y_um, y_um if y_um else x_um)
    if sides[0] is None or sides[1] is None:
        return None
    return _believed(sides[0], sides[1], _METADATA_UM)


def _believed(x_um: float, y_um: float, allowed: tuple[float, float]) -> PixelSize | None:
    low, high = allowed
    if all(math.isfinite(v) and low <= v <= high for v in (x_um, y_um)):
        return PixelSize(x_um, y_um)
    return None
