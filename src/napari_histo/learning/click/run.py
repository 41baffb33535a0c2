"""One training of a click model: what it needs, its steps, the regions that judge, and its end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_histo.core import CancelToken, ModelInfo, PromptSegmenter
from napari_histo.errors import ModelError
from napari_histo.learning.click.evaluation import ClickScore, evaluate_clicks, mean_iou, pooled
from napari_histo.learning.click.learner import ClickLearner
from napari_histo.learning.click.params import ClickTraining
from napari_histo.learning.click.samples import (
    SIDES,
    ClickBatch,
    ClickBatches,
    ClickSlides,
    ObjectSource,
)
from napari_histo.learning.course.card import info_words, write_model
from napari_histo.learning.course.memory import step_bytes
from napari_histo.learning.course.run import Course, split
from napari_histo.learning.course.state import State
from napari_histo.learning.training import CurvePoint, Examples
from napari_histo.models import get_info, load_prompt_model
from napari_histo.models.nuclick.net import CHANNELS, ClickNet
from napari_histo.models.nuclick.segmenter import NuClickSegmenter, load_click_net, save_click_net
from napari_histo.models.registry import model_folder
from napari_histo.models.shelf.folder import SHIPPED_WEIGHTS
from napari_histo.ops.metrics import Agreement

__all__ = ["ClickRun"]

_FAMILY = "nuclick"
_RATE, _DECAY = 3e-4, 0.01


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


class ClickRun(Course[ClickNet, ClickBatch, ClickTraining]):
    """One training: what it needs, its steps, and its end.

    The parent is the first of those that may be best: what learned nothing better is not taken.

    Parameters
    ----------
    name : path or str
        Of the parent, or its folder.
    regions, replay, validation : Examples
        See `train_click`.
    params : ClickTraining
    """

    quality_words = "IoU of clicks {:.3f}"
    last_words = "Judging the answers"
    most_judges = 12
    least_judged = 20  # objects

    def __init__(
        self,
        name: Path | str,
        regions: Examples,
        replay: Examples,
        validation: Examples,
        params: ClickTraining,
    ) -> None:
        data = split(regions, replay, validation, params)
        self.parent = _Parent.of(str(name))
        super().__init__(data, params, self.parent.sha256)
        slides = ClickSlides(self.model(self.parent.net), params.channel)
        self.batches = ClickBatches(
            ObjectSource(self.teach, slides),
            ObjectSource(self.replay, slides, is_replayed=True),
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

    def model(self, net: ClickNet, info: ModelInfo | None = None) -> PromptSegmenter:
        """A network as a segmenter."""
        info = info or self.parent.info
        return NuClickSegmenter(net, info, device=self.device, precision=self.precision)

    def drawn(self) -> AbstractContextManager[Iterator[ClickBatch]]:
        return nullcontext(map(self.batches.draw, count(self.state.step)))

    def learn(self, batch: ClickBatch, rate: float) -> None:
        rng = np.random.default_rng([self.params.seed, 4, self.state.step])
        self.learner.learn(batch, rate, rng)

    def look(self, step: int, loss: float, cancel: CancelToken) -> CurvePoint:
        some = [self.judge[i] for i in self.often]
        scores = list(evaluate_clicks(self.model(self.state.ema), some, cancel=cancel))
        self.n_judged = sum(score.tp for score in scores)
        return replace(CurvePoint.of(step, loss, pooled(scores)), click_iou=mean_iou(scores))

    def memory_bytes(self) -> int:
        """See `Course.memory_bytes`; the parent, whose answers are held on to, learns nothing."""
        largest = torch.zeros(1, CHANNELS, max(SIDES), max(SIDES))
        needs = step_bytes(self.parent.net, largest, self.params.batch, self.precision)
        return needs + self.batches.nbytes

    @property
    def _peak_rate(self) -> float:
        return _RATE

    def write(
        self, folder: Path, best_step: int, about: Mapping[str, Any], cancel: CancelToken
    ) -> tuple[Mapping[str, Any], Agreement]:
        """See `Course.write`."""
        net = self.state.ema.cpu().eval()
        scores = list(evaluate_clicks(self.model(net), self.judge, cancel=cancel))
        objects = self.batches.new.n_objects + self.batches.replay.n_objects
        text = f"Answers clicks; learned from {objects} objects, from {self.parent.info.name}."
        info = replace(self.parent.info, name=self.params.name, description=text)
        story = self._story(self.parent.info.name, best_step, _metrics(scores))
        card = write_model(
            folder,
            {**info_words(info), **story, **about},
            SHIPPED_WEIGHTS,
            lambda work: _save_files(net, work),
        )
        return card, pooled(scores)

    def read(self, folder: Path) -> PromptSegmenter:
        """See `Course.read`."""
        how = self.params
        return load_prompt_model(str(folder), device=how.device, precision=how.precision)


def _save_files(net: ClickNet, folder: Path) -> None:
    save_click_net(net, folder / SHIPPED_WEIGHTS)
    config = {"architecture": "nuclick", "channels": CHANNELS}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")


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
