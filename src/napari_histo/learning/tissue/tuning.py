"""Training that goes on from a region model: painted areas of labelled regions."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from napari_histo.core import CancelToken
from napari_histo.learning.checkpoint import Checkpoint
from napari_histo.learning.tissue.params import RegionTuning
from napari_histo.learning.tissue.tuning_run import RegionRun
from napari_histo.learning.training import Examples, TrainedModel, TrainingStep
from napari_histo.store.write import check_writable

__all__ = ["tune_regions"]


def tune_regions(
    parent: Path | str,
    regions: Examples,
    replay: Examples,
    folder: Path | str,
    params: RegionTuning | None = None,
    cancel: CancelToken | None = None,
    *,
    validation: Examples = (),
    about: Mapping[str, Any] | None = None,
    resume: bool = False,
) -> Generator[TrainingStep, None, TrainedModel]:
    """Train a region model and write it to a folder that `load_region_model` reads.

    Areas of labelled regions teach, as those of `train_regions` do: smaller ones lie on top,
    ``Ignore*`` and Background are background, and what lies in none teaches nothing; there, and
    around the regions, the parent's own answer is held on to. Painted classes that the parent does
    not know come after its own. The parent is the first of the models that are judged, so that
    what learned nothing better is not kept.

    The words are those of `train_stardist`; see there.

    Raises
    ------
    ObjectsFileError
        The regions hold no area.
    ImageError, PixelSizeUnknownError, ModelError, WriteError, Cancelled
    """
    folder, cancel = Path(folder), cancel or CancelToken()
    check_writable(folder, folder=True)
    yield TrainingStep(0, 0, "Reading the regions")
    run = RegionRun(str(parent), regions, replay, validation, params or RegionTuning())
    with Checkpoint.open(folder, run.facts, resume=resume) as checkpoint:
        path = checkpoint.folder / "regions.pt"
        run.state.load(path)
        yield from run.steps(path, cancel)
        cancel.raise_if_cancelled()
        total = run.params.steps
        yield TrainingStep(total, total, "Judging the areas", loss=run.state.loss)
        done = run.finish(folder, about or {})
        checkpoint.remove()
    return done
