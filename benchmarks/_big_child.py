"""StarDist's own ways through a slide, for `slides.py`; prints one line of JSON.

``big`` is `predict_instances_big` over blocks of 1024 px; ``overlap`` is dask's `map_overlap` of
`predict_instances`, whose labels nobody joins at the seams.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from _package_child import build

OVERLAP_PX = 128


def main() -> None:
    folder, way = Path(sys.argv[1]), sys.argv[2]
    model, thresholds = build(folder)
    slide = np.load(folder / "slide.npy", mmap_mode="r")
    image = slide.astype(np.float32) / 255
    model.predict_instances(image[:1024, :1024], **thresholds)
    start = time.perf_counter()
    n = big(model, image, thresholds) if way == "big" else overlap(model, image, thresholds)
    answer = {
        "way": {"big": "predict_instances_big", "overlap": "dask map_overlap"}[way],
        "seconds": time.perf_counter() - start,
        "objects": n,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(answer))


def big(model: Any, image: np.ndarray, thresholds: dict[str, float]) -> int:
    _, found = model.predict_instances_big(
        image,
        axes="YXC",
        block_size=1024,
        min_overlap=OVERLAP_PX,
        context=OVERLAP_PX,
        normalizer=None,
        show_progress=False,
        labels_out=False,
        **thresholds,
    )
    return len(found["prob"])


def overlap(model: Any, image: np.ndarray, thresholds: dict[str, float]) -> int:
    import dask.array as da

    def label(block: np.ndarray) -> np.ndarray:
        labels, _ = model.predict_instances(block, **thresholds)
        return labels[..., None]

    blocks = da.from_array(image, chunks=(1024, 1024, 3))
    done = blocks.map_overlap(
        label, depth=(OVERLAP_PX, OVERLAP_PX, 0), dtype=np.int32, chunks=(1024, 1024, 1)
    )
    labels = done.compute(scheduler="synchronous")[..., 0]
    return sum(
        len(np.unique(labels[y : y + 1024, x : x + 1024])) - 1
        for y in range(0, labels.shape[0], 1024)
        for x in range(0, labels.shape[1], 1024)
    )


if __name__ == "__main__":
    main()
