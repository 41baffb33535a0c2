"""``napari-histo models``: what can be run here, where it comes from, and keeping it in order."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from napari_histo.cli._arguments import JsonOption
from napari_histo.cli._console import err, out
from napari_histo.cli._model_card import print_card
from napari_histo.core import ModelInfo
from napari_histo.errors import ModelError

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Models, their cards and licences."
)


class ExportFormat(StrEnum):
    """Kinds of folders for other programs."""

    STOCK = "stock"
    ONNX = "onnx"


_STYLES = {"whole": "green", "damaged": "bold red"}


@app.callback()
def _group() -> None:
    """Models, their cards and licences."""


@app.command("list")
def list_command(as_json: JsonOption = False) -> None:
    """List the models with pixel size and licence, and whether they are on this machine."""
    from napari_histo.models import list_models, list_prompt_models, list_region_models, notes

    infos = [*list_models(), *list_prompt_models(), *list_region_models()]
    if as_json:
        print(json.dumps([_as_json(info) for info in infos], indent=2))
        return
    table = Table("name", "family", "µm/px", "image", "licence", "on this machine", box=None)
    for info in infos:
        words = _as_json(info)
        size = "any" if info.pixel_size_um is None else f"{info.pixel_size_um:g}"
        here = words["origin"] if words["available"] else "downloaded on first use"
        table.add_row(info.name, info.family, size, info.channels, info.licence, here)
    out.print(table)
    for note in notes():
        err.print(note, markup=False, style="yellow")


@app.command("info")
def info_command(name: str, as_json: JsonOption = False) -> None:
    """Show a model's card: data, licence, what was measured, pixel size, parent.

    NAME may be the path of a folder or file.
    """
    from napari_histo.models import full_card

    card = full_card(name)
    if as_json:
        print(json.dumps(card, indent=2, ensure_ascii=False))
    else:
        print_card(card)


@app.command("add")
def add_command(
    source: Annotated[str, typer.Argument(metavar="FOLDER|FILE|URL")],
    name: Annotated[str | None, typer.Option(help="Under which it goes; the card's.")] = None,
    sha256: Annotated[
        str | None, typer.Option(help="Of the file behind a URL, which needs it.")
    ] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="You have read it; needed for a URL.")
    ] = False,
    licence: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Of a model that does not say its own.")
    ] = None,
    link: Annotated[
        bool, typer.Option("--link", help="Do not copy the files; use them where they are.")
    ] = False,
    shared: Annotated[
        bool, typer.Option("--shared", help="A lab's folder: list all models that lie in it.")
    ] = False,
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Run the TorchScript in it, which is a program of others."),
    ] = False,
) -> None:
    """Check a model and keep it under a name, for the command line and the panels.

    StarDist folders (stock or ours), folders of region and click models, files of Cellpose, and
    ONNX or TorchScript models with a bioimage.io description. Never over a name that is taken.
    """
    from napari_histo.models import Addition, add_model, add_shared_folder

    if shared:
        if name or sha256 or licence or link or trust:
            raise ModelError("--shared lists a folder as it is; leave the other options out.")
        infos = add_shared_folder(Path(source).expanduser())
        names = ", ".join(i.name for i in infos) or "those that are put there will be listed"
        out.print(f"{len(infos)} model(s) of {source}: {names}", markup=False)
        return
    info = add_model(
        Addition(
            source,
            name=name,
            sha256=sha256,
            licence=licence,
            accept_licence=accept_licence,
            link=link,
            trust=trust,
        )
    )
    out.print(f"Added {info.name} ({info.family}). Licence: {info.licence}", markup=False)


@app.command("remove")
def remove_command(name: Annotated[str, typer.Argument(metavar="NAME|FOLDER")]) -> None:
    """Remove a model that was added, or no longer list a lab's folder."""
    from napari_histo.models import remove_model

    remove_model(name)
    out.print(f"Removed {name}", markup=False)


@app.command("verify")
def verify_command(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]…")] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare the files of models with their checksums; exit code 1 where any is damaged."""
    from napari_histo.models import notes, verify

    verdicts = []
    for verdict in verify(names or ()):
        verdicts.append(verdict)
        if not as_json:
            out.print(verdict.state.ljust(12), style=_STYLES.get(verdict.state), end="")
            out.print(verdict.name, "; ".join(verdict.details), markup=False)
    if as_json:
        print(json.dumps([asdict(v) for v in verdicts], indent=2))
    unread = [] if names else notes()
    for note in unread:
        err.print(note, markup=False, style="yellow")
    if unread or any(v.state == "damaged" for v in verdicts):
        raise typer.Exit(1)


@app.command("export")
def export_command(
    name: str,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="To be made.")],
    format_: Annotated[
        ExportFormat, typer.Option("--format", help="For the stardist package, or for QuPath.")
    ],
) -> None:
    """Write a StarDist model for other programs.

    stock: the folder that the stardist package loads. onnx: a file that QuPath's StarDist extension
    runs, with a script for it and a bioimage.io description.
    """
    from napari_histo.models import export_model

    done = export_model(name, folder, format_.value)
    out.print(f"Wrote {done.folder}: {', '.join(done.files)}", markup=False)
    if format_ is not ExportFormat.ONNX:
        return
    if done.difference is None:
        err.print("Not compared with torch: ONNX Runtime is missing; pip install onnxruntime")
    else:
        out.print(f"ONNX Runtime answers as torch does, within {done.difference:.1g}.")


def _as_json(info: ModelInfo) -> dict[str, Any]:
    from napari_histo.models import is_available, origin_of

    words = asdict(info)
    words["classes"] = list(info.classes.names)
    return words | {"available": is_available(info.name), "origin": origin_of(info.name)}
