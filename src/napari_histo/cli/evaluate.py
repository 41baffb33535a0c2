"""``napari-histo evaluate``: how good a result is, against the truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from napari_histo.cli._console import err, out

__all__ = ["evaluate_command"]


def evaluate_command(
    pred: Annotated[Path, typer.Argument(help="Result: labels or GeoJSON, or a folder of them.")],
    truth: Annotated[Path, typer.Argument(help="Truth: labels or GeoJSON, or a folder of them.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare objects with the truth: F1 and AP over IoU 0.5-0.9, PQ, AJI, Dice."""
    from napari_histo.pipeline.evaluate import evaluate

    report = evaluate(pred, truth)
    words = report.as_dict()
    if as_json:
        print(json.dumps(words, indent=2))
        return
    for note in report.notes:
        err.print(f"Note: {note}", markup=False)
    out.print(report.as_table(Table(box=None)))
