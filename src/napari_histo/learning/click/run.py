"""One training of a click model: what it needs, its steps, the regions that judge, and its end."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_histo.core import CancelToken, ModelInfo, PromptSegmenter
from napari_histo.errors import ModelError, ObjectsFileError
from napari_histo.learning.click.evaluation import ClickScore, evaluate_clicks, mean_iou, pooled
from napari_histo.learning.click.learner import ClickLearner
from napari_histo.learning.click.params import ClickTraining
from napari_histo.learning.click.samples import ClickBatches, ClickSlides, ObjectSource
from napari_histo.learning.course.state import State, learning_rate
from napari_histo.learning.stardist.result import data_facts, fingerprint
from napari_histo.learning.training import (
    CurvePoint,
    Example,
    Examples,
    TrainedModel,
    TrainingStep,
    as_examples,
    hold_out_some,
)
from napari_histo.models import get_info, load_prompt_model
from napari_histo.models._device import pick_device, pick_precision
from napari_histo.models._model_folder import SHIPPED_WEIGHTS
from napari_histo.models._nuclick import NuClickSegmenter, load_click_net, save_click_net
from napari_histo.models._nuclick_net import CHANNELS, ClickNet
from napari_histo.models.registry import model_folder
from napari_histo.store import atomic_path

__all__ = ["ClickRun"]

_FAMILY = "nuclick"
_RATE, _DECAY = 3e-4, 0.01
#: Regions that are looked at in between; all of them at the end.
_MOST_JUDGES = 12
#: With fewer objects to judge by, the best look would be the luckiest.
_LEAST_OBJECTS = 20
_KEEP_EVERY_S = 20.0
_MACHINE = ("device", "precision")


@dataclass(frozen=True, eq=False)
class _Parent:
    """The model to go on from."""

    net: ClickNet
    info: ModelInfo
    sha256: str

    @classmethod
    def of(cls, name: str) -> _Parent:
        info = get_info(name)
        if info.family != _FAMILY:
            raise ModelError(
                f"The model {info.name!r} is of the family {info.family!r}; this training goes on "
                "from a model that answers clicks. Choose 'click', or a folder of your own."
            )
        weights = model_folder(name) / SHIPPED_WEIGHTS
        net = load_click_net(weights)
        return cls(net, info, hashlib.sha256(weights.read_bytes()).hexdigest())


class ClickRun:
    """One training: what it needs, its steps, and its end.

    Parameters
    ----------
    parent : str
        Name or folder.
    regions, replay, validation : Examples
        See `train_click`.
    params : ClickTraining
    """

    def __init__(
        self,
        parent: str,
        regions: Examples,
        replay: Examples,
        validation: Examples,
        params: ClickTraining,
    ) -> None:
        new, old, judge = as_examples(regions), as_examples(replay), as_examples(validation)
        if not new and not old:
            raise ObjectsFileError(
                "There is no labelled region to learn from. Mark one as done first."
            )
        if not judge:
            new, old, judge = hold_out_some(new, old, params.held_out, params.seed)
        self.teach, self.replay, self.judge = new, old, judge
        self.params, self.parent = params, _Parent.of(parent)
        self.device = pick_device(params.device)
        self.precision = pick_precision(params.precision, self.device)
        slides = ClickSlides(self.model(self.parent.net), params.channel)
        self.batches = ClickBatches(
            ObjectSource(new, slides),
            ObjectSource(old, slides, is_replayed=True),
            size=params.batch,
            share=params.replay_share,
            seed=params.seed,
        )
        self.state = State.new(self.parent.net, self.device, _DECAY)
        self.learner = ClickLearner(
            self.state,
            self.parent.net,
            device=self.device,
            precision=self.precision,
            distillation=params.distillation,
            steps=params.steps,
        )
        drawn = np.random.default_rng([params.seed, 2]).permutation(len(judge))
        self._n_judged = 0
        self._often = [judge[i] for i in sorted(drawn[:_MOST_JUDGES].tolist())]

    @property
    def settings(self) -> dict[str, Any]:
        """Parameters but for those of the machine."""
        return {k: v for k, v in asdict(self.params).items() if k not in _MACHINE}

    @property
    def facts(self) -> dict[str, Any]:
        """What a training that goes on must have in common with the one that was stopped."""
        data = {n: fingerprint(getattr(self, n)) for n in ("teach", "replay", "judge")}
        return {**self.settings, "parent": self.parent.sha256, **data}

    def model(self, net: ClickNet, info: ModelInfo | None = None) -> PromptSegmenter:
        """A network as a segmenter."""
        info = info or self.parent.info
        return NuClickSegmenter(net, info, device=self.device, precision=self.precision)

    def steps(self, path: Path, cancel: CancelToken) -> Generator[TrainingStep, None, None]:
        """All steps that are left; what is needed to go on is kept at `path`."""
        state, params, kept_at = self.state, self.params, time.monotonic()
        if not state.curve and self._often:
            state.curve.append(self._judged(0, math.nan, cancel))
            self._keep_best(state.curve[-1])
            yield self._progress(state.curve[-1])
        while state.step < params.steps and not self._is_stuck:
            if cancel.is_cancelled:
                state.save(path)
                cancel.raise_if_cancelled()
            began = time.monotonic()
            point = self._step(cancel)
            state.seconds += time.monotonic() - began
            if time.monotonic() - kept_at > _KEEP_EVERY_S:
                state.save(path)
                kept_at = time.monotonic()
            yield self._progress(point)
        state.save(path)

    def finish(self, folder: Path, about: Mapping[str, Any], cancel: CancelToken) -> TrainedModel:
        """Judge the best weights on all regions that judge, and write the model."""
        state, began = self.state, time.monotonic()
        if state.best:
            state.ema.load_state_dict(state.best)
        net = state.ema.cpu().eval()
        best_step = state.best_step if state.best else state.step
        scores = list(evaluate_clicks(self.model(net), self.judge, cancel=cancel))
        written = self._save(folder, net, best_step, scores, about)
        model = load_prompt_model(
            str(folder), device=self.params.device, precision=self.params.precision
        )
        seconds = state.seconds + time.monotonic() - began
        found = pooled(scores)
        return TrainedModel(model, folder, found, tuple(state.curve), best_step, seconds, written)

    def _step(self, cancel: CancelToken) -> CurvePoint | None:
        """Learn; look at the regions that judge now and then."""
        state, params = self.state, self.params
        rate = learning_rate(params.rate or _RATE, state.step / params.steps)
        rng = np.random.default_rng([params.seed, 4, state.step])
        self.learner.learn(self.batches.draw(state.step), rate, rng)
        if state.step % params.judge_every and state.step != params.steps:
            return None
        # Not to be cancelled here: the step is done, and its look belongs to it.
        point = self._judged(state.step, float(np.mean(state.losses)), CancelToken())
        self._keep_best(point)
        state.curve.append(point)
        state.losses = []
        return point

    def _judged(self, step: int, loss: float, cancel: CancelToken) -> CurvePoint:
        """How well the averaged weights do on some of the regions that judge."""
        if not self._often:
            return CurvePoint(step, loss)
        scores = list(evaluate_clicks(self.model(self.state.ema), self._often, cancel=cancel))
        self._n_judged = sum(score.tp for score in scores)
        return replace(CurvePoint.of(step, loss, pooled(scores)), click_iou=mean_iou(scores))

    def _keep_best(self, point: CurvePoint) -> None:
        """The parent itself is the first best: what learned nothing better is not taken.

        Few objects do not tell; then it learns to the end.
        """
        state, found = self.state, float(np.nan_to_num(point.click_iou))
        if self._n_judged >= _LEAST_OBJECTS and found > state.best_pq:
            state.best_pq, state.best_step = found, point.step
            state.best = {k: v.detach().cpu().clone() for k, v in state.ema.state_dict().items()}

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
        judged = [p.click_iou for p in state.curve if not math.isnan(p.click_iou)]
        text = f"Learning: IoU of clicks {judged[-1]:.3f}" if judged else "Learning"
        return TrainingStep(
            state.step, total, text, loss=state.loss, point=point, seconds_left=left
        )

    def _save(
        self,
        folder: Path,
        net: ClickNet,
        best_step: int,
        scores: Sequence[ClickScore],
        about: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Write what `load_prompt_model` reads, whole or not at all; gives the card."""
        info = self.parent.info
        named: dict[str, list[Example]] = {
            "taught": self.teach,
            "replayed": self.replay,
            "judged": self.judge,
        }
        objects = self.batches.new.n_objects + self.batches.replay.n_objects
        card = {
            "name": self.params.name,
            "family": _FAMILY,
            "pixel_size_um": info.pixel_size_um,
            "pixel_size_nominal": info.pixel_size_nominal,
            "channels": info.channels,
            "licence": info.licence,
            "classes": list(info.classes.names),
            "source": "trained by napari-histo",
            "description": f"Answers clicks; learned from {objects} objects, from {info.name}.",
            "parent": {"name": info.name, "sha256": self.parent.sha256},
            "data": [data_facts(name, some) for name, some in named.items() if some],
            "training": {**self.settings, "steps_done": self.state.step, "kept": best_step},
            "metrics": _metrics(scores),
            **about,
        }
        with atomic_path(folder, folder=True) as work:
            save_click_net(net, work / SHIPPED_WEIGHTS)
            config = {"architecture": "nuclick", "channels": CHANNELS}
            (work / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
            card["sha256"] = hashlib.sha256((work / SHIPPED_WEIGHTS).read_bytes()).hexdigest()
            text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
            (work / "card.json").write_text(text, encoding="utf-8")
        return card


def _metrics(scores: Sequence[ClickScore]) -> list[dict[str, Any]]:
    """What a card says of how well the model answers one click."""
    ious = np.array([iou for score in scores for iou in score.report.iou])
    if not len(ious):
        return []
    row = {"data": "regions that judged", "gesture": "random", "regions": len(scores)}
    figures = {
        "iou": round(float(ious.mean()), 4),
        "failures": round(float((ious < 0.5).mean()), 4),
    }
    return [{**row, "n": len(ious), **figures}]
