"""``napari-histo models``: what can be run here."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Table

from napari_histo.cli._console import out
from napari_histo.core import ModelInfo

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Models and their licences.")


@app.callback()
def _group() -> None:
    """Models and their licences."""


@app.command("list")
def list_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the models with pixel size and licence, and whether they are on this machine."""
    from napari_histo.models import list_models, list_prompt_models

    infos = [*list_models(), *list_prompt_models()]
    if as_json:
        print(json.dumps([_as_json(info) for info in infos], indent=2))
        return
    table = Table("name", "family", "µm/px", "image", "licence", "on this machine", box=None)
    for info in infos:
        words = _as_json(info)
        size = "any" if info.pixel_size_um is None else f"{info.pixel_size_um:g}"
        here = "yes" if words["available"] else "downloaded on first use"
        table.add_row(info.name, info.family, size, info.channels, info.licence, here)
    out.print(table)


def _as_json(info: ModelInfo) -> dict[str, Any]:
    from napari_histo.models import is_available

    words = asdict(info)
    words["classes"] = list(info.classes.names)
    return words | {"available": is_available(info.name)}
