"""Cellpose's size models: from the style of an image to the diameter of its objects.

A linear regression of the logarithm of the diameter on the style, as ``cellpose.models.SizeModel``
of versions 1 to 3 has it (Stringer et al., Nature Methods 2021). Its files are pickled
dictionaries; they are read by an unpickler that makes numpy arrays and numbers, and nothing else.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.errors import ModelError

__all__ = ["SizeModel", "find_size_file", "read_size_model"]

_LEAST_PX = 5.0


def _encode(text: str, codec: str) -> bytes:
    """Bytes, as Python 2 and old protocols wrote them."""
    if codec != "latin1":
        raise _RefusedError(f"text in {codec}")
    return text.encode("latin1")


#: What pickled numpy arrays and numbers are made of; numpy 2 renamed its own modules.
_ALLOWED = {
    ("multiarray", "_reconstruct"): np.zeros(0).__reduce__()[0],
    ("multiarray", "scalar"): np.float64(0).__reduce__()[0],
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _encode,
}


@dataclass(frozen=True, eq=False)
class SizeModel:
    """The regression.

    Attributes
    ----------
    slope, mean_style : (d,) float64
    log_px : float
        Logarithm of the diameter at the mean style.
    """

    slope: NDArray[np.float64]
    mean_style: NDArray[np.float64]
    log_px: float

    def diameter_px(self, style: NDArray[np.floating]) -> float:
        """Diameter of the objects of an image with this style, px of that image."""
        return max(_LEAST_PX, float(np.exp(self.slope @ (style - self.mean_style) + self.log_px)))


def find_size_file(network: Path) -> Path | None:
    """The size model that belongs to a network's file, where it lies beside it."""
    names = (f"size_{network.name}.npy", f"{network.name}_size.npy")
    return next((p for p in map(network.with_name, names) if p.is_file()), None)


def read_size_model(path: Path, style_length: int) -> SizeModel:
    """Read ``size_*.npy``; nothing in it is ever run.

    Parameters
    ----------
    path : Path
    style_length : int
        Of the network's styles.

    Raises
    ------
    ModelError
        The file holds something else, or is damaged.
    """
    try:
        words = _unpickled(path.read_bytes())
        slope, mean = (np.asarray(words[k], np.float64).ravel() for k in ("A", "smean"))
        px, log = (np.asarray(words[k], np.float64).item() for k in ("diam_mean", "ymean"))
        with np.errstate(all="ignore"):
            log += np.log(px)
    except _RefusedError as error:
        raise ModelError(
            f"{path} is refused: it holds more than the numbers of a size model ({error}), and "
            "reading it could run a stranger's code. Delete it, or give --diameter."
        ) from error
    except Exception as error:  # pickle, numpy and dictionaries have no common error
        raise _damaged(path, f"{type(error).__name__}: {error}") from error
    if not len(slope) == len(mean) == style_length:
        raise _damaged(path, f"for styles of {len(slope)} numbers, and not {style_length}")
    if not (np.isfinite(slope).all() and np.isfinite(mean).all() and np.isfinite(log)):
        raise _damaged(path, "it holds values that are not finite")
    return SizeModel(slope, mean, float(log))


class _RefusedError(Exception):
    """Something else than numbers."""


class _NumbersOnly(pickle.Unpickler):
    """Makes numpy arrays and numbers; whatever else a pickle asks for is refused."""

    def find_class(self, module: str, name: str) -> Any:
        place = module.rpartition(".")[2] if module.startswith("numpy.") else module
        if (place, name) not in _ALLOWED:
            raise _RefusedError(f"{module}.{name}")
        return _ALLOWED[place, name]

    def persistent_load(self, pid: Any) -> Any:
        raise _RefusedError("a reference to something outside")


def _unpickled(data: bytes) -> Mapping[str, Any]:
    """The dictionary in a file that `numpy.save` made of one."""
    stream = BytesIO(data)
    version = np.lib.format.read_magic(stream)
    read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
        version, np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read(stream)
    if shape or not dtype.hasobject:
        raise ValueError(f"an array of {shape} {dtype} instead of a dictionary")
    found = _NumbersOnly(stream, encoding="latin1").load()
    words = found.item() if isinstance(found, np.ndarray) else found
    if not isinstance(words, Mapping):
        raise ValueError(f"{type(words).__name__} instead of a dictionary")
    return words


def _damaged(path: Path, why: str) -> ModelError:
    return ModelError(
        f"{path} is no size model of this Cellpose network: {why}. Copy it again, delete it, or "
        "give --diameter."
    )
