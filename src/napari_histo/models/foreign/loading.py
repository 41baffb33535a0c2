"""A described network's folder as a segmenter; code runs only where it is trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_histo.core import ModelInfo, Segmenter
from napari_histo.errors import ModelError
from napari_histo.models.foreign.description import Description, read_description
from napari_histo.models.foreign.maps import ForeignMaps
from napari_histo.models.foreign.run import check_sum, run_onnx, run_script
from napari_histo.models.foreign.segmenter import ForeignNet, ForeignStars

__all__ = ["FOREIGN_FAMILIES", "load_foreign"]

FOREIGN_FAMILIES = ("onnx", "torchscript")


def load_foreign(
    folder: Path, info: ModelInfo, *, device: str = "auto", record: Mapping[str, Any] | None = None
) -> Segmenter:
    """A segmenter from a folder with a description.

    Parameters
    ----------
    folder : Path
    info : ModelInfo
    device : {"auto", "cpu", "cuda", "mps"}
    record : mapping, optional
        What ``added.json`` says; TorchScript is loaded only where the user trusted this very file.

    Raises
    ------
    ModelError
        The folder is damaged, not trusted, or the network answers otherwise than described.
    MissingDependencyError
        ONNX Runtime is not installed.
    """
    words = read_description(folder)
    found = check_sum(words.weights, words.sha256)
    if info.family == "torchscript":
        _check_trust(words, found, record or {})
    run, where = (run_script if info.family == "torchscript" else run_onnx)(words.weights, device)
    net = ForeignNet(words, run, where)
    net.check()
    info = replace(info, sha256=found, size_bytes=words.weights.stat().st_size)

    def on_cpu() -> Segmenter:
        return load_foreign(folder, info, device="cpu", record=record)

    if words.answer == "stars":
        return ForeignStars(net, info, on_cpu)
    return ForeignMaps(net, info, on_cpu)


def _check_trust(words: Description, found: str, record: Mapping[str, Any]) -> None:
    known = words.sha256 is not None
    trusted = record.get("trusted") and found in (record.get("files") or {}).values()
    if known and trusted:
        return
    why = "" if known else " Its description names no SHA-256, and without one it is never run."
    raise ModelError(
        f"The model {words.info.name!r} is TorchScript, a program that could do anything here."
        f"{why} If you trust whoever made it, add it with 'napari-histo models add FOLDER --trust'."
    )
