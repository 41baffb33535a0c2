"""``napari-histo learn simulate``: ways of choosing and training compared on a labelled set."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from napari_histo.cli._arguments import DeviceName, JsonOption
from napari_histo.cli._console import cancel_on_interrupt, drive, out

__all__ = ["simulate_command"]


def simulate_command(
    images: Annotated[
        Path,
        typer.Argument(help="Folder of images with label images and a splits.csv that lists them."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for models, scores, table and figure.")
    ],
    arm: Annotated[
        list[str] | None,
        typer.Option(
            help="Way to compare; several times. The first is held against each of the others. By "
            "default 'default', 'random-scratch'."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How often each is played.")] = 5,
    budgets: Annotated[
        str, typer.Option(help="Annotated objects after each round, rising.")
    ] = "50,100,200,400,800",
    stain: Annotated[
        list[str] | None, typer.Option(help="Only images of this stain; several times.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Of training from scratch.")] = 350,
    next_steps: Annotated[int, typer.Option(min=1, help="Of a model that goes on.")] = 100,
    next_rate: Annotated[float, typer.Option(min=1e-6, help="Its largest learning rate.")] = 2e-3,
    replay_share: Annotated[
        float,
        typer.Option(min=0, max=0.99, help="Share of what it looks at that earlier rounds taught."),
    ] = 0.5,
    distillation: Annotated[
        float, typer.Option(min=0, help="How much its parent's own answers count there.")
    ] = 0.2,
    region_px: Annotated[int, typer.Option(min=16, help="Side of a region, px of 0.5 µm.")] = 128,
    device: Annotated[DeviceName, typer.Option(help="Where networks run.")] = DeviceName.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Play active learning on images whose truth is known. Stopped, the same command goes on."""
    from napari_histo.errors import LearningError
    from napari_histo.learning.simulation.arms import ARMS
    from napari_histo.learning.simulation.compare import compare_arms, comparison_text
    from napari_histo.learning.simulation.curves import curve_rows, draw_curves, table_text
    from napari_histo.learning.simulation.play import Simulation, simulate
    from napari_histo.learning.simulation.truth_folder import open_truth
    from napari_histo.learning.training import StarDistTraining

    names = arm or ["default", "random-scratch"]
    if unknown := sorted(set(names) - ARMS.keys()):
        raise LearningError(f"There is no arm {unknown[0]!r}; use {', '.join(ARMS)}.")
    try:
        wanted = tuple(int(part) for part in budgets.split(","))
    except ValueError:
        raise LearningError(f"Budgets are {budgets!r}; give numbers such as 50,100,200.") from None
    training = StarDistTraining(
        steps=steps,
        batch=4,
        workers=0,
        device=device.value,
        replay_share=replay_share,
        distillation=distillation,
    )
    params = Simulation(
        wanted, region_px, training=training, next_steps=next_steps, next_rate=next_rate
    )
    with cancel_on_interrupt() as cancel, open_truth(images, stain or ()) as opened:
        arms = [ARMS[name] for name in names]
        scores = drive(simulate(opened, output, arms, range(seeds), params, cancel), "simulate")
    rows, compared = curve_rows(scores), compare_arms(scores)
    text = f"{table_text(rows)}\n\n{comparison_text(compared)}".strip()
    (output / "curves.md").write_text(text + "\n", encoding="utf-8")
    draw_curves(rows, output / "curves.png")
    if as_json:
        words = {
            "rows": [asdict(r) for r in rows],
            "compared": [asdict(c) for c in compared],
            "scores": [asdict(s) for s in scores],
        }
        print(json.dumps(words, indent=2))
        return
    out.print(text, markup=False)
