"""The steps of a round at the command line: query, collect, train, evaluate."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from napari_histo.cli._arguments import DeviceName, DeviceOption, JsonOption
from napari_histo.cli._console import cancel_on_interrupt, drive, err, out

if TYPE_CHECKING:
    from napari_histo.core import CancelToken, Progress
    from napari_histo.learning.rounds.tools import Tools

__all__ = [
    "ProjectArgument",
    "collect_command",
    "evaluate_command",
    "print_json",
    "query_command",
    "train_command",
]

ProjectArgument = Annotated[Path, typer.Argument(help="Folder of the learning project.")]
QuPathOption = Annotated[
    Path | None,
    typer.Option(
        "--qupath",
        metavar="PROJECT",
        help="QuPath project (or exchange folder) where the rounds are annotated too; remembered.",
    ),
]
NoQuPathOption = Annotated[
    bool, typer.Option("--no-qupath", help="Leave the QuPath project out this time.")
]
SeedOption = Annotated[
    int | None, typer.Option(min=0, help="Of this step; by default it follows from the project's.")
]

Result = TypeVar("Result")


class Merge(StrEnum):
    """How labels of several people become one."""

    MAJORITY = "majority"
    STAPLE = "staple"
    FIRST = "first"


def tools_for(device: DeviceName, encoder: Path | None = None) -> Tools:
    """What the steps call; tests put others here."""
    from napari_histo.learning.rounds.tools import real_tools

    return real_tools(device.value, encoder)


def query_command(
    project: ProjectArgument,
    strategy: Annotated[
        str, typer.Option(help="How to choose: auto, random, uncertain, diverse, …")
    ] = "auto",
    n: Annotated[int | None, typer.Option("-n", min=1, help="Regions to learn from.")] = None,
    validation: Annotated[
        int | None, typer.Option(min=0, help="Regions that judge, beside them.")
    ] = None,
    encoder: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="An encoder of your own (UNI, Phikon, …) that says what regions look like.",
        ),
    ] = None,
    like: Annotated[
        list[str] | None,
        typer.Option(
            metavar="IMAGE:X,Y", help="Regions like the one at this place, px; several times."
        ),
    ] = None,
    seed: SeedOption = None,
    qupath: QuPathOption = None,
    no_qupath: NoQuPathOption = False,
    device: DeviceOption = DeviceName.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Begin a round: choose the regions worth annotating; lay them out in work/ and in QuPath."""
    from napari_histo.cli.learn_qupath import publish_round, tell_published
    from napari_histo.cli.learn_status import query_table
    from napari_histo.learning.project.folder import LearningProject
    from napari_histo.learning.rounds.alike import Spot
    from napari_histo.learning.rounds.query import QueryWish, query

    there = LearningProject(project)
    spots = tuple(Spot.parse(text, there) for text in like or ())
    wish = QueryWish(strategy, n, validation, seed, spots)
    tools = tools_for(device) if encoder is None else tools_for(device, encoder)
    if words := tools.encoder:
        err.print(f"Encoder {words['name']}, licence: {words['licence']}", markup=False)
    found = _run(lambda cancel: query(there, wish, tools, cancel), "query")
    if not as_json:
        out.print(query_table(found))
    published = None if no_qupath else publish_round(there, found, qupath)
    to_collect = f"napari-histo learn collect {project}"
    if as_json:
        print_json(found.query | ({} if published is None else {"qupath": published}))
    elif published is not None:
        tell_published(published, there, found, to_collect)
    else:
        out.print(
            f"Round {found.number}: annotate the files in {there.work_path(found.number)} (napari "
            f"or QuPath), give each region the class 'Region: done', then: {to_collect}",
            markup=False,
        )


def collect_command(
    project: ProjectArgument,
    partial: Annotated[
        bool, typer.Option(help="Go on though some regions are neither done nor skipped.")
    ] = False,
    elsewhere: Annotated[
        list[Path] | None,
        typer.Option(
            "--from",
            metavar="FOLDER",
            help="Also what 'qupath-bridge collect' wrote there, or another person's folder of "
            "work; several times.",
        ),
    ] = None,
    annotator: Annotated[
        str, typer.Option(help="Who, for regions that do not say it themselves.")
    ] = "",
    merge: Annotated[
        Merge, typer.Option(help="How a region that several people did becomes one.")
    ] = Merge.MAJORITY,
    qupath: QuPathOption = None,
    no_qupath: NoQuPathOption = False,
    as_json: JsonOption = False,
) -> None:
    """Seal what was annotated: the regions of the class 'Region: done', here and in QuPath."""
    from napari_histo.cli.learn_images import collected_in
    from napari_histo.cli.learn_qupath import gather_qupath
    from napari_histo.learning.project.folder import LearningProject
    from napari_histo.learning.rounds.labels import list_labels
    from napari_histo.learning.rounds.several import told_of_all
    from napari_histo.learning.rounds.steps import collect

    there = LearningProject(project)
    places = [collected_in(folder, there) for folder in elsewhere or ()]
    if not no_qupath and (done := gather_qupath(there, qupath)) is not None:
        places.append(done)
    found = collect(there, places, partial=partial, annotator=annotator, merging=merge.value)
    words = list_labels(found.path / "labels")
    if as_json:
        print_json(words)
        return
    for remark in words["remarks"]:
        err.print(f"Note: {remark}", markup=False)
    rows = words["regions"]
    n_things = f"{sum(row['objects'] for row in rows)} {there.facts.start.things}"
    judging = sum(row["split"] == "validation" for row in rows)
    if agreement := told_of_all([row["consensus"] for row in rows if row.get("consensus")]):
        out.print(agreement, markup=False)
    out.print(
        f"Round {found.number}: {len(rows)} regions with {n_things}, {judging} of them to "
        f"judge. Next: napari-histo learn train {project}",
        markup=False,
    )


def train_command(
    project: ProjectArgument,
    steps: Annotated[int | None, typer.Option(min=1, help="How long to learn.")] = None,
    rate: Annotated[float | None, typer.Option(min=1e-6, help="Largest learning rate.")] = None,
    replay: Annotated[
        bool, typer.Option(help="Go over what earlier rounds taught, so that it is not forgotten.")
    ] = True,
    replay_share: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=0.99,
            help="Share of what it looks at that earlier rounds taught; usual is 0.5.",
        ),
    ] = None,
    distillation: Annotated[
        float | None,
        typer.Option(
            min=0, help="How much the answers of the model in use count there; usual is 0.2."
        ),
    ] = None,
    compose: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Share of artificial patches of touching nuclei, for fluorescence."
        ),
    ] = None,
    anew: Annotated[
        bool, typer.Option(help="Begin again where a training was stopped, instead of going on.")
    ] = False,
    seed: SeedOption = None,
    device: DeviceOption = DeviceName.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Train the round's model from the model in use; when stopped, run it again to go on."""
    from napari_histo.core import retold
    from napari_histo.learning.project.folder import LearningProject
    from napari_histo.learning.rounds.steps import TrainWish, train
    from napari_histo.learning.rounds.tools import training_settings

    settings = training_settings(
        steps=steps,
        rate=rate,
        replay_share=replay_share,
        distillation=distillation,
        compose=compose,
    )
    wish = TrainWish(settings, seed, replay, anew)
    there = LearningProject(project)
    found = _run(
        lambda cancel: retold(train(there, wish, tools_for(device), cancel), _tell_ahead), "train"
    )
    words = found.training
    if as_json:
        print_json(words)
        return
    out.print(
        f"Round {found.number}: learned from {len(words['regions'])} new and "
        f"{len(words['replayed'])} earlier regions -> {found.model_path}. Next: napari-histo learn "
        f"evaluate {project}",
        markup=False,
    )


def _tell_ahead(step: Progress) -> Progress:
    """What a training will take stays on the screen above its progress."""
    if ahead := getattr(step, "ahead", None):
        err.print(str(ahead), markup=False, style="yellow" if ahead.is_tight else None)
    return step


def evaluate_command(
    project: ProjectArgument,
    force: Annotated[
        bool, typer.Option(help="Take the new model whatever comes out; the record says so.")
    ] = False,
    device: DeviceOption = DeviceName.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Hold the new model against the one in use, and take it where it is not worse."""
    from napari_histo.learning.project.folder import LearningProject
    from napari_histo.learning.rounds.steps import evaluate

    there = LearningProject(project)
    found = _run(lambda cancel: evaluate(there, tools_for(device), cancel, force=force), "evaluate")
    if as_json:
        print_json(found.decision)
        return
    out.print(f"Round {found.number}: {found.decision['sentence']}", markup=False)


def print_json(words: Any) -> None:
    """To stdout."""
    print(json.dumps(words, indent=2, ensure_ascii=False))


def _run(start: Callable[[CancelToken], Generator[Progress, None, Result]], title: str) -> Result:
    with cancel_on_interrupt() as cancel:
        return drive(start(cancel), title)
