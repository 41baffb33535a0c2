"""Training of a click model on labelled regions: each outlined object gives gestures for it."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from napari_histo.core import CancelToken
from napari_histo.learning.checkpoint import Checkpoint
from napari_histo.learning.click.params import ClickTraining
from napari_histo.learning.click.run import ClickRun
from napari_histo.learning.training import Examples, TrainedModel, TrainingStep
from napari_histo.store.write import check_writable

__all__ = ["train_click"]


def train_click(
    parent: Path | str,
    regions: Examples,
    replay: Examples,
    folder: Path | str,
    params: ClickTraining | None = None,
    cancel: CancelToken | None = None,
    *,
    validation: Examples = (),
    about: Mapping[str, Any] | None = None,
    resume: bool = False,
) -> Generator[TrainingStep, None, TrainedModel]:
    """Train a click model and write it to a folder that `load_prompt_model` reads.

    Each object that a person outlined is asked for by a click, a box or a squiggle, drawn at
    random, and sometimes corrected by further clicks, as in Sofiiuk et al. (ICIP 2022). Loss is
    computed where the region is labelled, and on objects that cross its edge; elsewhere the
    parent's own answer is held on to. The parent is the first of the models that are judged, so
    that what learned nothing better is not kept.

    The words are those of `train_stardist`; see there.

    Raises
    ------
    ObjectsFileError
        The regions hold no object, or one lies beside its image.
    ImageError, PixelSizeUnknownError, ModelError, WriteError, Cancelled
    """
    folder, cancel = Path(folder), cancel or CancelToken()
    check_writable(folder, folder=True)
    yield TrainingStep(0, 0, "Reading the regions")
    run = ClickRun(str(parent), regions, replay, validation, params or ClickTraining())
    with Checkpoint.open(folder, run.facts, resume=resume) as checkpoint:
        path = checkpoint.folder / "click.pt"
        run.state.load(path)
        yield from run.steps(path, cancel)
        cancel.raise_if_cancelled()
        total = run.params.steps
        yield TrainingStep(total, total, "Judging the answers", loss=run.state.loss)
        done = run.finish(folder, about or {}, cancel)
        checkpoint.remove()
    return done
