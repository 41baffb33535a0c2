"""Training of networks of Cellpose 1 to 3 on labelled regions: going on, or from scratch."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from napari_histo.core import CancelToken
from napari_histo.learning.cellpose.params import CellposeTraining
from napari_histo.learning.cellpose.run import CellposeRun
from napari_histo.learning.course.training import train_objects
from napari_histo.learning.training import Examples, TrainedModel, TrainingStep
from napari_histo.models.cellpose.net import CellposeShape

__all__ = ["train_cellpose"]


def train_cellpose(
    parent: Path | str | CellposeShape,
    regions: Examples,
    replay: Examples,
    folder: Path | str,
    params: CellposeTraining | None = None,
    cancel: CancelToken | None = None,
    *,
    validation: Examples = (),
    about: Mapping[str, Any] | None = None,
    resume: bool = False,
) -> Generator[TrainingStep, None, TrainedModel]:
    """Train a Cellpose network and write it to a folder that `load_model` reads.

    The folder's ``weights.pt`` is a file that Cellpose 1 to 3 load too. Loss is computed inside the
    regions and outside their ignored areas alone; an object that ends at the edge of its region
    teaches where it is, but not where its middle lies.

    The words are those of `train_stardist`; `parent` may be a file, a folder, the name of a
    published network, or a `CellposeShape` for a new one.

    Raises
    ------
    ObjectsFileError
        Nothing is left to learn from, or a region lies beside its image.
    ImageError, PixelSizeUnknownError, ModelError, WriteError, Cancelled
    """
    params = params or CellposeTraining()
    return (
        yield from train_objects(
            lambda: CellposeRun.of(parent, regions, replay, validation, params),
            Path(folder),
            "cellpose.pt",
            cancel or CancelToken(),
            about=about or {},
            resume=resume,
        )
    )
