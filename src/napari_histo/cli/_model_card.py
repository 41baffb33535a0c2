"""A model's card on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from napari_histo.cli._console import out

__all__ = ["print_card"]

_FACTS = (
    ("family", "family"),
    ("origin", "origin"),
    ("path", "lies in"),
    ("licence", "licence"),
    ("source", "source"),
    ("channels", "image"),
    ("parent", "goes on from"),
    ("validation", "validation"),
    ("date", "date"),
    ("sha256", "SHA-256"),
)
_FIGURES = ("f1", "pq", "precision", "recall")


def print_card(card: Mapping[str, Any]) -> None:
    """Name and description, facts, data, figures, limits; what is not known is left out."""
    out.print(card["name"], style="bold", markup=False)
    if card.get("description"):
        out.print(card["description"], markup=False)
    for title, text in _facts(card):
        out.print(f"{title}:".ljust(16), text, markup=False)
    _print_list("Learnt from", [_data_line(d) for d in _rows(card.get("data"))])
    _print_figures(_rows(card.get("metrics")))
    _print_list("Limits", [str(limit) for limit in card.get("limits") or []])


def _facts(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = [(title, str(card[key])) for key, title in _FACTS if card.get(key)]
    size = card.get("pixel_size_um")
    nominal = ", by the size of nuclei" if card.get("pixel_size_nominal") else ""
    found.append(("pixel size", "any" if size is None else f"{size:g} µm/px{nominal}"))
    found.append(("classes", ", ".join(card["classes"])))
    thresholds = card.get("thresholds") or {}
    found += [(f"threshold {name}", f"{value:g}") for name, value in thresholds.items()]
    record = card.get("record") or {}
    if record.get("added"):
        found.append(("added", str(record["added"])))
    return found


def _rows(value: Any) -> Sequence[Mapping[str, Any]]:
    """Mappings of a list, or a mapping alone; cards of others may hold anything."""
    rows = [value] if isinstance(value, Mapping) else value or []
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []


def _data_line(row: Mapping[str, Any]) -> str:
    words = [str(row[key]) for key in ("name", "source", "licence") if row.get(key)]
    counts = [f"{row[key]} {key}" for key in ("images", "regions", "objects") if row.get(key)]
    return "; ".join([*words, *counts])


def _print_list(title: str, lines: Sequence[str]) -> None:
    if lines:
        out.print(f"{title}:", markup=False)
    for line in lines:
        out.print(f"  - {line}", markup=False)


def _print_figures(rows: Sequence[Mapping[str, Any]]) -> None:
    if not any(name in row for row in rows for name in _FIGURES):
        return
    table = Table("measured on", "condition", "method", *_FIGURES, box=None)
    for row in rows:
        facts = [str(row.get(key, "")) for key in ("data", "condition", "method")]
        figures = [row.get(name) for name in _FIGURES]
        numbers = [f"{f:.3f}" if isinstance(f, int | float) else "" for f in figures]
        table.add_row(*facts, *numbers)
    out.print(table)
