"""Named tensors from files of weights, and plain words for files that hold something else."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from napari_histo.errors import ModelError
from napari_histo.models._reasons import reason_of
from napari_histo.models.shelf.kinds import check_weights_file

__all__ = ["damaged", "read_weights"]


def read_weights(path: Path) -> dict[str, Tensor]:
    """Named tensors of a torch or safetensors file; nothing in it is ever run.

    Raises
    ------
    ModelError
        The file is missing, cut off, something else, or holds more than weights.
    """
    if not path.is_file():
        raise ModelError(f"{path} is missing. Give the path of a Cellpose model file.")
    check_weights_file(path)
    try:
        found = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    except pickle.UnpicklingError as error:
        raise _refused(path, error) from error
    except Exception as error:  # torch, zipfile and safetensors have no common error
        raise damaged(path, reason_of(error)) from error
    if not isinstance(found, Mapping) or not all(isinstance(v, Tensor) for v in found.values()):
        raise damaged(path, "it holds no named weights")
    return {str(k).removeprefix("module."): v.float() for k, v in found.items()}


def damaged(path: Path, why: object) -> ModelError:
    """What to say of a file that holds less than a network."""
    return ModelError(f"{path} is no whole Cellpose model: {why}. Copy or download the file again.")


def _read_torch(path: Path) -> Any:
    # Of large files what is looked at alone is read; older ones are no archives.
    mapped = zipfile.is_zipfile(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of pickles that it then refuses anyway
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)


def _read_safetensors(path: Path) -> Any:
    from safetensors.torch import load_file

    return load_file(path)


def _refused(path: Path, error: pickle.UnpicklingError) -> ModelError:
    """Torch's own advice is to read it all the same; ours is not."""
    program = re.search(r"GLOBAL (\S+)", str(error))
    what = f"the program {program[1]} in it" if program else "what is in it"
    return ModelError(
        f"{path} is refused: it holds more than weights, or is damaged, and reading {what} could "
        "run a stranger's code. Ask for the weights alone (a state dict, as Cellpose writes it, or "
        "safetensors)."
    )
