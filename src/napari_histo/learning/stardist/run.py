"""One StarDist training: what it needs, its steps, the regions that judge, and its end."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_histo.errors import ModelError
from napari_histo.learning.course.batches import Batches
from napari_histo.learning.course.card import metrics_rows
from napari_histo.learning.course.objects import ObjectCourse
from napari_histo.learning.course.run import Data, split
from napari_histo.learning.course.sheets import Sheets, Slides
from napari_histo.learning.course.state import State
from napari_histo.learning.course.warping import PatchShape
from napari_histo.learning.stardist.learner import Learner
from napari_histo.learning.stardist.norms import set_norm_momentum, set_priors
from napari_histo.learning.stardist.patches import StarPatchSource
from napari_histo.learning.stardist.result import (
    as_saved,
    choose_thresholds,
    described,
    save_model,
)
from napari_histo.learning.stardist.start import Start
from napari_histo.learning.stardist.targets import Batch, Patch
from napari_histo.learning.training import (
    Example,
    Examples,
    StarDistTraining,
    TrainedModel,
    as_examples,
)
from napari_histo.models import load_model
from napari_histo.models.stardist.net import StarDistConfig, StarDistNet
from napari_histo.models.stardist.segmenter import StarDistSegmenter

__all__ = ["Run"]

_NEW_RATE, _NEXT_RATE = 4e-3, 1e-3
_DECAY = 0.01
#: Batch normalisation forgets within so many steps' worth; training here is short.
_NORM_MOMENTUM = 0.1
#: From which a new network gets its first guess.
_PRIOR_BATCHES = 4


class Run(ObjectCourse[StarDistNet, Batch, StarDistTraining]):
    """One training: what it needs, its steps, and its end.

    Parameters
    ----------
    start : Start
        Under the new model's name.
    data : three lists of Example
        See `split`.
    params : StarDistTraining
    """

    _parent_counts = False

    def __init__(self, start: Start, data: Data, params: StarDistTraining) -> None:
        super().__init__(data, params, start.sha256)
        self.start = start
        self.slides = Slides(self.model(start.net), params.channel)
        self.batches = self._batches()
        if not start.parent:
            set_priors(start.net, [self.batches.draw(step) for step in range(_PRIOR_BATCHES)])
        self.state = State.new(start.net, self.device, _DECAY)
        set_norm_momentum(self.state.net, _NORM_MOMENTUM)
        self.learner = Learner(
            self.state,
            start.net if start.parent else None,
            device=self.device,
            precision=self.precision,
            distillation=params.distillation,
            distil_unlabelled=params.distil_unlabelled,
            frozen=bool(start.parent) and params.freeze_norms,
            steps=params.steps,
            tell=self.messages.append,
        )

    @classmethod
    def of(
        cls,
        parent: Path | str | StarDistConfig,
        regions: Examples,
        replay: Examples,
        validation: Examples,
        params: StarDistTraining,
    ) -> Run:
        """See `train_stardist`."""
        new, old, judge = split(regions, replay, validation, params)
        everything = as_examples([*regions, *replay])
        start = Start.of(parent, everything, params.seed, params.pixel_um)
        if not new:
            new, old = old, []
        return cls(described(start, params, [*new, *old]), (new, old, judge), params)

    def model(self, net: StarDistNet) -> StarDistSegmenter:
        """A network as a segmenter."""
        return StarDistSegmenter(
            net,
            self.start.info,
            percentiles=self.start.percentiles,
            device=self.device,
            precision=self.precision,
        )

    def finish(self, folder: Path, about: Mapping[str, Any]) -> TrainedModel:
        """Choose thresholds and write the model."""
        state, began = self.state, time.monotonic()
        best_step = self._take_best()
        net = as_saved(state.ema)
        thresholds, found = choose_thresholds(
            self.model(net), self.exams, self.start.info.thresholds
        )
        metrics = metrics_rows(found, len(self.judge))
        card = {**self._story(self.start.parent, best_step, metrics), **about}
        written = save_model(folder, net, self.start, thresholds, card)
        model = load_model(str(folder), device=self.params.device, precision=self.params.precision)
        seconds = state.seconds + time.monotonic() - began
        return TrainedModel(model, folder, found, tuple(state.curve), best_step, seconds, written)

    def _batches(self) -> Batches[Patch, Batch]:
        params, config = self.params, self.start.net.config
        if params.patch_px % max(config.divisor):
            raise ModelError(
                f"patch_px is {params.patch_px}; this network needs a multiple of "
                f"{max(config.divisor)}."
            )
        shape = PatchShape(params.patch_px, params.zoom, 3 * params.zoom)

        def source(examples: Sequence[Example], *, is_replayed: bool) -> StarPatchSource:
            sheets = Sheets(examples, self.slides, params.patch_px // 2)
            return StarPatchSource(sheets, shape, self.start.percentiles, is_replayed=is_replayed)

        new = source(self.teach, is_replayed=False)
        old = source(self.replay, is_replayed=True) if self.replay else None
        return Batches(
            new,
            old,
            lambda patches: Batch.of(patches, config),
            size=params.batch,
            share=params.replay_share,
            seed=params.seed,
        )

    @property
    def _peak_rate(self) -> float:
        return _NEXT_RATE if self.start.parent else _NEW_RATE

    @property
    def _looks_first(self) -> bool:
        return self._can_look and bool(self.start.parent)
