"""One StarDist training: what it needs, its steps, the regions that judge, and its end."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from napari_histo.core import CancelToken, Thresholds
from napari_histo.errors import ModelError, ObjectsFileError
from napari_histo.learning.course.sheets import Sheets, Slides
from napari_histo.learning.course.state import State, learning_rate
from napari_histo.learning.course.warping import PatchShape
from napari_histo.learning.stardist.batches import Batches
from napari_histo.learning.stardist.evaluation import Exam, best_thresholds
from napari_histo.learning.stardist.learner import Learner
from napari_histo.learning.stardist.norms import set_norm_momentum, set_priors
from napari_histo.learning.stardist.patches import PatchSource
from napari_histo.learning.stardist.result import (
    as_saved,
    choose_thresholds,
    data_facts,
    described,
    fingerprint,
    metrics_rows,
    save_model,
)
from napari_histo.learning.stardist.start import Start
from napari_histo.learning.stardist.targets import Batch
from napari_histo.learning.training import (
    CurvePoint,
    Example,
    Examples,
    StarDistTraining,
    TrainedModel,
    TrainingStep,
    as_examples,
    hold_out_some,
)
from napari_histo.models import load_model
from napari_histo.models._device import pick_device, pick_precision
from napari_histo.models._stardist import StarDistSegmenter
from napari_histo.models._stardist_net import StarDistConfig, StarDistNet
from napari_histo.ops.metrics import Agreement

__all__ = ["Run"]

_NEW_RATE, _NEXT_RATE = 4e-3, 1e-3
_DECAY = 0.01
#: Batch normalisation forgets within so many steps' worth; training here is short.
_NORM_MOMENTUM = 0.1
#: From which a new network gets its first guess.
_PRIOR_BATCHES = 4
#: Regions that are looked at in between; all of them at the end.
_MOST_JUDGES = 16
#: Thresholds of probability that are tried in between.
_GLANCES = (0.4, 0.5, 0.6)
_KEEP_EVERY_S = 20.0
_MACHINE = ("device", "precision", "workers")


class Run:
    """One training: what it needs, its steps, and its end.

    Parameters
    ----------
    start : Start
        Under the new model's name.
    teach, replay, judge : sequence of Example
    params : StarDistTraining
    """

    def __init__(
        self,
        start: Start,
        teach: Sequence[Example],
        replay: Sequence[Example],
        judge: Sequence[Example],
        params: StarDistTraining,
    ) -> None:
        self.start, self.params = start, params
        self.teach, self.replay, self.judge = teach, replay, judge
        self.device = pick_device(params.device)
        self.precision = pick_precision(params.precision, self.device)
        self.slides = Slides(self.model(start.net), params.channel)
        self.messages: list[str] = []
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
        self.exams: list[Exam] = []
        self._often: list[int] = []

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
        new, old, judge = as_examples(regions), as_examples(replay), as_examples(validation)
        if not new and not old:
            raise ObjectsFileError(
                "There is no labelled region to learn from. Mark one as done first."
            )
        start = Start.of(parent, [*new, *old], params.seed, params.pixel_um)
        if not judge:
            new, old, judge = hold_out_some(new, old, params.held_out, params.seed)
        if not new:
            new, old = old, []
        return cls(described(start, params, [*new, *old]), new, old, judge, params)

    @property
    def settings(self) -> dict[str, Any]:
        """Parameters but for those of the machine."""
        return {k: v for k, v in asdict(self.params).items() if k not in _MACHINE}

    @property
    def facts(self) -> dict[str, Any]:
        """What a training that goes on must have in common with the one that was stopped."""
        data = {n: fingerprint(getattr(self, n)) for n in ("teach", "replay", "judge")}
        return {**self.settings, "parent": self.start.sha256, **data}

    def model(self, net: StarDistNet) -> StarDistSegmenter:
        """A network as a segmenter."""
        return StarDistSegmenter(
            net,
            self.start.info,
            percentiles=self.start.percentiles,
            device=self.device,
            precision=self.precision,
        )

    def read_judges(self, cancel: CancelToken) -> Generator[TrainingStep, None, None]:
        """Read the regions that judge; pixels are kept of those that are looked at often."""
        drawn = np.random.default_rng([self.params.seed, 2]).permutation(len(self.judge))
        self._often = sorted(drawn[:_MOST_JUDGES].tolist())
        for number, example in enumerate(self.judge):
            cancel.raise_if_cancelled()
            self.exams.append(Exam.of(example, self.slides, keep=number in self._often))
            text = f"Reading the regions that judge: {number + 1} of {len(self.judge)}"
            yield TrainingStep(self.state.step, self.params.steps, text, loss=self.state.loss)

    def steps(self, path: Path, cancel: CancelToken) -> Generator[TrainingStep, None, None]:
        """All steps that are left; what is needed to go on is kept at `path`."""
        state, params, kept_at = self.state, self.params, time.monotonic()
        if not state.curve and self.start.parent and self.exams:
            state.curve.append(CurvePoint.of(0, math.nan, self.glance()[1]))
            yield self._progress(state.curve[-1])
        with self.batches.ahead(state.step, params.workers) as batches:
            while state.step < params.steps and not self._is_stuck:
                if cancel.is_cancelled:
                    state.save(path)
                    cancel.raise_if_cancelled()
                began = time.monotonic()
                point = self._step(next(batches))
                state.seconds += time.monotonic() - began
                if time.monotonic() - kept_at > _KEEP_EVERY_S:
                    state.save(path)
                    kept_at = time.monotonic()
                yield self._progress(point)
        state.save(path)

    def finish(self, folder: Path, about: Mapping[str, Any]) -> TrainedModel:
        """Choose thresholds and write the model."""
        state, began = self.state, time.monotonic()
        if state.best:
            state.ema.load_state_dict(state.best)
        net = as_saved(state.ema)
        thresholds, found = choose_thresholds(
            self.model(net), self.exams, self.start.info.thresholds
        )
        named = {"taught": self.teach, "replayed": self.replay, "judged": self.judge}
        best_step = state.best_step if state.best else state.step
        card = {
            "parent": {"name": self.start.parent, "sha256": self.start.sha256},
            "data": [data_facts(name, some) for name, some in named.items() if some],
            "training": {**self.settings, "steps_done": state.step, "kept": best_step},
            "metrics": metrics_rows(found, len(self.judge)),
            **about,
        }
        written = save_model(folder, net, self.start, thresholds, card)
        model = load_model(str(folder), device=self.params.device, precision=self.params.precision)
        seconds = state.seconds + time.monotonic() - began
        return TrainedModel(model, folder, found, tuple(state.curve), best_step, seconds, written)

    def _batches(self) -> Batches:
        params, config = self.params, self.start.net.config
        if params.patch_px % max(config.divisor):
            raise ModelError(
                f"patch_px is {params.patch_px}; this network needs a multiple of "
                f"{max(config.divisor)}."
            )
        shape = PatchShape(params.patch_px, params.zoom, 3 * params.zoom)

        def source(examples: Sequence[Example], *, is_replayed: bool) -> PatchSource:
            sheets = Sheets(examples, self.slides, params.patch_px // 2)
            return PatchSource(sheets, shape, self.start.percentiles, is_replayed=is_replayed)

        new = source(self.teach, is_replayed=False)
        old = source(self.replay, is_replayed=True) if self.replay else None
        return Batches(
            new, old, config, size=params.batch, share=params.replay_share, seed=params.seed
        )

    def _step(self, batch: Batch) -> CurvePoint | None:
        """Learn; look at the regions that judge now and then."""
        state, params = self.state, self.params
        peak = params.rate or (_NEXT_RATE if self.start.parent else _NEW_RATE)
        self.learner.learn(batch, learning_rate(peak, state.step / params.steps))
        if state.step % params.judge_every and state.step != params.steps:
            return None
        loss = float(np.mean(state.losses))
        point = CurvePoint(state.step, loss)
        if self.exams:
            point = CurvePoint.of(state.step, loss, self.glance()[1])
            if np.nan_to_num(point.pq) > state.best_pq:
                state.best_pq, state.best_step = float(np.nan_to_num(point.pq)), state.step
                state.best = {
                    k: v.detach().cpu().clone() for k, v in state.ema.state_dict().items()
                }
        state.curve.append(point)
        state.losses = []
        return point

    def glance(self) -> tuple[Thresholds, Agreement]:
        """Thresholds and agreement of the averaged weights on some of the regions that judge."""
        exams = [self.exams[i] for i in self._often]
        return best_thresholds(exams, self.model(self.state.ema), _GLANCES)

    @property
    def _is_stuck(self) -> bool:
        """No better look for a while."""
        params, state = self.params, self.state
        if not params.patience or not state.best:
            return False
        return state.step - state.best_step >= params.patience * params.judge_every

    def _progress(self, point: CurvePoint | None) -> TrainingStep:
        state, total = self.state, self.params.steps
        left = state.seconds / state.step * (total - state.step) if state.step else math.nan
        judged = [p.pq for p in state.curve if not math.isnan(p.pq)]
        text = f"Learning: PQ {judged[-1]:.2f}" if judged else "Learning"
        if self.messages:
            text = self.messages.pop()
        return TrainingStep(
            state.step, total, text, loss=state.loss, point=point, seconds_left=left
        )
