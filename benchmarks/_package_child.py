"""The stardist package's side of `segmentation.py`; prints one line of JSON."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np


def build(folder: Path) -> tuple[Any, dict[str, float]]:
    """The package's model with our weights, and its thresholds."""
    from stardist.models import Config2D, StarDist2D

    job = json.loads((folder / "job.json").read_text())
    names = (
        *("n_rays", "grid", "n_channel_in", "n_classes", "unet_n_depth", "unet_kernel_size"),
        *("unet_n_filter_base", "unet_n_conv_per_depth", "unet_pool", "unet_activation"),
        *("unet_last_activation", "net_conv_after_unet"),
    )
    words = {k: job["config"][k] for k in names}
    words = {k: tuple(v) if isinstance(v, list) else v for k, v in words.items()}
    model = StarDist2D(Config2D(**words), name="bench", basedir=None)
    weights = np.load(folder / "weights.npz")
    numbered = [layer for layer in model.keras_model.layers if layer.name.startswith("conv2d")]
    # Keras numbers these by itself, and not always from 0.
    alias = {layer.name: f"conv2d_{i}" if i else "conv2d" for i, layer in enumerate(numbered)}
    for layer in model.keras_model.layers:
        name = alias.get(layer.name, layer.name)
        if layer.get_weights():
            layer.set_weights([weights[f"{name}/kernel"], weights[f"{name}/bias"]])
    return model, {f"{k}_thresh": v for k, v in job["thresholds"].items()}


def main() -> None:
    folder = Path(sys.argv[1])
    model, thresholds = build(folder)
    rounds = json.loads((folder / "job.json").read_text())["rounds"]
    images = np.load(folder / "images.npy")

    def run(batch: np.ndarray) -> int:
        return sum(len(model.predict_instances(i, **thresholds)[1]["prob"]) for i in batch)

    def timed(batch: np.ndarray, rounds: int) -> float:
        run(batch)
        spent = []
        for _ in range(rounds):
            start = time.perf_counter()
            run(batch)
            spent.append((time.perf_counter() - start) * 1e3)
        return median(spent)

    result = {
        "one_ms": timed(images[:1], rounds),
        "stream_ms": timed(images, max(1, rounds // 3)),
        "objects": run(images[:1]),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
