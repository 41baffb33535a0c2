"""Pictures drawn from a seed, of which every outline is known: for tests, training and samples.

Nothing is photographed or copied. `make_gland_field` draws tissue with glands at 0.5 to 4 µm/px,
`make_he_field` nuclei at 0.25 µm/px, and `write_slide` whole pyramids for counting. Only numpy,
scipy, scikit-image, tifffile and the core are needed.
"""

from __future__ import annotations

from napari_histo.testing.synthetic.glands import GlandField, make_gland_field
from napari_histo.testing.synthetic.habits import HABITS
from napari_histo.testing.synthetic.nuclei import HEField, make_he_field
from napari_histo.testing.synthetic.slides import SlideTruth, repeat_tile, write_slide
from napari_histo.testing.synthetic.tissue_patches import Library, draw_patch

__all__ = [
    "HABITS",
    "GlandField",
    "HEField",
    "Library",
    "SlideTruth",
    "draw_patch",
    "make_gland_field",
    "make_he_field",
    "repeat_tile",
    "write_slide",
]
