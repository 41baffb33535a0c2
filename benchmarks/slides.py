"""Whole slides: what the pipeline adds to the bare network, and what memory and time depend on.

    python benchmarks/slides.py run [--model NAME] [--precision P] [--sides N ...]
    python benchmarks/slides.py memory [--model NAME] [--precision P] [--sides N ...]
    python benchmarks/slides.py merge [--objects N]

`run` repeats one 1024 x 1024 tile of known nuclei 1, 4, 16 and 64 times and segments each slide in
a process of its own: objects found, seconds a tile, the ratio to the bare network on the same tiles
(measured in the same process, after the run), and the peak of memory. With the extra `parity`
StarDist's own ways follow, same weights: `predict_instances_big`, and dask's `map_overlap` of
`predict_instances`.

`memory` takes 1, 4, 16 and 64 tiles out of the middle of such a slide, so that all have neighbours
and are read in one shape, and runs them, each number in a process of its own. The model's own
memory is what such a process holds before the first tile: the model, and all libraries of the run,
as a small corner has gone through all steps. Above it lie the network's activations and all that
the pipeline keeps. Beside it: a loop that reads a tile, normalises it and runs the network.

`merge` brings parts of a million objects into one file, indexes and exports them.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

SIDES = (1, 2, 4, 8)


def peak_mb() -> float:
    """Highest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def current_mb() -> float:
    """Memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


# -- run -----------------------------------------------------------------------------------------


def run_one(slide: Path, folder: Path, model_name: str, precision: str) -> dict[str, float]:
    """Segment a slide in this process, then the bare network on its tiles."""
    from napari_histo.models import load_model
    from napari_histo.pipeline import RunRequest, SegmentRequest, segment_slide
    from napari_histo.pipeline.slide_run import plan_of
    from napari_histo.slides import open_slide

    model: Any = load_model(model_name, precision=precision)
    asked = SegmentRequest(tile_px=1024, seed=1)
    with open_slide(slide) as reader:
        plan = plan_of(reader, model, asked)

        def pixels(tile: Any) -> Any:
            return plan.normalizer.apply(plan.frame.read(tile.read))[None]

        start = time.perf_counter()
        for _ in segment_slide(reader, model, folder, RunRequest(asked)):
            pass
        spent = time.perf_counter() - start
        peak = peak_mb()
        n_tiles = len(plan.grid)
        bare = []
        for _ in range(2):
            # The diagonal of the square: as large a share of tiles at the rim, which are smaller.
            for tile in list(plan.grid)[:: round(n_tiles**0.5) + 1]:
                x = pixels(tile)
                begin = time.perf_counter()
                model._forward(x)
                bare.append(time.perf_counter() - begin)
    summary = json.loads((folder / "summary.json").read_text())
    return {
        "tiles": n_tiles,
        "objects": summary["objects"],
        "seconds_a_tile": spent / n_tiles,
        "bare_seconds_a_tile": float(np.mean(bare)),
        "peak_mb": peak,
    }


def memory_of(slide: Path, folder: Path, model_name: str, precision: str, side: str) -> Any:
    """Memory of `side` x `side` tiles from the middle, or of the bare network where `side` is 0."""
    from napari_histo.core import Box
    from napari_histo.models import load_model
    from napari_histo.pipeline import RunRequest, SegmentRequest, segment_slide, slide_run
    from napari_histo.slides import open_slide

    model: Any = load_model(model_name, precision=precision)
    n = int(side)
    asked = SegmentRequest(
        Box(2048, 2048, 1024 * max(n, 1), 1024 * max(n, 1)), tile_px=1024, seed=1
    )
    found: dict[str, float] = {}
    rehearse = slide_run.rehearse

    def noted(*arguments: Any) -> None:
        rehearse(*arguments)
        found["own_mb"] = current_mb()

    slide_run.rehearse = noted
    with open_slide(slide) as reader:
        if n:
            for _ in segment_slide(reader, model, folder, RunRequest(asked)):
                pass
        else:
            plan = slide_run.plan_of(reader, model, asked)
            noted(plan, plan.grid[0], model.draw)
            for _ in range(4):
                model._forward(plan.normalizer.apply(plan.frame.read(plan.grid[0].read))[None])
    return found | {"tiles": n * n, "peak_mb": peak_mb()}


def child(*arguments: str) -> dict[str, Any] | None:
    """This file in a process of its own; None where it failed, with the reason printed."""
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print("left out:", *done.stderr.strip().splitlines()[-1:])
        return None
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def run(model: str, precision: str, sides: Sequence[int]) -> None:
    """The table of slides of `sides` x `sides` tiles, and the peers on that of 16."""
    from napari_histo.testing.synthetic import draw_patch, repeat_tile

    patch = draw_patch("Tumor")
    rows = []
    with tempfile.TemporaryDirectory() as work:
        for side in sides:
            path = Path(work) / f"{side}.ome.tif"
            slide = repeat_tile(path, patch, side, side)
            found = child("one", str(path), f"{work}/run{side}", model, precision)
            if found is not None:
                rows.append((len(slide.nuclei), found))
        print("| tiles | nuclei | found | s a tile | to the bare network", end=" ")
        print("| peak |")
        print("| ---: | ---: | ---: | ---: | ---: | ---: |")
        for n, row in rows:
            ratio = row["seconds_a_tile"] / row["bare_seconds_a_tile"]
            print(
                f"| {row['tiles']} | {n:,} | {row['objects']:,} | {row['seconds_a_tile']:.2f} "
                f"| {ratio:.2f} | {row['peak_mb']:.0f} MB |"
            )
        if 4 in sides:
            peers(Path(work) / "4.ome.tif", model, rows[sides.index(4)][1])


def memory(model: str, precision: str, sides: Sequence[int], times: int = 2) -> None:
    """The table of memory; of `times` runs each the mean, as a run differs from itself by 15 MB."""
    from napari_histo.testing.synthetic import draw_patch, repeat_tile

    print("| tiles | the model's own | peak | above the model's own | to 1 tile |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as work:
        slide = Path(work) / "slide.ome.tif"
        repeat_tile(slide, draw_patch("Tumor"), max(sides) + 4, max(sides) + 4)
        one = 0.0
        for side in (0, *sides):
            rows = [
                child("memory-of", str(slide), f"{work}/{side}-{i}", model, precision, str(side))
                for i in range(times)
            ]
            done = [row for row in rows if row is not None]
            if not done:
                continue
            own, peak = (float(np.mean([row[k] for row in done])) for k in ("own_mb", "peak_mb"))
            one = peak - own if side == 1 else one
            ratio = f"{(peak - own) / one:.2f}" if one else ""
            name = side * side or "the bare network"
            print(f"| {name} | {own:.0f} MB | {peak:.0f} MB | {peak - own:.0f} MB | {ratio} |")


def peers(slide: Path, model: str, ours: dict[str, float]) -> None:
    """StarDist's own ways through a slide, beside ours."""
    from napari_histo.models import load_model
    from napari_histo.slides import open_slide
    from segmentation import _keras_weights

    exact: Any = load_model(model, precision="float32", device="cpu")
    thresholds = exact.info.thresholds
    with tempfile.TemporaryDirectory() as folder, open_slide(slide) as reader:
        job = Path(folder)
        np.save(job / "slide.npy", reader.read(reader.info.box, 0))
        np.savez(job / "weights.npz", **_keras_weights(exact._net))
        words = {
            "config": exact.config.to_dict(),
            "thresholds": {"prob": thresholds.prob, "nms": thresholds.nms},
        }
        (job / "job.json").write_text(json.dumps(words))
        for way in ("big", "overlap"):
            command = [sys.executable, str(Path(__file__).with_name("_big_child.py")), folder, way]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"stardist ({way}) left out:", *done.stderr.strip().splitlines()[-1:])
                continue
            found = json.loads(done.stdout.splitlines()[-1])
            ratio = found["seconds"] / ours["tiles"] / ours["seconds_a_tile"]
            print(
                f"{found['way']}: {found['objects']:,} objects, "
                f"{found['seconds'] / ours['tiles']:.2f} s a tile ({ratio:.2f} of ours), "
                f"peak {found['peak_mb']:.0f} MB"
            )


# -- merge ---------------------------------------------------------------------------------------


def merge(n_objects: int) -> dict[str, float]:
    """Parts into one file, an index over it, and GeoJSON: the times, and the peak so far."""
    from napari_histo.core import Box
    from napari_histo.store.geojson import write_geojson
    from napari_histo.store.parquet import iter_parquet, read_parquet
    from napari_histo.store.run_folder import RunFolder
    from objects import nuclei

    asked = {"image": {"name": "made"}, "model": {}, "parameters": {}, "seed": 0}
    rows_a_tile = 1700
    n_tiles = -(-n_objects // rows_a_tile)
    out: dict[str, float] = {"objects": n_objects, "parts": n_tiles}
    with tempfile.TemporaryDirectory() as work:
        store = RunFolder(Path(work) / "run", asked)
        for tile in range(n_tiles):
            n = min(rows_a_tile, n_objects - tile * rows_a_tile)
            store.save_part(tile, nuclei(n, seed=tile))
        out["before_mb"] = peak_mb()
        clock = time.perf_counter

        start = clock()
        store.finish(list(range(n_tiles)), {})
        out |= {"merge_s": clock() - start, "merge_peak_mb": peak_mb()}

        start = clock()
        write_geojson(Path(work) / "o.geojson", iter_parquet(store.objects_path))
        out |= {"geojson_s": clock() - start, "geojson_peak_mb": peak_mb()}

        start = clock()
        table = read_parquet(store.objects_path)
        out |= {"read_s": clock() - start, "read_peak_mb": peak_mb()}
        start = clock()
        table.query(Box(0, 0, 4000, 4000))
        out |= {"index_s": clock() - start}
        start = clock()
        table.query(Box(2000, 2000, 4000, 4000))
        out |= {"query_s": clock() - start, "peak_mb": peak_mb()}
        store.close()
    return out


def main() -> None:
    if sys.argv[1:2] == ["one"]:
        print(json.dumps(run_one(Path(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:6])))
        return
    if sys.argv[1:2] == ["memory-of"]:
        print(json.dumps(memory_of(Path(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:7])))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["run", "memory", "merge"])
    parser.add_argument("--model", default="he-nuclei")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES, help="tiles a side")
    parser.add_argument("--objects", type=int, default=1_000_000)
    args = parser.parse_args()
    if args.what == "run":
        run(args.model, args.precision, list(args.sides))
    elif args.what == "memory":
        memory(args.model, args.precision, list(args.sides))
    else:
        for name, value in merge(args.objects).items():
            print(f"{name}: {value:,.2f}")


if __name__ == "__main__":
    main()
