"""What the Active learning panel does in threads."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, CancelToken, Progress, SlideReader
from napari_histo.errors import LearningError
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.rounds.folder import RoundFolder, Stage
from napari_histo.learning.rounds.options import RoundOptions
from napari_histo.learning.rounds.steps import TrainWish, collect, evaluate, train
from napari_histo.learning.rounds.tools import Tools, real_tools
from napari_histo.session.learning.in_hand import InHand
from napari_histo.session.learning.overview import files_of
from napari_histo.session.learning.qupath import done_in_qupath
from napari_histo.session.qupath.desk import save_left_over

__all__ = ["LearningTools", "region_pixels", "training"]

#: Around a region in its small picture, as a share of its side.
_AROUND = 0.15


@dataclass(frozen=True)
class LearningTools:
    """What a session works with; tests put fakes here.

    Attributes
    ----------
    make : callable
        Scoring, models and training; called in a thread, for it loads torch. Takes the folder of
        an encoder as `encoder`, where there is one.
    settings : mapping
        Of `StarDistTraining`, those that are not its defaults.
    data_folder : Path or None
        Of journals; the user's by default.
    """

    make: Callable[..., Tools] = real_tools
    settings: Mapping[str, Any] = field(default_factory=dict)
    data_folder: Path | None = None

    def made(self, encoder: Path | None) -> Tools:
        """With an encoder of the user's, or without."""
        return self.make() if encoder is None else self.make(encoder=encoder)


def region_pixels(reader: SlideReader, box: Box, side: int) -> NDArray[np.uint8]:
    """A region with a little around it, as a picture (h, w, 3) of at least `side` px if it can."""
    wide = box.pad(round(_AROUND * max(box.width, box.height)))
    level = reader.info.best_level(max(wide.width, wide.height) / side)
    factor = reader.info.level_downsamples[level]
    edges = (wide.x, wide.y, wide.right, wide.bottom)
    found = reader.read(Box.from_edges(*(round(e / factor) for e in edges)), level)
    if reader.info.is_rgb and found.dtype == np.uint8:
        return np.ascontiguousarray(found[..., :3])
    first = found[..., 0].astype(np.float32)
    low, high = np.percentile(first, (1, 99.8))
    grey = np.clip((first - low) / max(high - low, 1e-9) * 255, 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def training(
    project: LearningProject,
    tools: LearningTools,
    cancel: CancelToken,
    *,
    partial: bool,
    in_hand: InHand,
    options: RoundOptions,
) -> Generator[Progress, None, RoundFolder]:
    """Collect, train and judge, from where the round in work stands.

    Parameters
    ----------
    project, tools, cancel
    partial : bool
        Go on though regions wait; they are not asked for again.
    in_hand : InHand
        Settled first. What is drawn on in the open file meanwhile belongs to no round.
    options : RoundOptions

    Raises
    ------
    HistoError
        Of any step; what is sealed stays, and the same call goes on.
    """
    found = project.open_round
    if found is None:
        raise LearningError("No round is in work. Begin one with New round.")
    if found.stage is Stage.QUERIED:
        yield Progress(0, 0, "Collecting what was annotated")
        in_hand.settle()
        for file in files_of(project, found.number, [r["image"] for r in found.query["regions"]]):
            if file != in_hand.file:
                save_left_over(file, file.stem, tools.data_folder)
        elsewhere = yield from done_in_qupath(project, cancel)
        open_here = [] if in_hand.file is None else [in_hand.file]
        collect(project, elsewhere, partial=partial, merging=options.merging, open_here=open_here)
    yield Progress(0, 0, "Loading the model")
    made = tools.make()
    cancel.raise_if_cancelled()
    if found.stage is Stage.LABELLED:
        wish = TrainWish({**tools.settings, **options.settings})
        yield from train(project, wish, made, cancel)
    return (yield from evaluate(project, made, cancel))
