"""From regions to a model's folder: what all trainings in rounds do in the same order."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from napari_histo.core import CancelToken
from napari_histo.learning.checkpoint import Checkpoint
from napari_histo.learning.course.params import CourseParams
from napari_histo.learning.course.run import AnyCourse
from napari_histo.learning.training import Examples, TrainedModel, TrainingStep
from napari_histo.models.shelf.folder import beside_model
from napari_histo.store.write import check_writable

__all__ = ["CourseTrainer"]

Parent = TypeVar("Parent")
Params = TypeVar("Params", bound=CourseParams)


@dataclass(frozen=True)
class CourseTrainer(Generic[Parent, Params]):
    """Training of one family of models; see `__call__`.

    Attributes
    ----------
    begin : callable
        From a parent, regions, replayed and validation regions, and parameters, a training.
    params : type
        Of the parameters, whose defaults hold where none are given.
    kept_as : str
        Name of the file to go on with, in ``<folder>.training``.
    """

    begin: Callable[[Parent, Examples, Examples, Examples, Params], AnyCourse]
    params: type[Params]
    kept_as: str

    def __call__(
        self,
        parent: Parent,
        regions: Examples,
        replay: Examples,
        folder: Path | str,
        params: Params | None = None,
        cancel: CancelToken | None = None,
        *,
        validation: Examples = (),
        about: Mapping[str, Any] | None = None,
        resume: bool = False,
    ) -> Generator[TrainingStep, None, TrainedModel]:
        """Train a model and write it to a folder that the registry of models reads.

        While it learns, what is needed to go on lies in ``<folder>.training``. The same regions,
        parameters and machine give the same bytes, stopped in between or not (on a graphics card
        up to rounding). Drive it in any thread but the window's.

        Loss is computed inside the regions and outside their ignored areas alone, but where the
        trainer's own words say otherwise. For models that find objects, one that ends at the edge
        of its region, where it may have been cut, teaches where it is but not its outline, and
        regions without objects teach background.

        Parameters
        ----------
        parent
            Folder or name of the model to go on from, or what describes a new one; the trainer's
            own words say which.
        regions : sequence of Example, or of (SlideReader, LabelledRegion)
            What is new; open readers.
        replay : the same
            What earlier rounds taught and must not be forgotten.
        folder : path
            Of the model; an existing one is replaced at the end, a folder that holds anything
            else is refused.
        params : of the trainer's own type, optional
        cancel : CancelToken, optional
            Looked at before each step.
        validation : the same as `regions`
            What judges and never teaches. Where there is none, a share of `regions` and `replay`
            is held out, by group.
        about : mapping, optional
            For the card: the round, the project.
        resume : bool
            Go on with a training that was stopped; it must have been asked for with the same
            words.

        Raises
        ------
        ObjectsFileError
            Nothing is left to learn from, or a region lies beside its image.
        ImageError, PixelSizeUnknownError, ModelError, WriteError, Cancelled
        """
        folder, cancel = Path(folder), cancel or CancelToken()
        check_writable(folder, folder=True, strangers=beside_model)
        yield TrainingStep(0, 0, "Reading the regions")
        run = self.begin(parent, regions, replay, validation, params or self.params())
        with Checkpoint.open(folder, run.facts, resume=resume) as checkpoint:
            path = checkpoint.folder / self.kept_as
            run.state.load(path)
            yield from run.read_judges(cancel)
            yield from run.steps(path, cancel)
            cancel.raise_if_cancelled()
            total = run.params.steps
            yield TrainingStep(total, total, run.last_words, loss=run.state.loss)
            done = run.finish(folder, about or {}, cancel)
            checkpoint.remove()
        return done
