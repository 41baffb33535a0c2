"""What the stardist package finds, on TensorFlow; run as a program of its own.

    python parity_child.py FOLDER

FOLDER/cases.json maps names to {seed, n_classes, grid, batch_norm, channels}. For each, makes a
StarDist2D model with seeded random weights in FOLDER/NAME/model (the stock files), predicts
FOLDER/NAME/image.npy (normalised), and writes FOLDER/NAME/found.npz: labels, points, prob, coord
and, with classes, class_id. TensorFlow and a napari canvas crash in one process, hence the program.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np


def main() -> None:
    folder = Path(sys.argv[1])
    for name, case in json.loads((folder / "cases.json").read_text()).items():
        run(folder / name, **case)


def run(folder: Path, *, seed, n_classes, grid, batch_norm, channels) -> None:
    from stardist.models import Config2D, StarDist2D

    config = Config2D(
        n_rays=32,
        grid=(grid, grid),
        n_channel_in=channels,
        n_classes=n_classes,
        unet_n_depth=2,
        unet_n_filter_base=8,
        net_conv_after_unet=16,
        unet_batch_norm=batch_norm,
    )
    model = StarDist2D(config, name="model", basedir=str(folder))
    image = np.load(folder / "image.npy")
    _seed_weights(model.keras_model, seed, image)
    model.keras_model.save_weights(str(_weights_path(folder / "model")))
    for odd in (folder / "model").glob("weights_best.weights.h5"):
        odd.rename(odd.with_name("weights_best.h5"))
    model.thresholds = {"prob": 0.55, "nms": 0.3}
    (folder / "model" / "thresholds.json").write_text('{"prob": 0.55, "nms": 0.3}')
    labels, found = model.predict_instances(image)
    np.savez(folder / "found.npz", labels=labels, **found)


def _weights_path(folder: Path) -> Path:
    import keras

    # Keras 3 insists on this ending; the stock name is given afterwards.
    modern = int(keras.__version__.split(".")[0]) >= 3
    return folder / ("weights_best.weights.h5" if modern else "weights_best.h5")


def _seed_weights(net, seed: int, image) -> None:
    """Random weights whose outputs look like those of a trained network on this image."""
    rng = np.random.default_rng(seed)
    for layer in net.layers:
        fresh = [_fresh(w, rng) for w in layer.get_weights()]
        if fresh:
            layer.set_weights(fresh)
    _spread(net, "prob", image, mean=0.0, std=2.0)
    _spread(net, "dist", image, mean=7.0, std=1.5)


def _fresh(weight, rng):
    if weight.ndim > 1:
        fan_in = np.prod(weight.shape[:-1])
        return rng.normal(0, np.sqrt(2 / fan_in), weight.shape).astype(np.float32)
    return (np.abs(weight) + rng.uniform(0, 0.1, weight.shape)).astype(np.float32)


def _spread(net, name: str, image, *, mean: float, std: float) -> None:
    import keras

    head = net.get_layer(name)
    features = keras.Model(net.inputs, head.input)
    sides = [s - s % 16 for s in image.shape[:2]]
    patch = image[: sides[0], : sides[1]].reshape(1, *sides, -1)
    kernel, bias = head.get_weights()
    raw = features.predict(patch, verbose=0) @ kernel[0, 0]
    kernel = kernel * (std / raw.std())
    bias = mean - (raw * (std / raw.std())).mean(axis=(0, 1, 2))
    head.set_weights([kernel, bias.astype(np.float32)])


if __name__ == "__main__":
    main()
