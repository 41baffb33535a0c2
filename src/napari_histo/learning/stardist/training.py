"""Training of StarDist on labelled regions: going on from a model, or from scratch; with replay."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from napari_histo.core import CancelToken
from napari_histo.learning.course.training import train_objects
from napari_histo.learning.stardist.run import Run
from napari_histo.learning.stardist.start import small_config
from napari_histo.learning.training import (
    Examples,
    StarDistTraining,
    TrainedModel,
    TrainingStep,
)
from napari_histo.models.stardist.net import StarDistConfig

__all__ = ["small_config", "train_stardist"]


def train_stardist(
    parent: Path | str | StarDistConfig,
    regions: Examples,
    replay: Examples,
    folder: Path | str,
    params: StarDistTraining | None = None,
    cancel: CancelToken | None = None,
    *,
    validation: Examples = (),
    about: Mapping[str, Any] | None = None,
    resume: bool = False,
) -> Generator[TrainingStep, None, TrainedModel]:
    """Train a StarDist model and write it to a folder that `load_model` reads.

    While it learns, what is needed to go on lies in ``<folder>.training``. The same regions,
    parameters and machine give the same bytes, stopped in between or not (on a graphics card up to
    rounding). Drive it in any thread but the window's.

    Loss is computed inside the regions and outside their ignored areas alone; an object that ends
    at the edge of its region, where it may have been cut, teaches where it is but not how far it
    reaches. Regions without objects teach background.

    Parameters
    ----------
    parent : path, str or StarDistConfig
        Folder or name of the model to go on from; a configuration (see `small_config`) for a new
        one.
    regions : sequence of Example, or of (SlideReader, LabelledRegion)
        What is new; open readers.
    replay : the same
        What earlier rounds taught and must not be forgotten.
    folder : path
        Of the model; an existing one is replaced at the end.
    params : StarDistTraining, optional
    cancel : CancelToken, optional
        Looked at before each step.
    validation : the same as `regions`
        What judges and never teaches. Where there is none, a share of `regions` and `replay` is
        held out, by group.
    about : mapping, optional
        For the card: the round, the project.
    resume : bool
        Go on with a training that was stopped; it must have been asked for with the same words.

    Raises
    ------
    ObjectsFileError
        Nothing is left to learn from, or a region lies beside its image.
    ImageError, PixelSizeUnknownError, ModelError, WriteError, Cancelled
    """
    params = params or StarDistTraining()
    return (
        yield from train_objects(
            lambda: Run.of(parent, regions, replay, validation, params),
            Path(folder),
            "stardist.pt",
            cancel or CancelToken(),
            about=about or {},
            resume=resume,
        )
    )
