"""Finding the reader for a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from napari_histo.errors import ImageError, NoReaderError
from napari_histo.slides._base import BaseReader, Declined
from napari_histo.slides._openslide import OpenSlideReader
from napari_histo.slides._pillow import PillowReader
from napari_histo.slides._tifffile import TiffReader

__all__ = ["SUFFIXES", "open_slide"]

_Factory = Callable[..., BaseReader]
_READERS: dict[str, _Factory] = {
    "tifffile": TiffReader,
    "openslide": OpenSlideReader,
    "pillow": PillowReader,
}
#: Formats that are TIFF inside or beside, but whose scenes and bounds only OpenSlide puts together.
_OPENSLIDE_FIRST = {".ndpi", ".scn", ".mrxs", ".vms", ".vmu", ".bif", ".svslide", ".dcm"}
_PILLOW_FIRST = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".pnm"}
_TIFFFILE_FIRST = {".tif", ".tiff", ".btf", ".tf2", ".tf8", ".svs", ".qptiff", ".lsm", ".stk"}
#: Endings, in lower case, by which images are found in a folder; a file given by name needs none.
SUFFIXES: frozenset[str] = frozenset(_TIFFFILE_FIRST | _OPENSLIDE_FIRST | _PILLOW_FIRST)


def open_slide(path: Path | str, *, z: int = 0, series: int = 0) -> BaseReader:
    """Open an image file with the first reader that takes it.

    Parameters
    ----------
    path : path
        TIFF, OME-TIFF, SVS, NDPI, MRXS, PNG, JPEG, …; the suffix decides who is asked first, never
        who may answer.
    z : int
        Focal plane, from 0.
    series : int
        Which image of a file that holds several, from 0.

    Returns
    -------
    BaseReader
        A `napari_histo.core.slide.SlideReader`. Close it when done, or use it in a ``with``.

    Raises
    ------
    NoReaderError
        Names every reader that was asked and why it declined.
    ImageError
        The file is missing, a folder, empty, truncated or damaged; or there is no such plane or
        image in it.
    """
    path = Path(path).expanduser()
    _check_file(path)
    declined: list[tuple[str, str]] = []
    for name in _order(path.suffix.lower()):
        try:
            return _READERS[name](path, z=z, series=series)
        except Declined as reason:
            declined.append((name, str(reason)))
        except ImageError as error:
            raise _naming(path, error) from error
    raise NoReaderError(path, declined)


def _order(suffix: str) -> list[str]:
    first = "openslide" if suffix in _OPENSLIDE_FIRST else "tifffile"
    first = "pillow" if suffix in _PILLOW_FIRST else first
    return [first, *(name for name in _READERS if name != first)]


def _check_file(path: Path) -> None:
    if not path.exists():
        raise ImageError(f"There is no file {path}. Check the path and its spelling.")
    if path.is_dir():
        raise ImageError(f"{path} is a folder. Give one image file in it.")
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise ImageError(f"{path} is empty (0 bytes). Copy or export it again.")
    except OSError as error:
        raise ImageError(
            f"{path} cannot be opened: {error.strerror}. Check that it is yours to read."
        ) from error


def _naming(path: Path, error: ImageError) -> ImageError:
    """The same error with the file's name, where its text lacks it."""
    text = str(error)
    return error if path.name in text else ImageError(f"{path}: {text}")
