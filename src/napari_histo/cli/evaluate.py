"""``napari-histo evaluate``: how good a result is, against the truth."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from napari_histo.cli._arguments import JsonOption, OnlyOption, SplitOption, chosen_names
from napari_histo.cli._console import err, out

if TYPE_CHECKING:
    from napari_histo.ops.metrics import Agreement
    from napari_histo.pipeline.evaluate import Report

__all__ = ["evaluate_command"]

#: Columns of the table, which fits 80 characters.
_SHOWN = {
    "f1": "F1",
    "precision": "prec",
    "recall": "rec",
    "mean_ap": "AP",
    "sq": "SQ",
    "pq": "PQ",
    "aji": "AJI",
    "dice": "Dice",
}


def evaluate_command(
    pred: Annotated[Path, typer.Argument(help="Result: labels or GeoJSON, or a folder of them.")],
    truth: Annotated[Path, typer.Argument(help="Truth: labels or GeoJSON, or a folder of them.")],
    split: SplitOption = None,
    only: OnlyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare objects with the truth: F1 and AP over IoU 0.5-0.9, PQ, AJI, Dice; mPQ of classes."""
    from napari_histo.pipeline.evaluate import evaluate

    report = evaluate(pred, truth, only=chosen_names(split, only, truth, pred))
    words = report.as_dict()
    if as_json:
        print(json.dumps(words, indent=2))
        return
    for note in report.notes:
        err.print(f"Note: {note}", markup=False)
    out.print(_table(report))
    if report.classes:
        out.print(_class_table(report))


def _table(report: Report) -> Table:
    """One row an image, then their mean, then all pooled."""
    table = Table(box=None)
    for name in ("image", "truth", "found", *_SHOWN.values()):
        table.add_column(name, justify="left" if name == "image" else "right", overflow="fold")
    if len(report.images) > 1:
        for image in report.images:
            table.add_row(image.name, *_cells(image.agreement))
        means = (_figure(report.mean(name)) for name in _SHOWN)
        table.add_row("mean", "", "", *means, style="bold")
    name = report.images[0].name if len(report.images) == 1 else "all"
    table.add_row(name, *_cells(report.pooled), style="bold")
    return table


def _class_table(report: Report) -> Table:
    """One row a class, then mPQ."""
    table = Table("class", box=None)
    for heading in ("truth", "found", *_SHOWN.values()):
        table.add_column(heading, justify="right")
    for name, agreement in report.classes.items():
        table.add_row(name, *_cells(agreement))
    before = list(_SHOWN).index("pq")
    table.add_row("mPQ", *[""] * (2 + before), _figure(report.mpq), style="bold")
    return table


def _cells(found: Agreement) -> list[str]:
    ratios = (_figure(getattr(found, name)) for name in _SHOWN)
    return [str(found.n_truth), str(found.n_pred), *ratios]


def _figure(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
