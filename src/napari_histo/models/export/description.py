"""The bioimage.io description (format 0.5) of a StarDist model in ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_histo.models.export.parts import Parts

__all__ = ["describe_onnx"]

_FORMAT = "0.5.4"
_PAPERS = {
    "10.1007/978-3-030-00934-2_30": (
        "Schmidt et al., Cell Detection with Star-convex Polygons, 2018"
    ),
    "10.1109/ISBIC56247.2022.9854534": (
        "Weigert and Schmidt, Nuclei Instance Segmentation and Classification in Histopathology "
        "Images with StarDist, 2022"
    ),
}


def describe_onnx(
    path: Path, parts: Parts, weights: str, sums: Mapping[str, str], *, opset: int
) -> None:
    """Write it.

    Parameters
    ----------
    path : Path
    parts : Parts
    weights : str
        File of the network, beside `path`.
    sums : mapping of str to str
        SHA-256 of the files beside `path`.
    opset : int
    """
    import yaml

    text = yaml.safe_dump(
        _words(parts, weights, sums, opset), sort_keys=False, allow_unicode=True, width=100
    )
    path.write_text(text, encoding="utf-8")


def _words(parts: Parts, weights: str, sums: Mapping[str, str], opset: int) -> dict[str, Any]:
    info = parts.info
    return {
        "format_version": _FORMAT,
        "type": "model",
        "name": info.name,
        "description": info.description or f"StarDist 2D: {info.name}",
        "authors": [{"name": str(name)} for name in parts.card.get("authors") or ["unknown"]],
        "cite": [{"text": text, "doi": doi} for doi, text in _PAPERS.items()],
        "license": info.licence,
        "documentation": "README.md",
        "tags": ["stardist", "nuclei", "instance-segmentation", "2d"],
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        "inputs": [_input(parts, sums)],
        "outputs": [_output(parts, sums)],
        "weights": {"onnx": {"source": weights, "sha256": sums[weights], "opset_version": opset}},
        "config": {"stardist": _stardist(parts), "napari_histo": _own(parts)},
    }


def _input(parts: Parts, sums: Mapping[str, str]) -> dict[str, Any]:
    config = parts.net.config
    low, high = parts.percentiles
    names = ["red", "green", "blue"] if config.n_channel_in == 3 else None
    names = names or [f"channel{i}" for i in range(config.n_channel_in)]
    step = max(config.divisor)
    size = {"min": step, "step": step}
    return {
        "id": "input",
        "description": "An image at the model's pixel size",
        "axes": [
            {"type": "batch", "size": 1},
            {"type": "channel", "channel_names": names},
            *({"type": "space", "id": axis, "size": dict(size), **_scale(parts)} for axis in "yx"),
        ],
        "data": {"type": "float32"},
        "preprocessing": [
            {
                "id": "scale_range",
                "kwargs": {
                    "axes": ["channel", "y", "x"],
                    "min_percentile": low,
                    "max_percentile": high,
                },
            }
        ],
        "test_tensor": {"source": "test_input.npy", "sha256": sums["test_input.npy"]},
    }


def _output(parts: Parts, sums: Mapping[str, str]) -> dict[str, Any]:
    config = parts.net.config
    names = ["probability", *(f"ray{i}" for i in range(config.n_rays))]
    if config.n_classes is not None:
        names += [f"class{i}" for i in range(config.n_classes + 1)]
    grid = dict(zip("yx", config.grid, strict=True))
    return {
        "id": "output",
        "description": "Probability, distances in px of the input, class shares",
        "axes": [
            {"type": "batch", "size": 1},
            {"type": "channel", "channel_names": names},
            *(
                {
                    "type": "space",
                    "id": axis,
                    "size": {"tensor_id": "input", "axis_id": axis},
                    **_scale(parts, grid[axis]),
                }
                for axis in "yx"
            ),
        ],
        "data": {"type": "float32"},
        "test_tensor": {"source": "test_output.npy", "sha256": sums["test_output.npy"]},
    }


def _scale(parts: Parts, pixels: int = 1) -> dict[str, Any]:
    size = parts.info.pixel_size_um
    if size is None:
        return {"scale": float(pixels)}
    return {"scale": size * pixels, "unit": "micrometer"}


def _stardist(parts: Parts) -> dict[str, Any]:
    """As StarDist's own export names things."""
    thresholds = parts.info.thresholds
    return {
        "thresholds": {"prob": thresholds.prob, "nms": thresholds.nms},
        "config": parts.net.config.to_dict(),
    }


def _own(parts: Parts) -> dict[str, Any]:
    info, config = parts.info, parts.net.config
    return {
        "pixel_size_um": info.pixel_size_um,
        "pixel_size_nominal": info.pixel_size_nominal,
        "channels": info.channels,
        "classes": list(info.classes.names),
        "margin_px": config.margin_px,
        "align_px": max(config.divisor),
    }
