"""One way of `cellpose_sam.py`, or its weights; prints one line of JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from support.cellpose_package import cellpose_module
from support.tiny_sam import picture, shrink, taught_weights


class _Registry:
    """As pytest's monkeypatch, for good."""

    @staticmethod
    def setitem(registry: dict[str, Any], name: str, value: Any) -> None:
        registry[name] = value


def make(job: dict[str, Any]) -> None:
    vit = cellpose_module("vit")
    # Pictures of three channels.
    torch.save(taught_weights(vit, seeds=(2, 5)), job["weights"])


def package(job: dict[str, Any], image: np.ndarray) -> Callable[[], np.ndarray]:
    models = cellpose_module("models")
    model = models.CellposeModel(
        pretrained_model=job["weights"],
        gpu=torch.cuda.is_available(),
        use_bfloat16=job["precision"] == "bfloat16",
    )
    return lambda: model.eval(image, channel_axis=2, batch_size=8 if model.gpu else 1)[0]


def ours(
    job: dict[str, Any], image: np.ndarray, tile_px: int | None = None
) -> Callable[[], np.ndarray]:
    from napari_histo.core import Box
    from napari_histo.models import load_model
    from napari_histo.pipeline import SegmentRequest, segment
    from napari_histo.slides import ArrayReader
    from napari_histo.store.labels import rasterise

    model = load_model(job["weights"], precision=job["precision"])
    reader = ArrayReader(image, name="bench", pixel_size=None, is_rgb=True)

    def work() -> np.ndarray:
        steps = segment(reader, model, SegmentRequest(tile_px=tile_px))
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return rasterise(end.value.table, Box(0, 0, *image.shape[1::-1]))

    return work


def memory_mb(word: str) -> float:
    """What Linux says of this process: ``VmRSS`` now, ``VmHWM`` at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(word)) / 1e3


def main() -> None:
    mode, folder = sys.argv[1], Path(sys.argv[2])
    job = json.loads((folder / "job.json").read_text())
    torch.set_num_threads(job["threads"])
    cellpose_module("vit")  # its stand-in for operators, where torchvision is another torch's
    if job["small"]:
        shrink(_Registry)
    if mode == "make":
        make(job)
        print("{}")
        return
    image = picture(job["side"], job["side"])
    if mode == "package":
        work = package(job, image)
    else:
        work = ours(job, image, job["tile"] if mode == "tiled" else None)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of loading
    before, start, cpu = memory_mb("VmRSS"), time.perf_counter(), time.process_time()
    labels = work()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = memory_mb("VmHWM")
    np.save(folder / f"{mode}.npy", np.asarray(labels).astype(np.int32))
    n = len(np.unique(labels)) - 1
    memory = {"peak_mb": peak, "more_mb": peak - before}
    print(json.dumps({"seconds": seconds, "cpu": cpu, "objects": n, **memory}))


if __name__ == "__main__":
    main()
