"""One StarDist training: what it needs, its steps, the regions that judge, and its end."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch

from napari_histo.core import Segmenter, Thresholds
from napari_histo.learning.course.evaluation import best_thresholds
from napari_histo.learning.course.objects import ObjectCourse
from napari_histo.learning.course.run import Data, split
from napari_histo.learning.course.state import State
from napari_histo.learning.stardist.learner import Learner
from napari_histo.learning.stardist.norms import set_norm_momentum, set_priors
from napari_histo.learning.stardist.patches import StarPatchSource
from napari_histo.learning.stardist.start import Start
from napari_histo.learning.stardist.targets import Batch, Patch
from napari_histo.learning.training import Examples, StarDistTraining, as_examples
from napari_histo.models.shelf.folder import SHIPPED_WEIGHTS
from napari_histo.models.stardist.config import StarDistConfig
from napari_histo.models.stardist.files import save_shipped
from napari_histo.models.stardist.net import StarDistNet
from napari_histo.models.stardist.segmenter import StarDistSegmenter
from napari_histo.ops.metrics import Agreement

__all__ = ["Run"]

_DECAY = 0.01
#: Batch normalisation forgets within so many steps' worth; training here is short.
_NORM_MOMENTUM = 0.1
#: From which a new network gets its first guess.
_PRIOR_BATCHES = 4
#: Thresholds that are tried at the end.
_PROBS = tuple(p / 100 for p in range(25, 81, 5))
_OVERLAPS = (0.2, 0.4, 0.5)


class Run(ObjectCourse[StarDistNet, Patch, Batch, StarDistTraining]):
    """One training; see `ObjectCourse`."""

    rates = (4e-3, 1e-3)
    weights_file = SHIPPED_WEIGHTS
    source = StarPatchSource

    def __init__(self, start: Start, data: Data, params: StarDistTraining) -> None:
        super().__init__(start, data, params)
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

    @property
    def _source_words(self) -> dict[str, Any]:
        return {"compose": self.params.compose}

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
        return cls(start.described(params.name, [*new, *old]), (new, old, judge), params)

    def model(self, net: StarDistNet) -> StarDistSegmenter:
        """A network as a segmenter."""
        return StarDistSegmenter(
            net,
            self.start.info,
            percentiles=self.start.percentiles,
            device=self.device,
            precision=self.precision,
        )

    @property
    def divisor(self) -> int:
        """See `ObjectCourse.divisor`."""
        return max(self.start.net.config.divisor)

    def _stack(self, patches: list[Patch]) -> Batch:
        return Batch.of(patches, self.start.net.config)

    def _as_saved(self, net: StarDistNet) -> StarDistNet:
        """Rounded to half precision."""
        net = copy.deepcopy(net).cpu().eval()
        with torch.no_grad():
            for value in net.state_dict().values():
                if value.is_floating_point():
                    value.copy_(value.half().float())
        return net

    def _try_thresholds(self, model: Segmenter) -> tuple[Thresholds, Agreement]:
        return best_thresholds(self.exams, model, _PROBS, _OVERLAPS)

    def _save(self, folder: Path, net: StarDistNet, thresholds: Thresholds) -> None:
        save_shipped(folder, net, thresholds)
