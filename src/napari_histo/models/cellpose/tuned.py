"""Cellpose-SAM fine-tuned here: the weights that learned, and which file they belong to.

A file of Cellpose-SAM has 1.2 GB, and what learns of it by default 3.6 MB. So a folder holds these
alone, under the names that they have in the file, and says which file that is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_histo.core import Thresholds
from napari_histo.errors import ModelError
from napari_histo.models.shelf.folder import SHIPPED_WEIGHTS, read_json

if TYPE_CHECKING:
    from torch import Tensor

    from napari_histo.models.cellpose.sam import SamNet

__all__ = ["BaseFile", "find_base", "is_tuned", "load_tuned_net", "read_tuned", "save_tuned"]

_ARCHITECTURE = "cellpose-sam"


@dataclass(frozen=True)
class BaseFile:
    """A file of Cellpose-SAM that fine-tuned weights belong to.

    Attributes
    ----------
    path : str
        Where it was.
    sha256 : str
    size_bytes : int
    """

    path: str
    sha256: str
    size_bytes: int

    @classmethod
    def of(cls, path: Path) -> BaseFile:
        """A file that is there."""
        from napari_histo.models.shelf.places import sha256_of

        return cls(str(path.absolute()), sha256_of(path), path.stat().st_size)


def is_tuned(path: Path) -> bool:
    """True for such a folder."""
    return (path / SHIPPED_WEIGHTS).is_file()


def save_tuned(
    folder: Path, base: BaseFile, learned: Mapping[str, Tensor], thresholds: Thresholds
) -> None:
    """Write all files but the card.

    The weights' file names its base by SHA-256 too, so that its own hash stands for both.
    """
    from safetensors.torch import save_file

    weights = {k: v.detach().cpu().float().contiguous() for k, v in sorted(learned.items())}
    save_file(weights, folder / SHIPPED_WEIGHTS, {"base_sha256": base.sha256})
    (folder / SHIPPED_WEIGHTS).chmod(0o644)  # safetensors writes for the owner alone
    config = {"architecture": _ARCHITECTURE, "base": asdict(base)}
    for name, told in {"config.json": config, "thresholds.json": asdict(thresholds)}.items():
        (folder / name).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def read_tuned(folder: Path) -> tuple[BaseFile, dict[str, Tensor]]:
    """The base, which may be elsewhere by now, and the weights that learned.

    Raises
    ------
    ModelError
        The folder is damaged.
    """
    from napari_histo.models.cellpose.reading import read_weights

    config = read_json(folder / "config.json")
    told = config.get("base")
    names = set(BaseFile.__dataclass_fields__)
    if config.get("architecture") != _ARCHITECTURE or not isinstance(told, dict):
        raise _damaged(folder, "it names no file of Cellpose-SAM that it belongs to")
    if set(told) != names or not isinstance(told["path"], str):
        raise _damaged(folder, f"of that file wanted are {', '.join(sorted(names))}")
    return BaseFile(**told), read_weights(folder / SHIPPED_WEIGHTS)


def load_tuned_net(folder: Path, *, precision: str) -> SamNet:
    """The whole network, from a folder and the file that it belongs to.

    Raises
    ------
    ModelError
        The folder is damaged, or the file is not here.
    MissingDependencyError
    """
    from napari_histo.models.cellpose.reading import read_weights
    from napari_histo.models.cellpose.sam import load_sam_net

    base, learned = read_tuned(folder)
    weights = read_weights(find_base(folder, base)) | learned
    return load_sam_net(folder / SHIPPED_WEIGHTS, weights, precision=precision)


def find_base(folder: Path, base: BaseFile) -> Path:
    """The file that fine-tuned weights belong to: where it was, above them, or Cellpose's own.

    Raises
    ------
    ModelError
        It is in none of these places, or another by now.
    """
    from napari_histo.models.shelf.places import sha256_of

    tried = list(dict.fromkeys(_places(folder, base)))
    for path in tried:
        alike = path.is_file() and path.stat().st_size == base.size_bytes
        if alike and sha256_of(path) == base.sha256:
            return path
    raise ModelError(
        f"{folder} holds what a fine-tuning of Cellpose-SAM changed, and belongs to the file "
        f"{Path(base.path).name} (SHA-256 {base.sha256}, {base.size_bytes / 1e6:.0f} MB), which is "
        f"not here. Copy that file to {base.path}, into this folder, or into one that holds it."
    )


def _places(folder: Path, base: BaseFile) -> Iterator[Path]:
    from napari_histo.models.cellpose.files import find_published

    name = Path(base.path).name
    yield Path(base.path)
    yield from (place / name for place in (folder, *folder.absolute().parents))
    yield from find_published().values()


def _damaged(folder: Path, why: str) -> ModelError:
    return ModelError(
        f"{folder / 'config.json'} describes no fine-tuned Cellpose-SAM: {why}. Copy the folder "
        "again."
    )
