# SPDX-License-Identifier: GPL-3.0-or-later
"""``qupath-bridge export``, ``import`` and ``scripts``; status of an exchange folder."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from napari_histo.core import result_of
from napari_histo.core.bridge import ImageEntry
from napari_histo.errors import BridgeError, HistoError
from napari_histo.store.geojson import read_geojson, write_geojson
from qupath_bridge._differences import differences
from qupath_bridge._exchange_files import read_head
from qupath_bridge._places import Bridge, Place, can_read_projects, place_of, stem_of
from qupath_bridge.exchange import ExchangeBridge, is_exchange
from qupath_bridge.exchange_scripts import install
from qupath_bridge.project import open_project

__all__ = ["add_to", "print_status"]

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

ProjectArgument = Annotated[
    Path,
    typer.Argument(
        metavar="PROJECT", help="A project.qpproj, its folder, or the folder of an exchange."
    ),
]
ImageOption = Annotated[
    list[str] | None,
    typer.Option("--image", metavar="NAME", help="Only this image. May be given several times."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("export", help="Write a project's objects to GeoJSON files, one an image.")(_export)
    app.command("import", help="Bring GeoJSON files into a project, matched by object id.")(_import)
    app.command("scripts", help="Put scripts for QuPath into a project or a folder.")(_scripts)


def _export(
    project: ProjectArgument,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="Where to write.")
    ],
    image: ImageOption = None,
    as_json: JsonOption = False,
) -> None:
    place = _readable(project)
    entries = place.chosen(image)
    names = _file_names(entries)

    def work(bridge: Bridge, entry: ImageEntry) -> dict[str, Any]:
        table = result_of(bridge.reading(entry))
        file = output / names[entry.entry_id]
        output.mkdir(parents=True, exist_ok=True)
        n = write_geojson(file, table, about={"image": entry.name})
        return {"state": "written", "file": str(file), "n_objects": n}

    def line(facts: dict[str, Any]) -> str:
        return f"{facts['n_objects']:,} objects -> {facts['file']}"

    _each(place, entries, work, line, as_json=as_json)


def _import(
    project: ProjectArgument,
    files: Annotated[list[Path], typer.Argument(metavar="FILES", help="GeoJSON files.")],
    image: Annotated[
        str | None,
        typer.Option(
            "--image",
            metavar="NAME",
            help="The image of the one file; by default the one that the file names, or is named "
            "after.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    as_json: JsonOption = False,
) -> None:
    place = _readable(project)
    if image is not None and len(files) > 1:
        raise BridgeError(f"--image names one image, and {len(files)} files are given. Give one.")
    chosen = {_image_of(place, file, image).entry_id: file for file in files}
    if len(chosen) < len(files):
        raise BridgeError("Two of the files are for one image. Import one after the other.")
    entries = [e for e in place.entries if e.entry_id in chosen]

    def work(bridge: Bridge, entry: ImageEntry) -> dict[str, Any]:
        file = chosen[entry.entry_id]
        table = read_geojson(file)
        if dry_run:
            change = differences(result_of(bridge.reading(entry)), table)
            counts = {"added": len(change.added), "changed": len(change.changed)}
        else:
            report = result_of(bridge.writing(entry, table, "merge"))
            counts = {"added": report.added, "changed": report.changed}
        moves = any(counts.values())
        state = ("would change" if dry_run else "written") if moves else "in step"
        return {"state": state, "file": str(file), **counts}

    def line(facts: dict[str, Any]) -> str:
        return f"{facts['state']}: {facts['added']:,} added, {facts['changed']:,} changed"

    _each(place, entries, work, line, as_json=as_json, read_only=dry_run)


def _scripts(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="A project's folder, whose QuPath menu then has them; or any folder, through "
            "which they then exchange.",
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    is_project = folder.is_file() or any(folder.glob("*.qpproj"))
    home = open_project(folder).folder if is_project else folder
    made = install(home / "scripts", "") if is_project else install(home, str(home.resolve()))
    if as_json:
        print(json.dumps({"scripts": [str(path) for path in made]}, indent=2, ensure_ascii=False))
        return
    for path in made:
        out.print(str(path), markup=False)
    where = home / "exchange" if is_project else home
    menu = "choose them from Automate > Project scripts" if is_project else "drag them onto QuPath"
    err.print(
        f"In QuPath open the project and {menu}. They exchange through {where}; then: "
        f"qupath-bridge sync {where}",
        markup=False,
    )


def print_status(folder: Path, as_json: bool) -> bool:
    """Print the images of an exchange folder; False where something in it is damaged."""
    images = exchange_status(folder)
    problems = [image["problem"] for image in images if image["problem"]]
    if as_json:
        print(json.dumps({"exchange": str(folder), "images": images}, indent=2, ensure_ascii=False))
        return not problems
    table = Table(box=None)
    for title in ("id", "name", "objects", "wait for QuPath", "state"):
        table.add_column(title, overflow="fold")
    for image in images:
        words = [image["id"], image["name"], image["n_objects"], image["n_waiting"], image["state"]]
        table.add_row(*(Text("" if word is None else str(word)) for word in words))
    out.print(table)
    for problem in problems:
        err.print(f"\nDamaged: {problem}", markup=False)
    return not problems


def exchange_status(folder: Path) -> list[dict[str, Any]]:
    """Every image of an exchange folder, as JSON's types."""
    bridge = ExchangeBridge(folder)
    found = []
    for image in bridge.manifest.images:
        words: dict[str, Any] = {"id": image.entry.entry_id, "name": image.entry.name}
        words |= {"uri": image.entry.uri, "n_objects": image.n_objects, "width": image.width}
        words |= {"height": image.height, "pixel_size_um": image.pixel_size_um}
        waiting, problem = None, image.problem
        try:
            waiting = bridge.n_waiting(image.entry)
        except HistoError as error:
            problem = problem or str(error)
        state = "damaged" if problem else "waits for QuPath" if waiting else "exchanged"
        found.append({**words, "n_waiting": waiting, "state": state, "problem": problem})
    return found


# -- steps ---------------------------------------------------------------------------------------


def _readable(path: Path) -> Place:
    """The place, where this machine can read its objects.

    Raises
    ------
    BridgeError
        It is a project and there is no QuPath here.
    """
    place = place_of(path)
    if is_exchange(path) or can_read_projects():
        return place
    raise BridgeError(
        "Only QuPath reads the objects of its projects, and QuPath or paquo is not on this "
        f"computer. Where QuPath is, let it write and read files: 'qupath-bridge scripts "
        f"{path}' puts scripts into the project, which run from Automate > Project scripts. "
        "After the export name the folder 'exchange' instead of the project."
    )


def _file_names(entries: Sequence[ImageEntry]) -> dict[str, str]:
    """A file for each image; the id tells images of one name apart."""
    stems = {e.entry_id: stem_of(e.name) for e in entries}
    counts = Counter(stem.lower() for stem in stems.values())
    return {
        key: f"{stem}.geojson" if counts[stem.lower()] == 1 else f"{stem}-{key}.geojson"
        for key, stem in stems.items()
    }


def _image_of(place: Place, file: Path, name: str | None) -> ImageEntry:
    """The image that a file belongs to."""
    if not file.is_file():
        raise BridgeError(f"There is no file {file}.")
    name = name or _named_in(file)
    stem = stem_of(file.name.removesuffix(".gz"))
    found = [e for e in place.entries if e.name == name]
    found = found or [e for e in place.entries if name is None and stem_of(e.name) == stem]
    if len(found) == 1:
        return found[0]
    raise BridgeError(
        f"{file} fits {len(found) or 'no'} images of the project{f' ({name})' if name else ''}. "
        "Give it alone, with --image NAME; 'qupath-bridge status' lists the images."
    )


def _named_in(file: Path) -> str | None:
    """The image that our own files name; None in those of other programs."""
    try:
        named = read_head(file, "").get("image")
    except BridgeError:
        return None
    return named if isinstance(named, str) else None


def _each(
    place: Place,
    entries: Sequence[ImageEntry],
    work: Callable[[Bridge, ImageEntry], dict[str, Any]],
    line: Callable[[dict[str, Any]], str],
    *,
    as_json: bool,
    read_only: bool = False,
) -> None:
    """Work on every image; what is wrong with one stops no other."""
    told = []
    with place.open(read_only) as bridge:
        for i, entry in enumerate(entries, start=1):
            if err.is_terminal:
                err.print(f"{i}/{len(entries)} {entry.name}", markup=False)
            try:
                facts = work(bridge, entry)
                if not as_json:
                    out.print(f"{entry.name}: {line(facts)}", markup=False)
            except HistoError as error:
                err.print(f"{entry.name}: {error}", markup=False)
                facts = {"state": "failed", "message": str(error)}
            told.append({"id": entry.entry_id, "name": entry.name, **facts})
    if as_json:
        print(json.dumps({"images": told}, indent=2, ensure_ascii=False))
    if any(facts["state"] == "failed" for facts in told):
        raise typer.Exit(1)
