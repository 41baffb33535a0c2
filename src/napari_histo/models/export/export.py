"""StarDist models for other programs: the stock folder, and ONNX for QuPath and others."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_histo.errors import ModelError, WriteError
from napari_histo.models import registry
from napari_histo.models.export.parts import Parts
from napari_histo.models.shelf.folder import SHIPPED_WEIGHTS, read_percentiles
from napari_histo.store.write import atomic_path

if TYPE_CHECKING:
    pass

__all__ = ["Exported", "export_model"]

Format = Literal["stock", "onnx"]


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes
    ----------
    folder : Path
    files : tuple of str
        In it.
    difference : float or None
        Largest difference from torch on a test image (probability; px); None where the program
        that would tell is not installed.
    """

    folder: Path
    files: tuple[str, ...]
    difference: float | None = None


def export_model(name: str, folder: Path | str, format_: Format) -> Exported:
    """Write a StarDist model for other programs, whole or not at all.

    Parameters
    ----------
    name : str
        As of `load_model`.
    folder : path
        To be made.
    format_ : {"stock", "onnx"}
        ``stock`` is what the ``stardist`` package loads; ``onnx`` what QuPath's StarDist extension
        does, with a script for it and a bioimage.io description.

    Raises
    ------
    ModelError
        It is no StarDist model, or what was written answers otherwise than the model.
    WriteError
        The folder is there already, or cannot be made.
    """
    target = Path(folder).expanduser().absolute()
    if target.exists():
        raise WriteError(f"{target} is there already. Choose another folder, or delete it.")
    from napari_histo.models.export.onnx_file import write_onnx

    parts = _take_apart(name)
    writers: dict[Format, Callable[[Path, Parts, Path], float | None]] = {
        "stock": _write_stock,
        "onnx": write_onnx,
    }
    with atomic_path(target, folder=True) as work:
        difference = writers[format_](work, parts, target)
        _write_card(work, parts)
        files = sorted(p.name for p in work.iterdir())
    return Exported(target, tuple(files), difference)


def _take_apart(name: str) -> Parts:
    from napari_histo.models.shelf.cards import full_card
    from napari_histo.models.stardist.files import load_shipped, load_stock

    info = registry.get_info(name)
    if info.family != "stardist":
        raise ModelError(
            f"The model {name!r} is of the family {info.family!r}; only StarDist models can be "
            "written for other programs."
        )
    path = registry.model_folder(name)
    ours = (path / SHIPPED_WEIGHTS).is_file()
    net, thresholds = load_shipped(path) if ours else load_stock(path)
    info = replace(info, thresholds=thresholds)
    here = ("path", "origin", "record")  # what concerns this machine
    card = {key: value for key, value in full_card(name).items() if key not in here}
    return Parts(net, info, read_percentiles(path), card)


def _write_stock(work: Path, parts: Parts, _target: Path) -> None:
    from napari_histo.models.stardist.files import save_stock

    save_stock(work, parts.net, parts.info.thresholds)


def _write_card(work: Path, parts: Parts) -> None:
    """``card.json`` and, where there is one, ``CARD.md``; the checksum was of other files."""
    card = {k: v for k, v in parts.card.items() if k not in ("sha256", "size_bytes")}
    card |= {"percentiles": list(parts.percentiles)}
    text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
    (work / "card.json").write_text(text, encoding="utf-8")
    words = registry.model_folder(parts.info.name) / "CARD.md"
    if words.is_file():
        shutil.copyfile(words, work / words.name)
