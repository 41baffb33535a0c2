"""``napari-histo learn doubts``: which labels are worth a second look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from napari_histo.cli._arguments import DeviceName, DeviceOption, JsonOption
from napari_histo.cli._console import cancel_on_interrupt, drive, out
from napari_histo.cli.learn_steps import ProjectArgument, print_json

if TYPE_CHECKING:
    from napari_histo.learning.rounds.doubts import Doubt

__all__ = ["doubts_command"]


def doubts_command(
    project: ProjectArgument,
    n: Annotated[int, typer.Option("-n", min=1, help="Regions to list.")] = 20,
    device: DeviceOption = DeviceName.AUTO,
    as_json: JsonOption = False,
) -> None:
    """List the labelled regions that fit the others and the model least: look at these again.

    Painted areas are held against the model in use alone.
    """
    from napari_histo.learning.project.folder import LearningProject
    from napari_histo.learning.rounds.doubts import labels_in_doubt

    there = LearningProject(project)
    with cancel_on_interrupt() as cancel:
        found = drive(labels_in_doubt(there, device.value, cancel), "doubts")[:n]
    names = {image.id: image.name for image in there.facts.images}
    if as_json:
        print_json([_words(s, names) for s in found])
        return
    table = Table("image", "x, y", "round", "annotator", "score", "why", box=None)
    for s in found:
        place = f"{s.labels.region.x}, {s.labels.region.y}"
        who, score = s.labels.annotator, f"{s.score:.2f}"
        name = names.get(s.labels.image, s.labels.image)
        table.add_row(name, place, str(s.labels.round), who, score, s.reason)
    out.print(table)
    if there.facts.start.of_areas:
        out.print(
            "The score is 1 - the mean Dice of the painted classes with the answer of the model in "
            "use. What it learned wrong itself it does not doubt, and what it does not know yet it "
            "contradicts though the label may be right."
        )


def _words(suspect: Doubt, names: Mapping[str, str]) -> dict[str, Any]:
    labels, box = suspect.labels, suspect.labels.region
    return {
        "image": names.get(labels.image, labels.image),
        "region": [box.x, box.y, box.width, box.height],
        "round": labels.round,
        "annotator": labels.annotator,
        "score": round(suspect.score, 3),
        "reason": suspect.reason,
    }
