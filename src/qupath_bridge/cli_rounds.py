# SPDX-License-Identifier: GPL-3.0-or-later
"""``qupath-bridge publish`` and ``collect``: rounds of active learning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from napari_histo.core import ObjectTable, QueriedRegion
from napari_histo.core.bridge import ImageEntry
from napari_histo.errors import BridgeError
from qupath_bridge._cli_progress import drive
from qupath_bridge._rounds_report import collected_words, published_line, published_words
from qupath_bridge.rounds_files import image_of_file, read_request, write_collected
from qupath_bridge.rounds_place import RoundsDone, RoundsPlace

__all__ = ["add_to"]

_BLOCKED = 4

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

ProjectArgument = Annotated[
    Path,
    typer.Argument(metavar="PROJECT", help="A project.qpproj, its folder, or an exchange folder."),
]
DryOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("publish", help="Put a round's regions and predictions into a project.")(_publish)
    app.command("collect", help="Get what was annotated in a project's done regions.")(_collect)


# -- publish -------------------------------------------------------------------------------------


def _publish(
    project: ProjectArgument,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="REGIONS.geojson...",
            help="One file an image, called as it: regions as annotations, predictions as "
            "detections or cells.",
        ),
    ],
    image: Annotated[
        str | None, typer.Option(metavar="NAME", help="The image, where one file is given.")
    ] = None,
    round_number: Annotated[
        int, typer.Option("--round", min=0, help="For regions that do not say their round.")
    ] = 0,
    model: Annotated[str, typer.Option(help="Who predicted; by default as the file says.")] = "",
    annotator: Annotated[str, typer.Option(help="Whose task the regions are.")] = "",
    dry_run: DryOption = False,
    as_json: JsonOption = False,
) -> None:
    if image is not None and len(files) > 1:
        raise BridgeError(f"--image names one image, and {len(files)} files are given.")
    place = RoundsPlace(project)
    asked: dict[str, tuple[list[QueriedRegion], ObjectTable]] = {}
    for file in files:
        entry = image_of_file(place.images(), file, image)
        if entry.entry_id in asked:
            raise BridgeError(f"{file} is the second file for the image {entry.name!r}. Join them.")
        asked[entry.entry_id] = read_request(file, entry, round_number, annotator)
    found = drive(place.publishing(asked, model=model, dry_run=dry_run), err)
    _print_troubles(found)
    told = [published_words(p) for p in found.done]
    if as_json:
        _print_json(told, found)
    else:
        for words in told:
            out.print(published_line(words, dry_run), markup=False)
    if found.failed:
        raise typer.Exit(1)
    if any(p.plan.blocked for p in found.done):
        raise typer.Exit(_BLOCKED)


# -- collect -------------------------------------------------------------------------------------


def _collect(
    project: ProjectArgument,
    folder: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="FOLDER", help="Where to write; a file a region."),
    ] = None,
    image: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this image. May be given several times."),
    ] = None,
    dry_run: DryOption = False,
    as_json: JsonOption = False,
) -> None:
    if folder is None and not dry_run:
        raise BridgeError("Say where to write: -o FOLDER. Or ask with --dry-run what there is.")

    place = RoundsPlace(project)
    entries = _chosen(place, image)
    is_dry = dry_run or folder is None
    found = drive(place.collecting(entries, dry_run=is_dry), err)
    if folder is not None and not dry_run:
        write_collected(folder, found.done)
    _print_troubles(found)
    told = [collected_words(c) for c in found.done]
    if as_json:
        _print_json(told, found)
    else:
        _print_collected(told)
    if found.failed:
        raise typer.Exit(1)


def _chosen(place: RoundsPlace, names: list[str] | None) -> list[ImageEntry]:
    """Images with objects, of these names."""
    missing = sorted(set(names or ()) - {e.name for e in place.images()})
    if missing:
        raise BridgeError(
            f"The project has no image named {', '.join(missing)}. 'qupath-bridge status' lists "
            "its images."
        )
    return [e for e in place.images(with_objects=True) if not names or e.name in names]


def _print_collected(told: list[dict[str, Any]]) -> None:
    for words in told:
        out.print(
            f"{words['name']}: regions done {words['n_done']}, to annotate "
            f"{words['n_to_annotate']}, skipped {words['n_skipped']}",
            markup=False,
        )
        for region in words["regions"]:
            counts = ", ".join(f"{n} {origin}" for origin, n in region["objects"].items())
            removed = f", {region['n_removed']} removed" if region["n_removed"] else ""
            out.print(f"  {region['file']}: {counts}{removed}", markup=False)
        for remark in words["remarks"]:
            err.print(f"{words['name']}: {remark}", markup=False)
    if not told:
        out.print("The project has no regions.")


# -- both ----------------------------------------------------------------------------------------


def _print_troubles(found: RoundsDone[Any]) -> None:
    for failure in found.failed:
        err.print(f"{failure.image.name}: {failure.message}", markup=False)
    for note in found.notes:
        err.print(note, markup=False)


def _print_json(told: list[dict[str, Any]], found: RoundsDone[Any]) -> None:
    failed = [
        {"id": f.image.entry_id, "name": f.image.name, "message": f.message} for f in found.failed
    ]
    words = {
        "images": told,
        "failed": failed,
        "listed": list(found.listed.changed),
        "overwritten": list(found.listed.overwritten),
        "vanished": list(found.listed.vanished),
    }
    print(json.dumps(words, indent=2, ensure_ascii=False))
