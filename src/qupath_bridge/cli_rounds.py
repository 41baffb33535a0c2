# SPDX-License-Identifier: GPL-3.0-or-later
"""``qupath-bridge publish`` and ``collect``: rounds of active learning."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console

from napari_histo.core import ObjectTable, QueriedRegion, RoundFacts, result_of
from napari_histo.core.bridge import ImageEntry
from napari_histo.errors import BridgeError, Cancelled, HistoError, WriteError
from qupath_bridge._cli_progress import shown
from qupath_bridge._rounds_report import collected_words, published_line, published_words
from qupath_bridge.bridge import QuPathBridge
from qupath_bridge.exchange import ExchangeBridge, is_exchange
from qupath_bridge.project import open_project
from qupath_bridge.rounds import Collected, Published, collecting, publishing
from qupath_bridge.rounds_files import image_of_file, read_request, write_collected
from qupath_bridge.rounds_list import ListChange, list_region_classes, show_rounds

__all__ = ["add_to"]

_BLOCKED = 4

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

Item = TypeVar("Item")
Bridge = QuPathBridge | ExchangeBridge
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
    images = _images(project)
    asked: dict[str, tuple[list[QueriedRegion], ObjectTable]] = {}
    for file in files:
        entry = image_of_file(images, file, image)
        if entry.entry_id in asked:
            raise BridgeError(f"{file} is the second file for the image {entry.name!r}. Join them.")
        asked[entry.entry_id] = read_request(file, entry, round_number, annotator)

    def work(bridge: Bridge, entry: ImageEntry) -> Published:
        regions, table = asked[entry.entry_id]
        steps = publishing(bridge, regions, {entry.entry_id: table}, model=model, dry_run=dry_run)
        return result_of(shown(steps, err, entry.name))[0]

    if not dry_run and not is_exchange(project):
        list_region_classes(open_project(project))
    wanted = [regions[0].image for regions, _ in asked.values()]
    done, failed = _each(project, wanted, work, read_only=dry_run)
    facts = {p.image.entry_id: p.facts for p in done}
    listed = ListChange() if dry_run else _show(project, facts)
    told = [published_words(p) for p in done]
    if as_json:
        _print_json(told, failed, listed)
    else:
        for words in told:
            out.print(published_line(words, dry_run), markup=False)
    if failed:
        raise typer.Exit(1)
    if any(p.plan.blocked for p in done):
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

    def work(bridge: Bridge, entry: ImageEntry) -> Collected:
        found = result_of(shown(collecting(bridge, [entry]), err, entry.name))
        return found[0] if found else Collected(entry)

    done, failed = _each(project, _chosen(project, image), work, read_only=True)
    found = [c for c in done if c.regions]
    listed = ListChange()
    if folder is not None and not dry_run:
        write_collected(folder, found)
        listed = _show(project, {c.image.entry_id: c.facts for c in done})
    told = [collected_words(c) for c in found]
    if as_json:
        _print_json(told, failed, listed)
    else:
        _print_collected(told)
    if failed:
        raise typer.Exit(1)


def _chosen(project: Path, names: list[str] | None) -> list[ImageEntry]:
    """Images with objects; counts on disk tell without Java."""
    images = _images(project, with_objects=True)
    missing = sorted(set(names or ()) - {e.name for e in _images(project)})
    if missing:
        raise BridgeError(
            f"The project has no image named {', '.join(missing)}. 'qupath-bridge status' lists "
            "its images."
        )
    return [e for e in images if not names or e.name in names]


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


def _images(project: Path, *, with_objects: bool = False) -> list[ImageEntry]:
    """Images of a project or of an exchange folder."""
    if is_exchange(project):
        listed = ExchangeBridge(project, read_only=True).manifest.images
        return [i.entry for i in listed if i.file or not with_objects]
    opened = open_project(project)
    return [
        entry
        for entry, found in zip(opened.images(), opened.entries, strict=True)
        if found.data_file.exists() or not with_objects
    ]


def _each(
    project: Path,
    images: Iterable[ImageEntry],
    work: Callable[[Bridge, ImageEntry], Item],
    *,
    read_only: bool,
) -> tuple[list[Item], list[dict[str, str]]]:
    """Work on every image; what is wrong with one stops no other."""
    done, failed = [], []
    kind = ExchangeBridge if is_exchange(project) else QuPathBridge
    with kind(project, read_only=read_only) as bridge:
        for entry in images:
            try:
                done.append(work(bridge, entry))
            except Cancelled:
                raise
            except HistoError as error:
                err.print(f"{entry.name}: {error}", markup=False)
                failed.append({"id": entry.entry_id, "name": entry.name, "message": str(error)})
    return done, failed


def _show(project: Path, facts: Mapping[str, RoundFacts]) -> ListChange:
    """Bring QuPath's list of images up to date; a view, so a failure is told and stops nothing."""
    if is_exchange(project):
        return ListChange()  # the list is the project's, which may be on another computer
    try:
        listed = show_rounds(open_project(project), facts)
    except WriteError as error:
        err.print(f"The list of images in QuPath was not brought up to date. {error}", markup=False)
        return ListChange()
    if listed.overwritten:
        err.print(
            f"QuPath had the project open and saved over the list of {len(listed.overwritten)} "
            "images; they are written again. Close the project in QuPath before publishing, and "
            "open it again to see them.",
            markup=False,
        )
    if listed.vanished:
        err.print(
            f"{len(listed.vanished)} images have fewer regions than before. Where nobody deleted "
            "them, QuPath had the image open while they were published and saved it since: publish "
            "them again.",
            markup=False,
        )
    return listed


def _print_json(
    told: list[dict[str, Any]], failed: list[dict[str, str]], listed: ListChange
) -> None:
    words = {
        "images": told,
        "failed": failed,
        "listed": list(listed.changed),
        "overwritten": list(listed.overwritten),
        "vanished": list(listed.vanished),
    }
    print(json.dumps(words, indent=2, ensure_ascii=False))
