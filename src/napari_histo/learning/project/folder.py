"""A learning project: a folder that can be copied, compared, and read in ten years.

::

    project.json       images with their splits, classes, start model, seed, settings
    start/model/       copy of the start model
    start/finder/      copy of the model that finds objects, where the other answers clicks alone
    start/labels/      regions that were labelled before
    rounds/0001/       see `round_folder`
    rollbacks/0001.json
    work/0001/         what is being annotated now, a GeoJSON file an image
    local.json         where the images lie on this machine; no part of the record
    log.txt            what happened, for people

Nothing in it is ever rewritten or deleted but ``work``, ``local.json`` and ``log.txt``, and
``project.json`` where images are added. The model
in use is no file either: it follows from the decisions and rollbacks.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_histo.core import SlideReader, SlideView
from napari_histo.core.rounds import Split
from napari_histo.errors import DocumentLockedError, ImageError, LearningError, WriteError
from napari_histo.learning.project.facts import ProjectFacts, ProjectImage
from napari_histo.learning.project.places import find_image
from napari_histo.learning.rounds.files import read_json, read_sealed, write_sealed
from napari_histo.learning.rounds.folder import RoundFolder, Stage, circumstances
from napari_histo.learning.rounds.labels import KeptRegion, read_labels
from napari_histo.store.lock import FileLock
from napari_histo.store.write import check_writable, make_folder

__all__ = ["LearningProject"]


class LearningProject:
    """A project on disk. Reading is free; whoever writes holds it with `editing`.

    Parameters
    ----------
    path : Path or str
        Its folder.

    Raises
    ------
    LearningError
        There is no project, it is damaged, or it was made by a newer version.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if not (self.path / "project.json").is_file():
            what = "is no learning project" if self.path.is_dir() else "does not exist"
            raise LearningError(
                f"{self.path} {what}: there is no project.json. Check the path, or make "
                "a project: with New… in napari, or with 'napari-histo learn init'."
            )
        words = read_json(self.path / "project.json")
        self.facts = ProjectFacts.from_dict(words, self.path / "project.json")

    # -- rounds ----------------------------------------------------------------------------------

    @property
    def rounds(self) -> list[RoundFolder]:
        """All rounds that were begun, by number.

        Raises
        ------
        LearningError
            One is missing between others.
        """
        folders = (self.path / "rounds").glob("[0-9]*")
        numbers = sorted(int(p.name) for p in folders if p.is_dir() and p.name.isdigit())
        found = [self.round(n) for n in numbers]
        begun = [r for r in found if r.stage > Stage.EMPTY]
        if [r.number for r in begun] != list(range(1, len(begun) + 1)):
            raise LearningError(
                f"The rounds in {self.path / 'rounds'} are {[r.number for r in begun]}; one is "
                "missing. Bring it back from a copy of the project."
            )
        return begun

    def round(self, number: int) -> RoundFolder:
        """By number, whether it is there or not."""
        return RoundFolder(self.path / "rounds" / f"{number:04d}", number)

    @property
    def open_round(self) -> RoundFolder | None:
        """The round in work; None where the last one is decided or was given up."""
        rounds = self.rounds
        return rounds[-1] if rounds and not rounds[-1].is_over else None

    @property
    def kept_rounds(self) -> list[RoundFolder]:
        """All rounds but those that were given up."""
        return [r for r in self.rounds if not r.is_abandoned]

    def work_path(self, number: int) -> Path:
        """Where a round is annotated."""
        return self.path / "work" / f"{number:04d}"

    # -- the model in use ------------------------------------------------------------------------

    @property
    def rollbacks(self) -> list[dict[str, Any]]:
        """All rollbacks, in order."""
        files = sorted((self.path / "rollbacks").glob("[0-9]*.json"))
        return [read_sealed(path) for path in files]

    @property
    def current(self) -> int:
        """Round whose model is in use; 0 for the start model."""
        current, rollbacks = 0, self.rollbacks
        for number, found in [(0, None), *((r.number, r) for r in self.rounds)]:
            if found is not None and found.stage == Stage.DECIDED and found.decision["promoted"]:
                current = number
            for back in rollbacks:
                if back["after_round"] == number:
                    current = int(back["to_round"])
        return current

    def model(self, number: int | None = None) -> str:
        """Folder (or, for one without weights, name) of a round's model; by default that in use."""
        number = self.current if number is None else number
        if number:
            return str(self.round(number).model_path)
        return (
            str(self.path / "start" / "model") if self.facts.start.sha256 else self.facts.start.name
        )

    @property
    def looks_with(self) -> str:
        """Folder or name of the model that finds objects: that in use, or the finder beside it."""
        finder = self.facts.finder
        if finder is None:
            return self.model()
        return str(self.path / "start" / "finder") if finder.sha256 else finder.name

    def model_facts(self, number: int | None = None) -> dict[str, Any]:
        """Round and hash of a model, for the record."""
        number = self.current if number is None else number
        sha256 = self.facts.start.sha256
        if number:
            sha256 = self.round(number).training["model"]["sha256"]
        return {"round": number, "sha256": sha256}

    def roll_back(
        self, to: int, *, reason: str = "", forget_labels: bool = False, force: bool = False
    ) -> dict[str, Any]:
        """Use the model of an earlier round from now on; nothing is deleted.

        Parameters
        ----------
        to : int
            0 for the start model.
        reason : str
            For people.
        forget_labels : bool
            Labels of later rounds do not teach any more.
        force : bool
            Take a model that was not promoted.

        Raises
        ------
        LearningError
            There is no such model, or it is in use.
        """
        decided = [r for r in self.rounds if r.stage == Stage.DECIDED]
        last = decided[-1].number if decided else 0
        promoted = {0, *(r.number for r in decided if r.decision["promoted"])}
        allowed = {0, *(r.number for r in decided)} if force else promoted
        if to not in allowed:
            raise LearningError(
                f"There is no model to go back to in round {to}. Models were taken in round "
                f"{', '.join(map(str, sorted(promoted)))} (0 is the start model). One that was not "
                "taken is used with --force."
            )
        if to == self.current:
            raise LearningError(f"The model of round {to} is in use already.")
        number = len(self.rollbacks) + 1
        content = {
            "number": number,
            "after_round": last,
            "from_round": self.current,
            "to_round": to,
            "forgotten": list(range(to + 1, last + 1)) if forget_labels else [],
            "reason": reason,
        }
        folder = make_folder(self.path / "rollbacks")
        done = write_sealed(folder / f"{number:04d}.json", content)
        self.log(f"rolled back to round {to}: {reason or 'no reason given'}")
        return done

    # -- labels ----------------------------------------------------------------------------------

    def start_labels(self, split: Split | None = None) -> list[KeptRegion]:
        """Regions that were labelled before the first round."""
        folder = self.path / "start" / "labels"
        return read_labels(folder, split) if folder.is_dir() else []

    @property
    def forgotten(self) -> set[int]:
        """Rounds whose labels teach no more: left out by a rollback, or doubted by the decision.

        Labels from which a model learned to be far worse would spoil all that follow.
        """
        left_out = {int(n) for back in self.rollbacks for n in back["forgotten"]}
        decided = [r for r in self.rounds if r.stage == Stage.DECIDED]
        return left_out | {r.number for r in decided if r.decision["labels_doubted"]}

    def earlier_labels(self, number: int) -> list[KeptRegion]:
        """What rounds before `number` teach."""
        forgotten = self.forgotten
        earlier = [r for r in self.kept_rounds if r.number < number and r.number not in forgotten]
        return self.start_labels("train") + [k for r in earlier for k in r.labels("train")]

    def validation_labels(self) -> list[KeptRegion]:
        """All regions that judge, those of every round."""
        return self.start_labels("validation") + [
            k for r in self.kept_rounds for k in r.labels("validation")
        ]

    # -- images ----------------------------------------------------------------------------------

    def image_path(self, image: ProjectImage) -> Path:
        """Where an image lies on this machine; raises ImageError where it is not found."""
        return find_image(self.path, image)

    def open_image(self, image: ProjectImage) -> SlideReader:
        """A reader of an image.

        Raises
        ------
        ImageError
            It is not found, cannot be read, or is another than when the project was made.
        """
        from napari_histo.slides import open_slide

        path = self.image_path(image)
        reader = open_slide(path, z=image.z, series=image.series)
        size = reader.info.width, reader.info.height
        if size != (image.width, image.height):
            reader.close()
            raise ImageError(
                f"{path} has {size[0]} x {size[1]} px, but {image.name} of the project has "
                f"{image.width} x {image.height}. It is another image under the same name; put "
                "the original in its place."
            )
        if reader.info.pixel_size is None and image.pixel_size is not None:
            return SlideView(reader, replace(reader.info, pixel_size=image.pixel_size))
        return reader

    # -- writing ---------------------------------------------------------------------------------

    @contextmanager
    def editing(self) -> Iterator[None]:
        """Hold the project alone, and clear what a killed process left half written.

        Raises
        ------
        LearningError
            Another process holds it.
        WriteError
            It cannot be written.
        """
        check_writable(self.path / "project.json")
        try:
            lock = FileLock(self.path / ".lock", f"The project {self.path}")
        except DocumentLockedError as error:
            raise LearningError(
                f"Another process is working on the project {self.path}. Wait for it, or work on "
                "a copy."
            ) from error
        except OSError as error:
            raise WriteError(f"Cannot write {self.path}: {error.strerror}.") from error
        try:
            _clear(self.path)
            yield
        finally:
            lock.release()

    def log(self, text: str) -> None:
        """Add a line to ``log.txt``; a full disk does not stop the work for it."""
        who = circumstances()
        line = f"{who['time']}  {who['user']}  {text}\n"
        with suppress(OSError), (self.path / "log.txt").open("a", encoding="utf-8") as stream:
            stream.write(line)


def _clear(project: Path) -> None:
    """Remove what `atomic_path` left of processes that were killed."""
    rounds = [p for p in (project / "rounds").glob("*") if p.is_dir()]
    work = [p for p in (project / "work").glob("*") if p.is_dir()]
    for folder in (project, project / "start", project / "rollbacks", *rounds, *work):
        for torso in [*folder.glob(".*.part"), *folder.glob(".*.part.*")]:
            if torso.is_dir():
                shutil.rmtree(torso, ignore_errors=True)
            else:
                torso.unlink(missing_ok=True)
