"""Tissue against glass in a small picture of a slide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_histo.ops.ink import find_ink
from napari_histo.ops.stain import brightest, optical_density

__all__ = ["TissueParams", "find_tissue_cells"]

Plane = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: Tissue is looked for at two scales (sigma of a blur, cells): fine, for thin things, and broad,
#: for what is too faint to rise above the noise of single cells.
_FINE, _BROAD = 0.7, 3.0
#: At each scale: least spread of the optical densities of red, green and blue that makes a cell
#: coloured, and the most that a glass full of noise may ask for. Pale stroma has 0.015.
_CHROMA = {_FINE: (0.010, 0.025), _BROAD: (0.006, 0.020)}
#: So many times what half of the glass stays below.
_OVER_GLASS = 4.0
#: Bounds for Otsu's threshold of grey images, where dust and shadows show as much as tissue.
_GREY = (0.03, 0.08)
#: Grey that is darker than this (optical density) is tissue in colour images too.
_DARK = 0.15
#: A black frame or a part that was not scanned is darker than this in all channels.
_BLACK = 0.12
#: Background of fluorescence: this many standard deviations of its noise, and this share of the
#: range of intensities, are still background.
_NOISE, _RANGE = 5.0, 0.02
#: Blurred broadly, noise keeps a third of its standard deviation, and tissue most of it.
_GRAIN = 0.5
#: Largest range of the background of fluorescence within 5 x 5 cells, as a share of all.
_EVEN_GLOW = 0.06
#: Largest range of light plus dark, 0 to 2, within 5 x 5 cells of glass.
_EVEN = 0.04
#: With less than this share of surely glass there is next to nothing to skip, and white will do.
_LEAST_GLASS = 0.005


@dataclass(frozen=True)
class TissueParams:
    """How tissue is told from glass; lengths on the slide. The defaults keep what is faint.

    Attributes
    ----------
    cell_um : float
        Side of a cell of the mask, µm.
    threshold : float or None
        Least colour of tissue: the spread of the optical densities of red, green and blue (for
        grey images the density itself). None asks the glass: 0.006 where it is clean, up to 0.025
        where it is not.
    bridge_um : float
        Gaps up to this width are closed: fat is a net of walls about as wide apart.
    hole_um2 : float
        Holes up to this area are filled, µm².
    piece_um2 : float
        Pieces below this area are dust, µm².
    margin_um : float
        How far the mask reaches beyond what was found.
    drop_ink : bool
        Leave out pen marks.
    """

    cell_um: float = 8.0
    threshold: float | None = None
    bridge_um: float = 64.0
    hole_um2: float = 100_000.0
    piece_um2: float = 2_500.0
    margin_um: float = 24.0
    drop_ink: bool = True

    def __post_init__(self) -> None:
        lengths = (self.bridge_um, self.hole_um2, self.piece_um2, self.margin_um)
        if not self.cell_um > 0 or not all(0 <= v < np.inf for v in lengths):
            raise ValueError(
                f"{self} cannot be: a cell must be larger than 0 and the others at least 0."
            )


def find_tissue_cells(
    pixels: NDArray[Any], params: TissueParams, *, is_rgb: bool, cell_um: tuple[float, float]
) -> Mask:
    """Which pixels of a small picture show tissue.

    Parameters
    ----------
    pixels : (h, w, c) array
        Mean values of the cells; uint8 colours where `is_rgb`, else intensities of any kind.
    params : TissueParams
    is_rgb : bool
    cell_um : (float, float)
        Width and height of a pixel.

    Returns
    -------
    (h, w) bool

    Notes
    -----
    Colour: the optical density relative to the glass of this slide, and its spread over the
    channels, a saturation that does not depend on the light. The threshold comes from the noise of
    the glass, not from Otsu (who is right only where there is much of both): that one loses pale
    tissue beside dark, and halves a slide that is all tissue or all glass. Fluorescence: what
    rises above the background of any channel.
    """
    if is_rgb and not _is_dark_ground(pixels):
        found = _in_light(pixels, params)
    else:
        planes = np.moveaxis(pixels.astype(np.float32, copy=False), -1, 0)
        grey = len(planes) == 1 and _is_bright_ground(planes[0])
        found = _in_grey(planes[0], params) if grey else _glowing(planes)
    return _tidy(found, params, cell_um)


# -- colour ------------------------------------------------------------------------------------


def _in_light(pixels: NDArray[np.uint8], params: TissueParams) -> Mask:
    """Brightfield, be it a grey picture that was saved as colours."""
    rgb = pixels.astype(np.float32) / np.float32(255)
    # To the last bit: a colour camera's white is never that grey, and clean glass nearly is.
    grey = np.mean(pixels.max(axis=-1) == pixels.min(axis=-1)) > 0.99
    return _in_grey(rgb[..., 0], params) if grey else _in_colour(rgb, params)


def _in_colour(rgb: NDArray[np.float32], params: TissueParams) -> Mask:
    """Coloured or dark cells, without what was not scanned and without pen marks."""
    unscanned = _unscanned(rgb)
    smooth = ndimage.gaussian_filter(rgb, (_FINE, _FINE, 0))
    glass = _glass(smooth)
    colour = np.median(smooth[_brightest_of(smooth, glass)], axis=0) if glass.any() else 1.0
    od = optical_density(smooth / np.asarray(colour, np.float32))
    found = (_coloured(od, glass, params, _FINE) | (-brightest(-od) > _DARK)) & ~unscanned
    open_ground = ~(found | unscanned)
    broad = _blurred_within(od, open_ground, _BROAD)
    found |= _coloured(broad, glass, params, _BROAD) & open_ground
    if params.drop_ink and found.any():
        found &= ~find_ink(od, found)
    return found


def _coloured(od: NDArray[np.float32], glass: Mask, params: TissueParams, scale: float) -> Mask:
    """Cells with more colour than the glass has."""
    chroma = brightest(od) + brightest(-od)
    threshold = params.threshold
    if threshold is None:
        noise = float(np.median(chroma[glass])) if glass.any() else 0.0
        threshold = float(np.clip(_OVER_GLASS * noise, *_CHROMA[scale]))
    return np.asarray(chroma > threshold, bool)


def _blurred_within(values: NDArray[np.float32], where: Mask, sigma: float) -> NDArray[np.float32]:
    """Means of what lies in `where`: blurred dark tissue would have a wide rim."""
    weight = ndimage.gaussian_filter(where.astype(np.float32), sigma)
    total = ndimage.gaussian_filter(values * where[..., None], (sigma, sigma, 0))
    return np.asarray(total / np.maximum(weight, 0.05)[..., None], np.float32)


def _glass(smooth: NDArray[np.float32]) -> Mask:
    """Cells that are surely glass: pale, and as even as no tissue is; none where they are few."""
    light, dark = brightest(smooth), -brightest(-smooth)
    total = light + dark
    even = ndimage.maximum_filter(total, 5) - ndimage.minimum_filter(total, 5) < _EVEN
    glass = even & (dark > 0.7) & (light - dark < 0.1)
    # Here and there a few cells of tissue are even by chance.
    glass = np.asarray(ndimage.binary_erosion(glass, np.ones((5, 5)), border_value=1), bool)
    return glass if glass.mean() > _LEAST_GLASS else np.zeros_like(glass)


def _brightest_of(smooth: NDArray[np.float32], cells: Mask) -> Mask:
    """Those of the cells that are about as bright as the brightest tenth."""
    brightness = smooth.mean(axis=2)
    least = float(np.quantile(brightness[cells], 0.9)) - 0.025
    return np.asarray(cells & (brightness >= least), bool)


def _unscanned(rgb: NDArray[np.float32]) -> Mask:
    """Black that reaches the edge of the picture, with the blurred cells along it."""
    black = brightest(rgb) < _BLACK
    if not black.any():
        return black
    pieces, _ = ndimage.label(black)
    edge = np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]])
    outside = np.isin(pieces, np.unique(edge[edge > 0]))
    return np.asarray(ndimage.binary_dilation(outside, np.ones((3, 3))), bool)


def _is_dark_ground(pixels: NDArray[np.uint8]) -> bool:
    """True for colour pictures of fluorescence: mostly dark, and what is not is not pale."""
    light, dark = pixels.max(axis=-1), pixels.min(axis=-1)
    if np.median(light) > 60:
        return False
    lit = light >= 255 * _BLACK
    if not lit.any():
        return True
    # Glass within a black frame is pale; so is a nucleus in a grey picture, but hardly ever white.
    colourless = float(np.mean((light - dark)[lit] < 12)) > 0.99
    return bool(np.quantile(dark[lit], 0.9) < (200 if colourless else 100))


# -- grey and fluorescence ---------------------------------------------------------------------


def _in_grey(plane: Plane, params: TissueParams) -> Mask:
    """What is darker than the bright ground of one grey channel."""
    ground = np.quantile(plane, 0.99)
    od = optical_density(ndimage.gaussian_filter(plane, _FINE) / max(float(ground), 1e-6))
    threshold = params.threshold
    return np.asarray(od > (_otsu_between(od, *_GREY) if threshold is None else threshold), bool)


def _is_bright_ground(plane: Plane) -> bool:
    """True for a grey picture whose commonest values lie near its brightest."""
    values = plane[np.isfinite(plane)]
    low, high = np.quantile(values, (0.005, 0.995)) if len(values) else (0, 0)
    return bool(high > low and np.median(values) > low + 0.75 * (high - low) and low > 0)


def _glowing(planes: NDArray[np.float32]) -> Mask:
    """What rises above the background of any channel."""
    found = np.zeros(planes.shape[1:], bool)
    for plane in planes:
        known = np.nan_to_num(plane, nan=0.0, posinf=0.0, neginf=0.0)
        found |= ndimage.gaussian_filter(known, _FINE) > _background_limit(known)
    return found


def _background_limit(plane: Plane) -> float:
    """Where the background of fluorescence ends, once it is smoothed."""
    smooth, broad = (ndimage.gaussian_filter(plane, sigma) for sigma in (_FINE, _BROAD))
    low, high = (float(v) for v in np.quantile(smooth, (0.001, 0.999)))
    if np.std(broad) <= _GRAIN * np.std(smooth):  # nothing but noise
        return high + 2 * (high - low)
    uneven = ndimage.maximum_filter(broad, 5) - ndimage.minimum_filter(broad, 5)
    ground = (uneven < _EVEN_GLOW * (high - low)) & (broad < low + (high - low) / 4)
    ground = ndimage.binary_erosion(ground, np.ones((5, 5)), border_value=1)
    if ground.mean() < _LEAST_GLASS:  # tissue from edge to edge
        return -np.inf
    level = float(np.median(smooth[ground]))
    noise = 1.5 * float(np.median(np.abs(smooth[ground] - level)))
    return level + max(_NOISE * noise, _RANGE * (high - level))


def _otsu_between(values: NDArray[np.float32], low: float, high: float) -> float:
    """Otsu's threshold, or the nearer bound."""
    from skimage.filters import threshold_otsu

    if not values.size or not np.ptp(values) > 0:
        return high
    counts, edges = np.histogram(values, 256, (0, 4 * high + float(np.quantile(values, 0.99))))
    centres = (edges[:-1] + edges[1:]) / 2
    found = threshold_otsu(hist=(counts, centres))  # type: ignore[no-untyped-call]
    return float(np.clip(found, low, high))


# -- shape -------------------------------------------------------------------------------------


def _tidy(found: Mask, params: TissueParams, cell_um: tuple[float, float]) -> Mask:
    """Without specks, with gaps closed and small holes filled, and with its margin."""
    cell_um2 = cell_um[0] * cell_um[1]
    closed = _near(found, params.bridge_um / 2, cell_um)
    closed = found | ~_near(~closed, params.bridge_um / 2, cell_um)
    # Specks go after closing: together the walls of fat are a piece, one by one they are specks.
    kept = _without_small(closed, params.piece_um2 / cell_um2)
    kept = ~_without_small(~kept, params.hole_um2 / cell_um2)
    return _near(kept, params.margin_um, cell_um)


def _near(mask: Mask, reach_um: float, cell_um: tuple[float, float]) -> Mask:
    """Cells within a distance of the mask; what lies beyond the picture counts for nothing."""
    if reach_um <= 0 or not mask.any():
        return mask
    distance = ndimage.distance_transform_edt(~mask, sampling=cell_um[::-1])
    return np.asarray(distance <= reach_um, bool)


def _without_small(mask: Mask, least_cells: float) -> Mask:
    """Pieces of at least so many cells."""
    pieces, _ = ndimage.label(mask, np.ones((3, 3)))
    large = np.bincount(pieces.reshape(-1)) >= least_cells
    large[0] = False
    return np.asarray(large[pieces], bool)
