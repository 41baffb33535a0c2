"""The folder of one round: which stages are sealed, and what they say.

::

    query.json        which regions were asked for, with score and reason
    labels/           what came back, as it was then (see `round_labels`)
    training.json     settings, seed, parent, what was replayed, the curve; seals model/
    model/            weights and card
    evaluation.json   counts of the new model and its parent in each validation region
    decision.json     whether the new model took its parent's place, and why
    abandoned.json    in a round that was given up: why
    when.json         times, persons, versions: all that differs between two runs alike; not sealed

A stage that is there is whole. What a round needs next follows from the files alone, so that a
process that is killed leaves nothing to repair.
"""

from __future__ import annotations

import getpass
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import Any

from napari_histo import __version__
from napari_histo.core.rounds import Split
from napari_histo.errors import LearningError
from napari_histo.learning.rounds.files import (
    digest_of_files,
    read_json,
    read_sealed,
    sha256_of_folder,
    write_json,
    write_sealed,
)
from napari_histo.learning.rounds.labels import (
    LABELS,
    KeptRegion,
    check_labels,
    list_labels,
    read_labels,
    write_labels,
)
from napari_histo.store.write import make_folder

__all__ = ["RoundFolder", "Stage"]


class Stage(IntEnum):
    """The last stage of a round that is done."""

    EMPTY = 0
    QUERIED = 1
    LABELLED = 2
    TRAINED = 3
    EVALUATED = 4
    DECIDED = 5


#: Sealed file of each stage, in their order.
_FILES = {
    Stage.QUERIED: "query.json",
    Stage.LABELLED: f"labels/{LABELS}",
    Stage.TRAINED: "training.json",
    Stage.EVALUATED: "evaluation.json",
    Stage.DECIDED: "decision.json",
}
_ABANDONED = "abandoned.json"


class RoundFolder:
    """A round on disk; reading checks seals, writing seals.

    Parameters
    ----------
    path : Path
        Need not be there yet.
    number : int
        From 1.
    """

    def __init__(self, path: Path, number: int) -> None:
        self.path, self.number = path, number

    @property
    def stage(self) -> Stage:
        """How far the round has come, from its files.

        Raises
        ------
        LearningError
            A file is missing before one that is there.
        """
        there = [stage for stage, name in _FILES.items() if (self.path / name).is_file()]
        if there != list(_FILES)[: len(there)]:
            lost = next(s for s in _FILES if s not in there)
            raise LearningError(
                f"{self.path / _FILES[lost]} is missing, though {_FILES[there[-1]]} is there. "
                "Bring it back from a copy of the project."
            )
        return there[-1] if there else Stage.EMPTY

    @property
    def is_abandoned(self) -> bool:
        """True for a round that was given up; nothing in it counts."""
        return (self.path / _ABANDONED).is_file()

    @property
    def is_over(self) -> bool:
        """True for a round that is decided or was given up."""
        return self.is_abandoned or self.stage == Stage.DECIDED

    @property
    def last_seal(self) -> str:
        """Seal of the last file that was sealed."""
        if self.is_abandoned:
            return str(read_sealed(self.path / _ABANDONED)["seal"])
        return str(self.read(self.stage)["seal"])

    @property
    def model_path(self) -> Path:
        """Folder of its model."""
        return self.path / "model"

    def read(self, stage: Stage) -> dict[str, Any]:
        """What a stage says; raises LearningError where it is not there, or was changed."""
        path = self.path / _FILES[stage]
        if not path.is_file():
            raise LearningError(
                f"Round {self.number} has no {_FILES[stage]} yet: it is {self.state}. "
                f"Next is: {self.next_step}."
            )
        return read_sealed(path)

    @property
    def query(self) -> dict[str, Any]:
        """``query.json``."""
        return self.read(Stage.QUERIED)

    @property
    def training(self) -> dict[str, Any]:
        """``training.json``."""
        return self.read(Stage.TRAINED)

    @property
    def evaluation(self) -> dict[str, Any]:
        """``evaluation.json``."""
        return self.read(Stage.EVALUATED)

    @property
    def decision(self) -> dict[str, Any]:
        """``decision.json``."""
        return self.read(Stage.DECIDED)

    @property
    def label_rows(self) -> list[dict[str, Any]]:
        """A row a labelled region, without its objects; none before they are collected."""
        if self.stage < Stage.LABELLED:
            return []
        rows: list[dict[str, Any]] = list_labels(self.path / "labels")["regions"]
        return rows

    def labels(self, split: Split | None = None) -> list[KeptRegion]:
        """Labelled regions; none before they are collected."""
        if self.stage < Stage.LABELLED:
            return []
        return read_labels(self.path / "labels", split)

    @property
    def next_step(self) -> str:
        """What the round waits for."""
        return {
            Stage.EMPTY: "query",
            Stage.QUERIED: "annotate, then collect",
            Stage.LABELLED: "train",
            Stage.TRAINED: "evaluate",
            Stage.EVALUATED: "evaluate",
            Stage.DECIDED: "query (a new round)",
        }[self.stage]

    @property
    def state(self) -> str:
        """How far it has come, in a word."""
        return "abandoned" if self.is_abandoned else self.stage.name.lower()

    # -- sealing ---------------------------------------------------------------------------------

    def seal_query(self, content: Mapping[str, Any]) -> None:
        """Keep which regions are asked for."""
        make_folder(self.path)
        self._seal(Stage.QUERIED, content)

    def seal_labels(self, regions: list[KeptRegion], about: Mapping[str, Any]) -> None:
        """Keep labelled regions as they are now."""
        self._before(Stage.LABELLED)
        self._note(Stage.LABELLED)
        chain = {"round": self.number, "after": self.query["seal"]}
        write_labels(self.path / "labels", regions, {**about, **chain})

    def seal_training(self, content: Mapping[str, Any]) -> None:
        """Keep how the model in ``model/`` came about, and the hashes of its files."""
        files = digest_of_files(self.model_path)
        if not files:
            raise LearningError(f"{self.model_path} holds no model; train again.")
        model = {"sha256": sha256_of_folder(self.model_path), "files": files}
        self._seal(Stage.TRAINED, {**content, "model": model})

    def seal_evaluation(self, content: Mapping[str, Any]) -> None:
        """Keep the counts of both models."""
        self._seal(Stage.EVALUATED, content)

    def seal_decision(self, content: Mapping[str, Any]) -> None:
        """Keep whether the model is promoted."""
        self._seal(Stage.DECIDED, content)

    def abandon(self, reason: str) -> None:
        """Give the round up: what lies in it stays and counts no more."""
        if self.is_over:
            raise LearningError(f"Round {self.number} is {self.state} and cannot be given up.")
        content = {"reason": reason, "round": self.number, "after": self.last_seal}
        write_sealed(self.path / _ABANDONED, content)

    def _seal(self, stage: Stage, content: Mapping[str, Any]) -> None:
        self._before(stage)
        before = Stage(stage - 1)
        after = self.read(before)["seal"] if before else content.get("after")
        # First when, then what: a file that is sealed has its time.
        self._note(stage)
        write_sealed(self.path / _FILES[stage], {**content, "round": self.number, "after": after})

    def _before(self, stage: Stage) -> None:
        """Raise LearningError unless `stage` is next."""
        if self.stage != stage - 1:
            raise LearningError(f"Round {self.number} is {self.state}; next is: {self.next_step}.")

    def _note(self, stage: Stage) -> None:
        path = self.path / "when.json"
        try:
            known = read_json(path) if path.exists() else {}
        except LearningError:
            known = {}  # no work hangs on it
        write_json(path, {**known, "format_version": 1, stage.name.lower(): circumstances()})

    # -- checking --------------------------------------------------------------------------------

    def check(self) -> list[str]:
        """What is wrong with it, one sentence each."""
        wrong: list[str] = []
        before: str | None = None
        for stage in list(Stage)[1 : self.stage + 1]:
            try:
                words = self.read(stage)
            except LearningError as error:
                wrong.append(str(error))
                before = None
                continue
            if before is not None and words.get("after") != before:
                wrong.append(
                    f"{self.path / _FILES[stage]} does not follow from the stage before it: one of "
                    "the two comes from another copy of the project."
                )
            before = words["seal"]
            wrong += self._check_files(stage, words)
        if self.is_abandoned:
            try:
                read_sealed(self.path / _ABANDONED)
            except LearningError as error:
                wrong.append(str(error))
        return wrong

    def _check_files(self, stage: Stage, words: Mapping[str, Any]) -> list[str]:
        if stage == Stage.LABELLED:
            return check_labels(self.path / "labels")
        if stage != Stage.TRAINED:
            return []
        there = digest_of_files(self.model_path) if self.model_path.is_dir() else {}
        sealed: Mapping[str, str] = words["model"]["files"]
        return [
            f"{self.model_path / name} {'is missing' if name not in there else 'was changed'}."
            for name, digest in sealed.items()
            if there.get(name) != digest
        ]


def circumstances() -> dict[str, str]:
    """When, who, with what: what is no decision."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):
        user = ""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "user": user,
        "machine": platform.node(),
        "napari_histo": __version__,
        "python": platform.python_version(),
    }
