# SPDX-License-Identifier: GPL-3.0-or-later
"""The command ``qupath-bridge``: results to stdout, everything else to stderr.

Exit codes: 0 fine, 1 an error (one message on stderr), 2 wrong arguments, 3 the project was read
but something in it is damaged, 4 conflicts wait for an answer.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from napari_histo.errors import Cancelled, HistoError
from qupath_bridge.changes import Snapshot, changes_since
from qupath_bridge.cli_exchange import add_to as add_exchange
from qupath_bridge.cli_exchange import print_status
from qupath_bridge.cli_init import add_to as add_init
from qupath_bridge.cli_rounds import add_to as add_rounds
from qupath_bridge.cli_sync import add_to
from qupath_bridge.exchange import is_exchange
from qupath_bridge.images import PathRule
from qupath_bridge.locate import find_qupath, searched_places
from qupath_bridge.project import open_project
from qupath_bridge.status import project_status

__all__ = ["app", "main"]

DAMAGED = 3
_PIPE_WIDTH = 400
_ALWAYS = ("id", "name", "objects", "saved", "state", "image")
_TITLES = ("id", "name", "objects", "saved", "state", "round", "image", "since the snapshot")

app = typer.Typer(
    name="qupath-bridge",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Keeps napari-histo's objects in step with a QuPath project.",
)
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

ProjectArgument = Annotated[
    Path, typer.Argument(metavar="PROJECT", help="A project.qpproj, or its folder.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
MapOption = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="OLD=NEW",
        help="What lay under the folder OLD lies under NEW now. May be given several times.",
    ),
]


add_init(app)
add_to(app)
add_exchange(app)
add_rounds(app)


@app.callback()
def _options() -> None:
    """Options before the command."""


@app.command("status")
def status_command(
    project: ProjectArgument,
    as_json: JsonOption = False,
    moved: MapOption = None,
    since: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Say what changed since this snapshot."),
    ] = None,
    save_snapshot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep the present state, for --since later."),
    ] = None,
) -> None:
    """List a project's images: objects, where the files are, what is damaged. Starts no Java."""
    if is_exchange(project):
        if not print_status(project, as_json):
            raise typer.Exit(DAMAGED)
        return
    opened = open_project(project, [PathRule.parse(text) for text in moved or ()])
    changes = changes_since(Snapshot.load(since), opened) if since else None
    found = project_status(opened, changes)
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        _print_status(found)
    if save_snapshot:
        Snapshot.of(opened).save(save_snapshot)
    if found["problems"]:
        raise typer.Exit(DAMAGED)


def _print_status(found: dict[str, Any]) -> None:
    rows = [_row(image) for image in found["images"]]
    # Texts, not markup: a name may hold brackets.
    table = Table(box=None)
    titles = [title for title in _TITLES if title in _ALWAYS or any(row[title] for row in rows)]
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(row[title]) for title in titles))
    if not out.is_terminal:  # a file or a pipe has no edge to wrap at
        out.width = _PIPE_WIDTH
    out.print(table)
    out.print(_summary_line(found), markup=False)
    if found["removed"]:
        out.print(f"Removed since the snapshot: {', '.join(found['removed'])}", markup=False)
    missing = [i["image_message"] for i in found["images"] if i["path"] is None]
    if missing:
        err.print(f"\n{len(missing)} image files are not found. {missing[0]}", markup=False)
    for problem in found["problems"]:
        err.print(f"\nDamaged: {problem}", markup=False)


def _row(image: dict[str, Any]) -> dict[str, str]:
    saved = image["saved_ms"]
    steps = "".join(f" ({step['kind']})" for step in image["steps"])
    return {
        "id": image["id"],
        "name": image["name"],
        "objects": ", ".join(f"{n} {kind.lower()}" for kind, n in image["objects"].items()),
        "saved": f"{datetime.fromtimestamp(saved / 1000):%Y-%m-%d %H:%M}" if saved else "",
        "state": image["state"],
        "round": _round(image["round"]),
        "image": (image["path"] or image["found"]) + steps,
        "since the snapshot": ", ".join(image["sync"] or ()),
    }


def _round(words: dict[str, str] | None) -> str:
    if words is None:
        return ""
    number = words.get("Round")
    counts = f"{words.get('Regions done', 0)} done, {words.get('Regions to annotate', 0)} to do"
    return f"{f'{number}: ' if number else ''}{words['Round status']} ({counts})"


def _summary_line(found: dict[str, Any]) -> str:
    images = found["images"]
    here = sum(image["path"] is not None for image in images)
    objects = sum(image["n_objects"] or 0 for image in images)
    return (
        f"QuPath {found['version']}: {len(images)} images, {here} with their file, "
        f"{objects} objects, {len(found['classes'])} classes."
    )


@app.command("doctor")
def doctor_command(as_json: JsonOption = False) -> None:
    """Say whether QuPath and paquo are here, and where they were looked for."""
    install = find_qupath()
    found = {
        "qupath": None if install is None else str(install.path),
        "qupath_version": None if install is None else install.version,
        "searched": [str(place) for place in searched_places()],
        "paquo": _version("paquo"),
        "jpype1": _version("jpype1"),
    }
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        text = ", ".join(value) if isinstance(value, list) else value
        out.print(f"{name:15} {text or 'not found'}", markup=False)
    if install is None or found["paquo"] is None:
        out.print(
            "Projects can be read all the same, and GeoJSON exchanged. To write into a project: "
            "install QuPath from qupath.github.io (or set PAQUO_QUPATH_DIR to its folder), and "
            'pip install "napari-histo[qupath]".',
            markup=False,
        )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def main() -> None:
    """Run the command line; errors meant for users are one message and exit code 1."""
    try:
        app(prog_name="qupath-bridge")
    except Cancelled as stop:
        _say_error(str(stop))
        sys.exit(130)
    except HistoError as error:
        _say_error(str(error))
        sys.exit(1)


def _say_error(message: str) -> None:
    err.print("Error:", style="bold red", end=" ")
    err.print(message, markup=False)


if __name__ == "__main__":
    main()
