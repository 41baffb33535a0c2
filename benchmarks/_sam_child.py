"""Segment Anything's side of `prompts.py`; prints one line of JSON.

ViT-B as the package `segment-anything` builds it, with random weights, through its own
`SamPredictor`: the image is embedded once, then every click runs the small decoder.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch


def times(work: Callable[[int], object], rounds: int) -> list[float]:
    work(0)
    spent = []
    for i in range(rounds):
        start = time.perf_counter()
        work(i)
        spent.append((time.perf_counter() - start) * 1e3)
    return spent


def main() -> None:
    stand_in_for_torchvision()
    from segment_anything import SamPredictor, sam_model_registry

    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text())
    torch.set_num_threads(job["threads"])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    predictor = SamPredictor(sam_model_registry["vit_b"]().eval().to(device))
    image, clicks = np.load(folder / "image.npy"), np.load(folder / "clicks.npy")

    def embed(_: int) -> None:
        predictor.set_image(image)
        if device == "cuda":
            torch.cuda.synchronize()

    def prompt(i: int) -> object:
        return masks(clicks[i : i + 1])

    def batch(_: int) -> object:
        # Sixteen at a time, as ours: masks at the image's size fill the memory.
        return [masks(clicks[i : i + 16]) for i in range(0, len(clicks), 16)]

    def masks(xy: np.ndarray) -> object:
        """At the image's size, as numpy; `predict` does the same but for one click at a time."""
        points = predictor.transform.apply_coords(xy[:, None], predictor.original_size)
        ready = torch.as_tensor(points, dtype=torch.float32, device=device)
        labels = torch.ones(len(xy), 1, dtype=torch.int, device=device)
        return predictor.predict_torch(ready, labels, multimask_output=False)[0].cpu().numpy()

    result = {}
    for label, context in precisions(device).items():
        with context, torch.inference_mode():
            result[label] = {
                "embed_ms": times(embed, job["rounds"]),
                "prompt_ms": times(prompt, len(clicks)),
                "batch_ms": times(batch, job["rounds"]),
            }
    print(json.dumps(result))


def stand_in_for_torchvision() -> None:
    """What the predictor needs of it, where it is missing or made for another torch.

    Only `resize` is called here, once an embedding; the boxes belong to the automatic masks.
    """
    try:
        importlib.import_module("torchvision.ops")
        return
    except (ImportError, RuntimeError):
        for name in [n for n in sys.modules if n.split(".")[0] == "torchvision"]:
            del sys.modules[name]
    from PIL import Image

    parts = ("", ".ops", ".ops.boxes", ".transforms", ".transforms.functional")
    for part in parts:
        sys.modules[f"torchvision{part}"] = types.ModuleType(f"torchvision{part}")
    functions: Any = sys.modules["torchvision.transforms.functional"]
    functions.to_pil_image = Image.fromarray
    functions.resize = lambda image, shape: image.resize(shape[::-1], Image.Resampling.BILINEAR)
    boxes: Any = sys.modules["torchvision.ops.boxes"]
    boxes.batched_nms = boxes.box_area = None


def precisions(device: str) -> dict[str, contextlib.AbstractContextManager[object]]:
    """float32, and bfloat16 where ours would take it."""
    from napari_histo.models._device import pick_precision

    found: dict[str, contextlib.AbstractContextManager[object]] = {
        "float32": contextlib.nullcontext()
    }
    if pick_precision("auto", device) == "bfloat16":
        found["bfloat16"] = torch.autocast(device, dtype=torch.bfloat16)
    return found


if __name__ == "__main__":
    main()
