"""PNG, JPEG, BMP and other plain pictures through Pillow: decoded once, whole."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core.box import Box
from napari_histo.core.pixel_size import PixelSize
from napari_histo.core.slide import SlideInfo
from napari_histo.errors import ImageError
from napari_histo.slides._base import BaseReader, Declined, check_single, default_channel_names
from napari_histo.slides._physical import MICRONS, from_resolution
from napari_histo.slides._pixels import compose_on_white

__all__ = ["PillowReader"]

_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM")
#: Pillow's mode to the one that is read; the others become RGB.
_AS_IS = {"L": "L", "LA": "LA", "RGB": "RGB", "RGBA": "RGBA", "F": "F", "I": "I"}
_GREY_16 = ("I;16", "I;16B", "I;16L", "I;16N")


class PillowReader(BaseReader):
    """A picture held in memory; opacity falls onto white, palettes become colours.

    Pixels come as they are stored: an orientation in EXIF is not applied. Pillow gives 16 bits for
    grey alone; colour PNG of 16 bits comes as 8.

    Parameters
    ----------
    path : Path
        PNG, JPEG, BMP, GIF (first frame), WebP or PPM.
    z, series : int
        Only 0 exists.

    Raises
    ------
    Declined
        Pillow does not know the file.
    ImageError
        It does, but the file is damaged or too large to be decoded whole.
    """

    def __init__(self, path: Path, *, z: int = 0, series: int = 0) -> None:
        pixels, pixel_size, kind = _decode(path)
        check_single(path.name, z, series)
        is_rgb = pixels.shape[2] == 3
        super().__init__(
            SlideInfo(
                name=path.name,
                path=str(path),
                level_shapes=((pixels.shape[0], pixels.shape[1]),),
                level_downsamples=(1.0,),
                dtype=pixels.dtype,
                channel_names=("Red", "Green", "Blue") if is_rgb else default_channel_names(1),
                is_rgb=is_rgb,
                pixel_size=pixel_size,
                metadata={"reader": "pillow", "format": kind},
            )
        )
        self._pixels: NDArray[Any] | None = pixels

    def _read_inside(self, box: Box, level: int) -> NDArray[Any]:
        assert self._pixels is not None
        return self._pixels[box.y : box.bottom, box.x : box.right].copy()

    def _release(self) -> None:
        self._pixels = None


def _decode(path: Path) -> tuple[NDArray[Any], PixelSize | None, str]:
    """(h, w, 1 or 3) pixels, the pixel size and the format's name."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # Below its hard limit Pillow only warns; twice that is still fine to hold.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as image:
                pixels = _to_array(image)
                return pixels, _pixel_size(dict(image.info)), str(image.format)
    except UnidentifiedImageError:
        raise Declined("not a PNG, JPEG, BMP, GIF, WebP or PPM file") from None
    except Image.DecompressionBombError as error:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
        raise ImageError(
            f"{path.name} is too large for a plain picture, which must be decoded whole: {error} "
            f"At most {limit} million pixels are allowed. Convert it to a pyramidal TIFF "
            "(for example: vips tiffsave IN OUT --tile --pyramid --compression jpeg) and open that."
        ) from error
    except Exception as error:
        # Pillow raises OSError, SyntaxError, ValueError, EOFError and others on damaged files.
        raise ImageError(
            f"{path.name} cannot be decoded: {error}. It is truncated or damaged; "
            "copy or export it again."
        ) from error


def _to_array(image: Any) -> NDArray[Any]:
    if image.mode == "1":
        image = image.convert("L")
    elif image.mode in _GREY_16:
        return np.asarray(image).astype(np.uint16)[..., None]
    elif image.mode in ("P", "PA"):
        has_alpha = image.mode == "PA" or "transparency" in image.info
        image = image.convert("RGBA" if has_alpha else "RGB")
    elif image.mode not in _AS_IS:
        image = image.convert("RGB")
    pixels = np.array(image)
    if image.mode == "I" and pixels.min() >= 0 and pixels.max() <= 65535:
        # 16-bit PNG comes as 32-bit integers from some versions of Pillow.
        pixels = pixels.astype(np.uint16)
    if pixels.ndim == 2:
        return pixels[..., None]
    return compose_on_white(pixels) if image.mode in ("LA", "RGBA") else pixels


def _pixel_size(info: dict[Any, Any]) -> PixelSize | None:
    dpi = info.get("dpi")
    if not dpi or len(dpi) != 2:
        return None
    return from_resolution(float(dpi[0]), float(dpi[1]), MICRONS["inch"])
