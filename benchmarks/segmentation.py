"""How much our segmentation adds to the bare network, beside the stardist package.

    python benchmarks/segmentation.py [--rounds N] [--stream N] [--threads N]

One run, same weights (he-nuclei), same 1024 x 1024 picture, then a stream of several. Prints
medians in milliseconds and ratios to the bare float32 forward. The package runs TensorFlow in a
process of its own (extra `parity`); it is left out where that is missing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

SIDE = 1024


def picture(seed: int = 0) -> np.ndarray:
    """(SIDE, SIDE, 3) uint8: StarDist's real H&E picture, mirrored to fill the square."""
    from stardist.data import test_image_he_2d

    image = np.roll(test_image_he_2d(), 37 * seed, axis=(0, 1))
    height, width = image.shape[:2]
    return np.pad(
        image, ((0, max(0, SIDE - height)), (0, max(0, SIDE - width)), (0, 0)), mode="reflect"
    )[:SIDE, :SIDE]


def side_by_side(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median milliseconds of each, in turns, so that a busy moment hits all of them alike."""
    spent: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if turn:  # the first is to warm up
                spent[name].append((time.perf_counter() - start) * 1e3)
    return {name: median(values) for name, values in spent.items()}


def timed(work: Callable[[], object], rounds: int) -> float:
    """Median milliseconds of `rounds` calls after one to warm up."""
    work()
    spent = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        spent.append((time.perf_counter() - start) * 1e3)
    return median(spent)


def normalizer(model: Any, image: np.ndarray) -> Any:
    """The range that the pipeline would find for `image`."""
    from napari_histo.ops.normalize import Normalizer

    pixels = image.reshape(-1, 3)[::3]
    return Normalizer.from_samples(pixels, model.percentiles, is_8bit_rgb=True)


def ours(model: Any, images: list[np.ndarray]) -> list[int]:
    """Number of objects of each image, through the whole pipeline."""
    from napari_histo.core import PixelSize
    from napari_histo.pipeline import segment
    from napari_histo.slides import ArrayReader

    counts = []
    for image in images:
        reader = ArrayReader(image, name="bench", pixel_size=PixelSize.square(0.25), is_rgb=True)
        work = segment(reader, model)
        while True:
            try:
                next(work)
            except StopIteration as end:
                counts.append(len(end.value.table))
                break
    return counts


def stages(model: Any, image: np.ndarray, rounds: int) -> dict[str, float]:
    """Milliseconds of each step on one image, in the pipeline's order."""

    def normalise() -> np.ndarray:
        return normalizer(model, image).apply(image)

    batch = normalise()[None]
    found = model.propose(batch, model.info.thresholds.prob)[0]
    kept = found.take(model.select(found, model.info.thresholds))
    return {
        "normalise": timed(normalise, rounds),
        "network": timed(lambda: model._forward(batch), rounds),
        "network + proposals": timed(
            lambda: model.propose(batch, model.info.thresholds.prob), rounds
        ),
        f"suppression of {len(found)}": timed(
            lambda: model.select(found, model.info.thresholds), rounds
        ),
        f"outlines of {len(kept)}": timed(lambda: model.draw(kept), rounds),
    }


def package(model: Any, images: list[np.ndarray], rounds: int) -> dict[str, float] | None:
    """The stardist package's predict_instances with the same weights; None without TensorFlow."""
    ready = [normalizer(model, i).apply(i) for i in images]
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder)
        np.save(job / "images.npy", np.stack(ready))
        np.savez(job / "weights.npz", **_keras_weights(model._net))
        thresholds = model.info.thresholds
        words = {
            "config": model.config.to_dict(),
            "thresholds": {"prob": thresholds.prob, "nms": thresholds.nms},
            "rounds": rounds,
        }
        (job / "job.json").write_text(json.dumps(words))
        command = [sys.executable, str(Path(__file__).with_name("_package_child.py")), folder]
        child = subprocess.run(command, capture_output=True, text=True, check=False)
        if child.returncode:
            print("stardist package left out:", child.stderr.strip().splitlines()[-1:])
            return None
        return json.loads(child.stdout.splitlines()[-1])


def _keras_weights(net: Any) -> dict[str, np.ndarray]:
    """Kernels and biases by Keras' layer names and in its axis order."""
    out = {}
    for name, layer in net.layers.items():
        conv = getattr(layer, "conv", layer)
        kernel = conv.weight.detach().float().cpu().numpy()
        out[f"{name}/kernel"] = kernel.transpose(2, 3, 1, 0)
        out[f"{name}/bias"] = conv.bias.detach().float().cpu().numpy()
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--stream", type=int, default=16)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--model", default="he-nuclei")
    args = parser.parse_args()
    import torch

    if args.threads:
        torch.set_num_threads(args.threads)
    from napari_histo.models import load_model

    exact = load_model(args.model, precision="float32")
    auto = load_model(args.model)
    images = [picture(seed) for seed in range(args.stream)]
    one = images[:1]

    few = max(1, args.rounds // 3)
    batch = np.ascontiguousarray(images[0][None], np.float32) / 255
    single: dict[str, Callable[[], object]] = {}
    stream: dict[str, Callable[[], object]] = {}
    for label, model in (("float32", exact), (f"auto = {auto.precision}", auto)):
        single[f"bare network, {label}"] = lambda m=model: m._forward(batch)
        single[f"our segment, {label}"] = lambda m=model: ours(m, one)
        stream[f"bare network, {label}"] = lambda m=model: [m._forward(batch) for _ in images]
        stream[f"our segment, {label}"] = lambda m=model: ours(m, images)
    of_one, of_stream = side_by_side(single, args.rounds), side_by_side(stream, few)
    rows = {name: (of_one[name], of_stream[name]) for name in single}
    theirs = package(exact, images, args.rounds)
    if theirs:
        rows["stardist predict_instances (TensorFlow)"] = (theirs["one_ms"], theirs["stream_ms"])

    base = rows["bare network, float32"]
    print(f"{torch.get_num_threads()} thread(s), {exact.device}, torch {torch.__version__}")
    print(f"objects: float32 {ours(exact, one)[0]}, auto {ours(auto, one)[0]}", end="")
    print(f", package {theirs['objects']}\n" if theirs else "\n")
    print(f"| | one {SIDE}² [ms] | ratio | stream of {args.stream} [ms] | ratio |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, (once, streamed) in rows.items():
        ratios = once / base[0], streamed / base[1]
        print(f"| {name} | {once:.0f} | {ratios[0]:.2f} | {streamed:.0f} | {ratios[1]:.2f} |")
    print("\nWhere one image's time goes (float32):")
    for name, ms in stages(exact, images[0], args.rounds).items():
        print(f"  {name}: {ms:.0f} ms")


if __name__ == "__main__":
    main()
