"""One training of a Cellpose network: what it needs, what it learns, and its end."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from napari_histo.core import Thresholds
from napari_histo.errors import ModelError
from napari_histo.learning.cellpose.learner import CellposeLearner
from napari_histo.learning.cellpose.params import CellposeTraining
from napari_histo.learning.cellpose.sheets import FlowPatchSource, FlowSheets
from napari_histo.learning.cellpose.start import Start
from napari_histo.learning.cellpose.targets import Batch, Patch
from napari_histo.learning.course.batches import Batches
from napari_histo.learning.course.card import info_words, metrics_rows, write_model
from napari_histo.learning.course.evaluation import best_thresholds
from napari_histo.learning.course.objects import ObjectCourse
from napari_histo.learning.course.run import Data, split
from napari_histo.learning.course.sheets import Slides
from napari_histo.learning.course.state import State
from napari_histo.learning.course.warping import PatchShape
from napari_histo.learning.training import CurvePoint, Example, Examples, TrainedModel, as_examples
from napari_histo.models import load_model
from napari_histo.models.cellpose.folder import save_cellpose_folder
from napari_histo.models.cellpose.net import CellposeNet, CellposeShape
from napari_histo.models.cellpose.segmenter import CellposeSegmenter
from napari_histo.models.shelf.folder import CELLPOSE_WEIGHTS
from napari_histo.ops.metrics import Agreement

__all__ = ["CellposeRun"]

_NEW_RATE, _NEXT_RATE = 2e-3, 5e-4
_DECAY = 1e-5
_PERCENTILES = (1.0, 99.0)
#: Largest flow errors that are tried at the end; 1 keeps all.
_FLOW_ERRORS = (0.4, 0.6, 1.0)
#: With fewer objects to judge by, thresholds would fit their noise.
_LEAST_OBJECTS = 20


class CellposeRun(ObjectCourse[CellposeNet, Batch, CellposeTraining]):
    """One training.

    Parameters
    ----------
    start : Start
    data : three lists of Example
        See `split`.
    params : CellposeTraining
    """

    # Another probability is another shape, and would want its own run of the dynamics.
    glances = (0.5,)
    # All objects: flows come right late, and would hide for long that outlines get better.
    glance_nms = 1.0
    most_judges = 8
    _parent_counts = False

    def __init__(self, start: Start, data: Data, params: CellposeTraining) -> None:
        super().__init__(data, params, start.sha256)
        self.start = start
        self.slides = Slides(self.model(start.net), params.channel)
        self.batches = self._batches()
        self.state = State.new(start.net.requires_grad_(True), self.device, _DECAY)
        for kept in (self.state.net.diam_mean, self.state.net.diam_labels):
            kept.requires_grad_(False)
        self.learner = CellposeLearner(
            self.state,
            start.net if start.parent else None,
            device=self.device,
            precision=self.precision,
            distillation=params.distillation,
            steps=params.steps,
            tell=self.messages.append,
        )

    @classmethod
    def of(
        cls,
        parent: Path | str | CellposeShape,
        regions: Examples,
        replay: Examples,
        validation: Examples,
        params: CellposeTraining,
    ) -> CellposeRun:
        """See `train_cellpose`."""
        new, old, judge = split(regions, replay, validation, params)
        if not new:
            new, old = old, []
        start = Start.of(parent, as_examples([*regions, *replay]), params)
        return cls(start, (new, old, judge), params)

    def model(self, net: CellposeNet) -> CellposeSegmenter:
        """A network as a segmenter."""
        return CellposeSegmenter(copy.deepcopy(net).eval(), self.start.info, device=self.device)

    def finish(self, folder: Path, about: Mapping[str, Any]) -> TrainedModel:
        """Choose how far flows may be off, and write the model."""
        state, began = self.state, time.monotonic()
        best_step = self._take_best()
        net = copy.deepcopy(state.ema).cpu().eval()
        with torch.no_grad():
            net.diam_labels.copy_(net.diam_mean)
        thresholds, found = self._choose(net)
        metrics = metrics_rows(found, len(self.judge))
        words = {"percentiles": list(_PERCENTILES), "thresholds": asdict(thresholds)}
        story = self._story(self.start.parent, best_step, metrics)
        written = write_model(
            folder,
            {**info_words(self.start.info), **words, **story, **about},
            CELLPOSE_WEIGHTS,
            lambda work: save_cellpose_folder(work, net, thresholds),
        )
        model = load_model(str(folder), device=self.params.device)
        seconds = state.seconds + time.monotonic() - began
        return TrainedModel(model, folder, found, tuple(state.curve), best_step, seconds, written)

    def _choose(self, net: CellposeNet) -> tuple[Thresholds, Agreement]:
        """The largest flow error that judges best; the usual where there are few objects."""
        usual = self.start.info.thresholds
        if not self.exams:
            return usual, Agreement()
        model, probs = self.model(net), [usual.prob]
        best, found = best_thresholds(self.exams, model, probs, _FLOW_ERRORS, middle=usual.nms)
        if found.n_truth >= _LEAST_OBJECTS:
            return best, found
        return usual, best_thresholds(self.exams, model, probs, middle=usual.nms)[1]

    def _batches(self) -> Batches[Patch, Batch]:
        params, divisor = self.params, self.start.net.divisor
        if params.patch_px % divisor:
            raise ModelError(
                f"patch_px is {params.patch_px}; this network needs a multiple of {divisor}."
            )
        shape = PatchShape(params.patch_px, params.zoom, 3 * params.zoom)

        def source(examples: Sequence[Example], *, is_replayed: bool) -> FlowPatchSource:
            sheets = FlowSheets(examples, self.slides, params.patch_px // 2)
            return FlowPatchSource(sheets, shape, _PERCENTILES, is_replayed=is_replayed)

        return Batches(
            source(self.teach, is_replayed=False),
            source(self.replay, is_replayed=True) if self.replay else None,
            Batch.of,
            size=params.batch,
            share=params.replay_share,
            seed=params.seed,
        )

    def _worth(self, point: CurvePoint) -> float | None:
        """A new network finds nothing for long, and one look is then as good as another."""
        return super()._worth(point) or None

    @property
    def _peak_rate(self) -> float:
        return _NEXT_RATE if self.start.parent else _NEW_RATE

    @property
    def _looks_first(self) -> bool:
        return self._can_look and bool(self.start.parent)
