"""Whether a project is as it was sealed, and has what it takes to compute each round anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_histo.errors import HistoError, LearningError
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.rounds.decision import decision_words
from napari_histo.learning.rounds.files import sha256_of_folder
from napari_histo.learning.rounds.folder import RoundFolder, Stage
from napari_histo.learning.rounds.labels import check_labels

__all__ = ["Finding", "verify_project"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be.

    Attributes
    ----------
    where : str
        ``project``, ``round 3``.
    text : str
    is_error : bool
        False where the record is whole, and only this machine lacks something (images).
    """

    where: str
    text: str
    is_error: bool = True


def verify_project(project: LearningProject) -> list[Finding]:
    """Everything that is wrong with a project; empty where all is well.

    Looked at are all seals and hashes, the chain of stages and rounds, splits against those at the
    time of labelling, models against what the rounds say they used, and each decision, which is
    computed anew from its counts.
    """
    found = [*_start(project), *_images(project)]
    try:
        rounds = project.rounds
        _ = project.rollbacks
    except LearningError as error:
        return [*found, Finding("project", str(error))]
    before: str | None = None
    for number in rounds:
        texts = [*number.check(), *_round(project, number, before)]
        found += [Finding(f"round {number.number}", text) for text in texts]
        before = _seal(number)
    return found


def _start(project: LearningProject) -> Iterator[Finding]:
    start, finder = project.facts.start, project.facts.finder
    copies = [(start, Path(project.model(0)))] if start.sha256 else []
    if finder is not None and finder.sha256:
        copies.append((finder, Path(project.looks_with)))
    for one, folder in copies:
        if not folder.is_dir():
            yield Finding("start", f"{folder} is missing; no round can be computed anew.")
        elif sha256_of_folder(folder) != one.sha256:
            yield Finding("start", f"{folder} was changed since the project was made.")
    labels = project.path / "start" / "labels"
    if labels.is_dir():
        yield from (Finding("start", text) for text in check_labels(labels))


def _images(project: LearningProject) -> Iterator[Finding]:
    for image in project.facts.images:
        try:
            project.image_path(image)
        except HistoError as error:
            yield Finding("images", str(error), is_error=False)


def _seal(found: RoundFolder) -> str | None:
    try:
        return found.last_seal if found.is_over else None
    except LearningError:
        return None


def _round(project: LearningProject, found: RoundFolder, before: str | None) -> Iterator[str]:
    """What does not fit between a round and the rest; what cannot be read was told already."""
    words = {stage: _read(found, stage) for stage in list(Stage)[1 : found.stage + 1]}
    query = words.get(Stage.QUERIED)
    if query and query.get("after") != before:
        yield f"It does not follow from round {found.number - 1}: that is of another copy."
    if query:
        yield from _models(project, query["model"], "was chosen")
    if training := words.get(Stage.TRAINED):
        yield from _models(project, training["parent"], "was trained")
        lacking = [k for k in ("seed", "settings") if k not in training]
        if lacking:
            yield f"training.json lacks {' and '.join(lacking)}; it cannot be computed anew."
    if labels := words.get(Stage.LABELLED):
        yield from _splits(project, labels)
    evaluation, decision = words.get(Stage.EVALUATED), words.get(Stage.DECIDED)
    if evaluation and decision:
        yield from _decision(evaluation, decision)


def _read(found: RoundFolder, stage: Stage) -> dict[str, Any] | None:
    try:
        return found.read(stage)
    except LearningError:
        return None


def _models(project: LearningProject, used: Mapping[str, Any], what: str) -> Iterator[str]:
    try:
        there = project.model_facts(int(used["round"]))
    except LearningError:
        yield f"It {what} with the model of round {used['round']}, which is not there."
        return
    if there["sha256"] != used["sha256"]:
        yield f"It {what} with another model of round {used['round']} than is there now."


def _splits(project: LearningProject, labels: Mapping[str, Any]) -> Iterator[str]:
    known = {image.id: image.split for image in project.facts.images}
    for row in labels["regions"]:
        now = known.get(row["image"])
        if now is None:
            yield f"Region {row['id']} lies on the image {row['image']!r}, unknown to the project."
        elif now != row["split"]:
            yield (
                f"The image {row['image']!r} is for {now} now but was for {row['split']} when "
                f"region {row['id']} was labelled. Splits are fixed at the start; set it back."
            )


def _decision(evaluation: Mapping[str, Any], decision: Mapping[str, Any]) -> Iterator[str]:
    again = decision_words(evaluation, force=bool(decision["forced"]))
    differing = [k for k, v in again.items() if decision.get(k) != v]
    if differing:
        yield f"Decided anew from evaluation.json, it differs in {', '.join(differing)}."
