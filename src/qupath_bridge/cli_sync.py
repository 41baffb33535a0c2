# SPDX-License-Identifier: GPL-3.0-or-later
"""``qupath-bridge sync``, ``pull``, ``push`` and ``undo``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from napari_histo.core.bridge import ImageEntry, WriteReport
from napari_histo.errors import BridgeError, HistoError
from qupath_bridge._cli_progress import drive
from qupath_bridge._places import Bridge, Place, place_of, stem_of
from qupath_bridge.exchange import ExchangeBridge
from qupath_bridge.images import PathRule
from qupath_bridge.pair import Comparison, Direction, Pair, carry_out, compare, undo
from qupath_bridge.sync import dry_run_table

__all__ = ["OPEN_CONFLICTS", "add_to"]

#: Exit code: some conflicts wait for an answer.
OPEN_CONFLICTS = 4
_MANY = 20
_SAVED_OVER = (
    "QuPath had this image open during the last sync and saved over it: what it lacks since then "
    "is written again. Reload the image in QuPath after a sync."
)
_REFUSED = (
    "Some of what waited for QuPath was changed there as well, so the import left it alone; it is "
    "compared anew."
)

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


class PolicyName(StrEnum):
    """What becomes of conflicts."""

    ASK = "ask"
    OURS = "ours"
    THEIRS = "theirs"
    COPY = "copy"


ProjectArgument = Annotated[
    Path,
    typer.Argument(
        metavar="PROJECT", help="A project.qpproj, its folder, or the folder of an exchange."
    ),
]
ObjectsOption = Annotated[
    Path | None,
    typer.Option(
        "--objects",
        metavar="FOLDER",
        help="Where our GeoJSON files lie, one an image; by default beside the images, where "
        "napari's Annotate panel saves.",
    ),
]
ImageOption = Annotated[
    list[str] | None,
    typer.Option("--image", metavar="NAME", help="Only this image. May be given several times."),
]
MapOption = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="OLD=NEW",
        help="What lay under the folder OLD lies under NEW now. May be given several times.",
    ),
]
PolicyOption = Annotated[
    PolicyName,
    typer.Option(
        help="What both changed differently: ask (leave as it is on both sides), ours, theirs, or "
        "copy (keep both)."
    ),
]
DryOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    _add_sync(app, "sync", "Bring our files and the project in step, both ways.")
    _add_sync(app, "pull", "Bring what was done in QuPath into our files; the project stays.")
    _add_sync(app, "push", "Bring what was done here into the project; our files stay.")
    app.command("undo", help="Take the last sync, pull or push back.")(_undo_command)


def _add_sync(app: typer.Typer, direction: Direction, help_: str) -> None:
    @app.command(direction, help=help_)
    def command(
        project: ProjectArgument,
        objects: ObjectsOption = None,
        image: ImageOption = None,
        moved: MapOption = None,
        policy: PolicyOption = PolicyName.ASK,
        dry_run: DryOption = False,
        as_json: JsonOption = False,
    ) -> None:
        def work(bridge: Bridge, pair: Pair) -> dict[str, Any]:
            found = drive(compare(bridge, pair, policy.value), err, pair.entry.name)
            if not dry_run:
                drive(carry_out(bridge, found, direction), err, pair.entry.name)
            if not as_json:
                _print(found, direction, dry_run, bridge)
            return _facts(found, direction, dry_run)

        place = place_of(project, _rules(moved))
        pairs = _pairs(place, objects, image)
        if direction == "push":
            pairs = [pair for pair in pairs if pair.file.exists()]
        _each(place, pairs, work, as_json=as_json, read_only=dry_run or direction == "pull")


def _undo_command(
    project: ProjectArgument,
    objects: ObjectsOption = None,
    image: ImageOption = None,
    moved: MapOption = None,
    as_json: JsonOption = False,
) -> None:
    def work(bridge: Bridge, pair: Pair) -> dict[str, Any]:
        drive(undo(bridge, pair), err, pair.entry.name)
        if not as_json:
            out.print(f"{pair.entry.name}: as before the last sync", markup=False)
        return {"state": "taken back"}

    place = place_of(project, _rules(moved))
    pairs = _pairs(place, objects, image)
    pairs = [pair for pair in pairs if pair.undo_folder.exists()]
    if not pairs:
        raise BridgeError("There is no sync to take back for these images.")
    _each(place, pairs, work, as_json=as_json)


# -- which images, and where ---------------------------------------------------------------------


def _rules(moved: Sequence[str] | None) -> list[PathRule]:
    return [PathRule.parse(text) for text in moved or ()]


def _pairs(place: Place, objects: Path | None, names: Sequence[str] | None) -> list[Pair]:
    """Pairs of the chosen images; each file belongs to one image."""
    entries = place.chosen(names)
    pairs = [Pair(e, _file_of(place, e, objects), place.path) for e in entries]
    for file, n in Counter(pair.file for pair in pairs).items():
        if n > 1:
            shared = " and ".join(pair.entry.name for pair in pairs if pair.file == file)
            raise BridgeError(
                f"{shared} would share the file {file}. Sync them one by one with --image, and "
                "with a folder for each by --objects."
            )
    return pairs


def _file_of(place: Place, entry: ImageEntry, objects: Path | None) -> Path:
    if objects is not None:
        return objects / f"{stem_of(entry.name)}.geojson"
    found = place.find_image(entry)
    if found.path is None:
        raise BridgeError(
            f"The image file of {entry.name!r} is not found, and our objects lie beside it. Say "
            "where it is with --map OLD=NEW, or where our files are with --objects FOLDER."
        )
    return found.path.with_name(f"{stem_of(found.path.name)}.geojson")


# -- one image after the other -------------------------------------------------------------------


def _each(
    place: Place,
    pairs: Sequence[Pair],
    work: Callable[[Bridge, Pair], dict[str, Any]],
    *,
    as_json: bool,
    read_only: bool = False,
) -> None:
    """Work on every image; what is wrong with one stops no other."""
    told = []
    with place.open(read_only) as bridge:
        for pair in pairs:
            try:
                facts = work(bridge, pair)
            except HistoError as error:
                err.print(f"{pair.entry.name}: {error}", markup=False)
                facts = {"state": "failed", "message": str(error)}
            about = {"id": pair.entry.entry_id, "name": pair.entry.name, "file": str(pair.file)}
            told.append(about | facts)
    if as_json:
        print(json.dumps({"images": told}, indent=2, ensure_ascii=False))
    if any(image["state"] == "failed" for image in told):
        raise typer.Exit(1)
    if any(image.get("open_conflicts") for image in told):
        raise typer.Exit(OPEN_CONFLICTS)


def _facts(found: Comparison, direction: Direction, dry_run: bool) -> dict[str, Any]:
    merged = found.merge
    moves = found.writes_ours(direction) or found.writes_theirs(direction)
    state = ("would change" if dry_run else "written") if moves else "in step"
    facts: dict[str, Any] = {
        "state": state,
        "open_conflicts": merged.n_open,
        "was_overwritten": found.is_overwritten,
    }
    if direction != "push":
        facts["to_file"] = _counts(merged.to_ours.report)
    if direction != "pull":
        facts["to_project"] = _counts(merged.to_theirs.report)
    facts["conflicts"] = [
        {"id": str(c.object_id), "fields": c.fields, "at": c.centroid, "choice": c.choice}
        for c in merged.conflicts
    ]
    return facts


def _n_waiting(bridge: Bridge, found: Comparison) -> int:
    return bridge.n_waiting(found.pair.entry) if isinstance(bridge, ExchangeBridge) else 0


def _counts(report: WriteReport) -> dict[str, int]:
    return {name: getattr(report, name) for name in ("added", "changed", "removed", "unchanged")}


def _print(found: Comparison, direction: Direction, dry_run: bool, bridge: Bridge) -> None:
    facts = _facts(found, direction, dry_run)
    out.print(f"{found.pair.entry.name}: {facts['state']}", markup=False)
    if found.is_overwritten:
        err.print(_REFUSED if isinstance(bridge, ExchangeBridge) else _SAVED_OVER, markup=False)
    waiting = 0 if dry_run else _n_waiting(bridge, found)
    if waiting:
        out.print(f"  {waiting:,} objects wait for the import script in QuPath", markup=False)
    if facts["state"] == "in step" and not facts["conflicts"]:
        return
    out.print(dry_run_table(found.merge), markup=False, end="")
    for conflict in facts["conflicts"][:_MANY]:
        x, y = conflict["at"]
        fields = ", ".join(conflict["fields"])
        what = f"{fields} -> {conflict['choice']}"
        out.print(f"  {conflict['id']} at {x:.0f}, {y:.0f}: {what}", markup=False)
    if len(facts["conflicts"]) > _MANY:
        out.print(f"  and {len(facts['conflicts']) - _MANY} more; --json lists all")
