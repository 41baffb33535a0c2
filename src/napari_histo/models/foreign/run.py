"""ONNX and TorchScript networks as one function from arrays to arrays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.errors import MissingDependencyError, ModelError
from napari_histo.models._device import pick_device
from napari_histo.models._reasons import reason_of
from napari_histo.models.shelf.places import sha256_of

__all__ = ["Run", "check_sum", "run_onnx", "run_script"]

#: From the network's input to its only output, both in its own order of axes.
Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def check_sum(weights: Path, sha256: str | None) -> str:
    """SHA-256 of a file; raises ModelError where it is not the one that its description names."""
    if not weights.is_file():
        raise ModelError(f"{weights} is missing. Copy or download the model's folder again.")
    found = sha256_of(weights)
    if sha256 is not None and found != sha256.lower():
        raise ModelError(
            f"{weights} is not the file that its description names: its SHA-256 is {found}, wanted "
            f"is {sha256}. Download the model again."
        )
    return found


def run_onnx(weights: Path, device: str) -> tuple[Run, str]:
    """A network in ONNX Runtime, and the device that it runs on.

    Raises
    ------
    ModelError
        The file is damaged, or there is no such device.
    MissingDependencyError
        ONNX Runtime is not installed.
    """
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise MissingDependencyError(
            "ONNX models need ONNX Runtime: pip install 'napari-histo[onnx]'"
        ) from error
    with_cuda = "CUDAExecutionProvider" in ort.get_available_providers()
    if device == "cuda" and not with_cuda:
        raise ModelError(
            "ONNX Runtime runs on the processor only here. Choose the device 'cpu', or install "
            "onnxruntime-gpu in place of onnxruntime."
        )
    on_cuda = with_cuda and device in ("auto", "cuda")
    providers = [*(["CUDAExecutionProvider"] if on_cuda else []), "CPUExecutionProvider"]
    options = ort.SessionOptions()
    options.log_severity_level = 4  # errors are raised as well
    try:
        session = ort.InferenceSession(str(weights), options, providers=providers)
        (name,) = [one.name for one in session.get_inputs()]
    except Exception as error:  # ONNX Runtime has no common error
        raise _damaged(weights, "ONNX", error) from error

    def run(image: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(session.run(None, {name: image})[0], np.float32)

    return run, "cuda" if on_cuda else "cpu"


def run_script(weights: Path, device: str) -> tuple[Run, str]:
    """A TorchScript network, and the device that it runs on; its code is run from now on.

    Raises
    ------
    ModelError
        The file is damaged, or there is no such device.
    """
    import torch

    where = pick_device(device)
    try:
        script: Any = torch.jit.load(str(weights), map_location=where)  # type: ignore[no-untyped-call]
        script.eval()
    except Exception as error:  # RuntimeError, pickle's and zipfile's errors
        raise _damaged(weights, "TorchScript", error) from error

    def run(image: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            answer = script(torch.from_numpy(np.ascontiguousarray(image)).to(where))
        if isinstance(answer, tuple | list):
            answer = answer[0]
        found: NDArray[np.float32] = answer.float().cpu().numpy()
        return found

    return run, where


def _damaged(weights: Path, kind: str, error: Exception) -> ModelError:
    return ModelError(
        f"{weights} is no whole {kind} network: {reason_of(error)}. Copy or download the model "
        "again."
    )
