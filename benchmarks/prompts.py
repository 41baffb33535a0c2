"""What a click costs: our engine beside its bare network, a screen's frame, and Segment Anything.

    python benchmarks/prompts.py [--clicks N] [--rounds N] [--threads N] [--sam FOLDER]

One run: clicks on nuclei of the H&E sample slide (1024 x 1024, 0.25 µm/px), with the shipped
`click` model. Every way to answer takes its turn at every click. Prints milliseconds, and ratios
to the bare network and to a frame of 1/60 s.

Segment Anything (ViT-B, its weights random: time does not depend on them) runs afterwards, in a
process of its own, on the same slide. It needs the package segment-anything, as the extra
`cellpose` brings it, or a FOLDER that holds it (pip install --target FOLDER); without it, it is
left out. Its mask is not yet an outline, ours is.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

FRAME_MS = 1000 / 60
#: A row's name to its milliseconds.
Spent = dict[str, list[float]]


class Slide:
    """The sample slide, its clicks, and the outlines around each."""

    def __init__(self, n_clicks: int) -> None:
        from napari_histo.cli.demo import sample_folder
        from napari_histo.slides import open_slide
        from napari_histo.store import load_objects

        self.reader = open_slide(sample_folder() / "he_tile.ome.tif")
        self.truth = load_objects(sample_folder() / "he_tile.geojson").contours
        self.rows = np.random.default_rng(0).permutation(len(self.truth))[:n_clicks]
        left, top, right, bottom = self.truth.bounds[self.rows].T
        self.xy = np.stack([left + right, top + bottom], axis=1) / 2

    def requests(self, engine: Any, *, neighbours: bool) -> list[Any]:
        """One a click; with the known outlines of the other nuclei that its patch shows."""
        from napari_histo.core import Contours, PointPrompt
        from napari_histo.pipeline.prompt import PromptRequest

        found = []
        for row, (x, y) in zip(self.rows, self.xy.tolist(), strict=True):
            prompts = (PointPrompt(x, y),)
            others = Contours.empty()
            if neighbours:
                near = self.truth.query(engine.reach_px(prompts))
                others = self.truth.take(near[near != row])
            found.append(PromptRequest(prompts, others))
        return found


class Counting:
    """A model that counts what it is shown."""

    def __init__(self, model: Any) -> None:
        self._model, self.patches = model, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def answer(self, patches: Any) -> Any:
        self.patches += len(patches)
        return self._model.answer(patches)


def bare(model: Any, n: int) -> Callable[[], object]:
    """The network alone on `n` ready patches, in batches as the model makes them."""
    import torch

    from napari_histo.models.nuclick.net import CHANNELS
    from napari_histo.models.nuclick.segmenter import _BATCH

    side = model.patch_px
    patches = torch.rand(n, CHANNELS, side, side).to(model.device, model._dtype)
    batches = patches.contiguous(memory_format=torch.channels_last).split(_BATCH)

    def run() -> object:
        with torch.inference_mode():
            return [model._net(batch).float().cpu() for batch in batches]

    return run


def in_turns(works: dict[str, Callable[[int], object]], rounds: int) -> Spent:
    """Milliseconds of each, in turns, so that a busy moment hits all of them alike."""
    spent: Spent = {name: [] for name in works}
    for turn in range(-2, rounds):  # two to warm up
        for name, work in works.items():
            start = time.perf_counter()
            work(max(turn, 0))
            if turn >= 0:
                spent[name].append((time.perf_counter() - start) * 1e3)
    return spent


def ours(slide: Slide, model: Any, rounds: int) -> tuple[Spent, Spent, str]:
    """Times of single clicks, of all clicks at once, and what the model looked at."""
    from napari_histo.pipeline.prompt import PromptEngine

    counting = Counting(model)
    engine = PromptEngine(slide.reader, counting)
    lone = slide.requests(engine, neighbours=False)
    crowded = slide.requests(engine, neighbours=True)
    one, many = bare(model, 1), bare(model, len(lone))
    label = model.precision
    singly = in_turns(
        {
            f"bare network, {label}": lambda _: one(),
            f"engine, a click, {label}": lambda i: engine.answer([lone[i]]),
            f"engine, a click among known outlines, {label}": lambda i: engine.answer([crowded[i]]),
        },
        len(lone),
    )
    counting.patches = 0
    found = sum(not answer.is_empty for answer in engine.answer(lone))
    looks = counting.patches / len(lone)
    together = in_turns(
        {
            f"bare network, {label}": lambda _: many(),
            f"engine, {label}": lambda _: engine.answer(lone),
            f"engine, among known outlines, {label}": lambda _: engine.answer(crowded),
        },
        rounds,
    )
    return singly, together, f"{label}: {found} of {len(lone)} found, {looks:.2f} patches a click"


def segment_anything(slide: Slide, rounds: int, folder: str | None) -> dict[str, Any] | None:
    """Its times by precision; None where it is not installed."""
    import torch

    with tempfile.TemporaryDirectory() as place:
        job = Path(place)
        np.save(job / "image.npy", slide.reader.read(slide.reader.info.box))
        np.save(job / "clicks.npy", slide.xy.astype(np.float32))
        (job / "job.json").write_text(
            json.dumps({"rounds": rounds, "threads": torch.get_num_threads()})
        )
        paths = [p for p in (folder, os.environ.get("PYTHONPATH")) if p]
        child = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("_sam_child.py")), place],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
            check=False,
        )
    if child.returncode:
        print("Segment Anything left out:", *child.stderr.strip().splitlines()[-1:])
        return None
    words: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
    return words


def sam_rows(found: dict[str, Any], n: int) -> tuple[Spent, Spent]:
    """The same two tables as `ours`."""
    singly: Spent = {}
    together: Spent = {}
    for label, times in found.items():
        embed, prompt = times["embed_ms"], times["prompt_ms"]
        singly[f"SAM ViT-B, embedding of the image, {label}"] = embed
        singly[f"SAM ViT-B, a click after that, {label}"] = prompt
        name = f"SAM ViT-B, embedding and {n} clicks, {label}"
        together[name] = [float(np.median(embed) + np.median(prompt) * n)]
        if "batch_ms" in times:
            name = f"SAM ViT-B, embedding and {n} clicks in one batch, {label}"
            together[name] = [float(np.median(embed) + np.median(times["batch_ms"]))]
    return singly, together


def show(title: str, rows: Spent, *, n: int) -> None:
    """A table of Markdown; each row's measure is the bare network at the same precision."""
    print(f"\n| {title} | median [ms] | 95 % [ms] | a click [ms] | to bare network | to a frame |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, spent in rows.items():
        middle, late = np.median(spent), np.percentile(spent, 95)
        base = np.median(rows[f"bare network, {name.rsplit(', ', 1)[1]}"])
        print(
            f"| {name} | {middle:.1f} | {late:.1f} | {middle / n:.2f} | {middle / base:.2f} "
            f"| {middle / n / FRAME_MS:.2f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clicks", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5, help="of all clicks at once")
    parser.add_argument("--sam-rounds", type=int, default=3, help="embeddings of the image")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--sam", metavar="FOLDER", help="that holds segment_anything")
    parser.add_argument("--model", default="click")
    args = parser.parse_args()
    import torch

    if args.threads:
        torch.set_num_threads(args.threads)
    from napari_histo.models import load_prompt_model

    slide = Slide(args.clicks)
    singly: Spent = {}
    together: Spent = {}
    wishes = ("float32", "auto")
    models = {m.precision: m for m in (_load(load_prompt_model, args, wish) for wish in wishes)}
    for model in models.values():
        one, many, note = ours(slide, model, args.rounds)
        singly |= one
        together |= many
        print(note)
    print(f"{torch.get_num_threads()} thread(s), {model.device}, torch {torch.__version__}")
    n = len(slide.rows)
    theirs = segment_anything(slide, args.sam_rounds, args.sam) if args.sam_rounds else None
    if theirs:
        one, many = sam_rows(theirs, n)
        singly |= one
        together |= many
    show("one click", singly, n=1)
    show(f"{n} clicks at once", together, n=n)


def _load(load: Callable[..., Any], args: argparse.Namespace, precision: str) -> Any:
    return load(args.model, device=args.device, precision=precision)


if __name__ == "__main__":
    main()
