"""``napari-histo learn``: rounds of annotating, training and checking, kept in a project folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_histo.cli._arguments import JsonOption
from napari_histo.cli._console import err, out
from napari_histo.cli.learn_doubts import doubts_command
from napari_histo.cli.learn_simulate import simulate_command
from napari_histo.cli.learn_steps import (
    ProjectArgument,
    collect_command,
    evaluate_command,
    print_json,
    query_command,
    train_command,
)

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Learn from your corrections, round by round.")

GroupsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="CSV",
        help="Which images belong together: columns image and group (patient or slide), perhaps "
        "split (train, validation) and stratum (stain, hospital).",
    ),
]
PixelSizeOption = Annotated[
    float | None,
    typer.Option(min=0.01, metavar="UM", help="Of images that carry none, µm per px."),
]


@app.command("init")
def init_command(
    project: ProjectArgument,
    images: Annotated[
        list[Path],
        typer.Argument(help="Images, folders, lists (.txt), or a QuPath project (.qpproj)."),
    ],
    model: Annotated[str, typer.Option(help="Name or folder of the model to begin with.")] = (
        "he-nuclei"
    ),
    finder: Annotated[
        str,
        typer.Option(help="Beside a model that answers clicks: one that finds what to click on."),
    ] = "he-nuclei",
    groups: GroupsOption = None,
    validation: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of the groups that judge, never teach.")
    ] = 0.25,
    labels: Annotated[
        Path | None,
        typer.Option(help="Folder of what is annotated already, named like the images."),
    ] = None,
    regions: Annotated[int, typer.Option(min=1, help="Regions to annotate in a round.")] = 8,
    region_px: Annotated[
        int | None,
        typer.Option(
            min=32,
            help="Side of a region, px of the model: 256, or 128 for a model of tissues.",
        ),
    ] = None,
    validation_regions: Annotated[
        int, typer.Option(min=0, help="Regions that judge; the first rounds ask for them too.")
    ] = 12,
    margin: Annotated[
        float, typer.Option(min=0, max=0.5, help="Loss of PQ that a new model may show.")
    ] = 0.01,
    pixel_size: PixelSizeOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random in the project.")] = 0,
) -> None:
    """Make a project: which images teach, which judge, and the model to begin with."""
    from napari_histo.cli.learn_images import labels_of, new_images
    from napari_histo.cli.learn_qupath import link_images
    from napari_histo.learning.project.facts import Settings
    from napari_histo.learning.project.making import NewProject, create_project
    from napari_histo.learning.project.starting import paints_areas, usual_region_px
    from napari_histo.learning.rounds.promotion import Gate

    found = new_images(images, groups, pixel_size)
    side_px = region_px or usual_region_px(model)
    settings = Settings(side_px, regions, validation_regions, Gate(margin_pq=margin))
    wanted = NewProject(found, model, finder, share=validation, seed=seed, settings=settings)
    labelled = [] if labels is None else labels_of(labels, found, of_areas=paints_areas(model))
    made = create_project(project, wanted, labelled)
    n = {split: len(made.facts.of_split(split)) for split in ("train", "validation")}
    out.print(
        f"{project}: {n['train']} images to learn from, {n['validation']} that judge, "
        f"{len(labelled)} labelled regions; begins with {made.facts.start.name}",
        markup=False,
    )
    link_images(project, images)
    if not n["validation"]:
        err.print("No image judges, so no new model can be told from a worse one (--validation).")
    out.print(f"Next: napari-histo learn query {project}", markup=False)


@app.command("add")
def add_command(
    project: ProjectArgument,
    images: Annotated[list[Path], typer.Argument(help="As for init.")],
    groups: GroupsOption = None,
    pixel_size: PixelSizeOption = None,
) -> None:
    """Add images. Patients that are known stay on their side; others are drawn as at the start."""
    from napari_histo.cli.learn_images import new_images
    from napari_histo.cli.learn_qupath import link_images
    from napari_histo.learning.project.folder import LearningProject
    from napari_histo.learning.project.making import add_images

    before = LearningProject(project)
    after = add_images(before, new_images(images, groups, pixel_size, before))
    n = len(after.facts.images) - len(before.facts.images)
    judging = len(after.facts.of_split("validation")) - len(before.facts.of_split("validation"))
    out.print(f"{project}: {n} images added, {judging} of them to judge", markup=False)
    link_images(project, images)


app.command("query")(query_command)
app.command("collect")(collect_command)
app.command("train")(train_command)
app.command("evaluate")(evaluate_command)


@app.command("status")
def status_command(
    project: ProjectArgument,
    images: Annotated[
        list[Path] | None,
        typer.Option(help="Folder where the images are now; remembered on this machine alone."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Rounds with regions, objects and quality; what another would give; which model is in use."""
    from napari_histo.cli.learn_status import status_table, status_words
    from napari_histo.learning.project.folder import LearningProject
    from napari_histo.learning.project.places import linked_qupath, look_in

    there = LearningProject(project)
    if images:
        look_in(there.path, images)
    qupath = linked_qupath(there.path)
    words = status_words(there) | {"qupath": None if qupath is None else str(qupath)}
    if as_json:
        print_json(words)
        return
    if words["rounds"]:
        out.print(status_table(words))
    for name in words["missing_images"]:
        err.print(f"Note: the image {name} is not found (--images FOLDER).", markup=False)
    if qupath is not None:
        gone = "" if qupath.exists() else ", which is not there any more (learn query --qupath)"
        out.print(f"In step with QuPath: {qupath}{gone}.", markup=False)
    if words["rounds"]:
        out.print(words["another_round"]["sentence"], markup=False)
    using = f"round {words['current']}" if words["current"] else words["start_model"]
    out.print(f"In use: the model of {using}. Next: {words['next']}.", markup=False)


@app.command("rollback")
def rollback_command(
    project: ProjectArgument,
    to: Annotated[int, typer.Option(min=0, help="Round whose model to use; 0 to begin with.")],
    reason: Annotated[str, typer.Option(help="Why, for whoever reads the record.")] = "",
    forget_labels: Annotated[
        bool, typer.Option(help="Labels of the rounds after it teach no more.")
    ] = False,
    force: Annotated[
        bool, typer.Option(help="Take a model that was not promoted in its round.")
    ] = False,
) -> None:
    """Use the model of an earlier round again; nothing is deleted, and it can be undone so too."""
    from napari_histo.learning.project.folder import LearningProject

    there = LearningProject(project)
    with there.editing():
        there.roll_back(to, reason=reason, forget_labels=forget_labels, force=force)
    using = f"round {to}" if to else there.facts.start.name
    out.print(f"In use from now on: the model of {using}.", markup=False)


@app.command("abandon")
def abandon_command(
    project: ProjectArgument,
    reason: Annotated[str, typer.Option(help="Why, for whoever reads the record.")] = "",
) -> None:
    """Give up the round in work: its files stay, but teach and judge no more."""
    from napari_histo.learning.project.folder import LearningProject
    from napari_histo.learning.rounds.steps import abandon

    found = abandon(LearningProject(project), reason)
    out.print(f"Round {found.number} is given up. Next: napari-histo learn query {project}")


@app.command("verify")
def verify_command(project: ProjectArgument, as_json: JsonOption = False) -> None:
    """Check every sealed file, hash, split and decision; exit code 1 where something is wrong."""
    from dataclasses import asdict

    from napari_histo.learning.project.checks import verify_project
    from napari_histo.learning.project.folder import LearningProject

    found = verify_project(LearningProject(project))
    if as_json:
        print_json([asdict(finding) for finding in found])
    else:
        for finding in found:
            word = "" if finding.is_error else "Note: "
            out.print(f"{word}{finding.where}: {finding.text}", markup=False)
        if not found:
            out.print("Everything is as it was sealed.")
    if any(finding.is_error for finding in found):
        raise typer.Exit(1)


app.command("doubts")(doubts_command)
app.command("simulate")(simulate_command)
