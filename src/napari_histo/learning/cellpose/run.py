"""One training of a network that tells flows, and of those of Cellpose 1 to 3."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import torch
from torch import nn

from napari_histo.core import Segmenter, Thresholds
from napari_histo.learning.cellpose.learner import CellposeLearner
from napari_histo.learning.cellpose.params import CellposeTraining
from napari_histo.learning.cellpose.sheets import FlowPatchSource, FlowSheets
from napari_histo.learning.cellpose.start import Start
from napari_histo.learning.cellpose.targets import Batch, Patch
from napari_histo.learning.course.evaluation import best_thresholds
from napari_histo.learning.course.objects import ObjectCourse
from napari_histo.learning.course.run import Data, split
from napari_histo.learning.course.state import State
from napari_histo.learning.training import CurvePoint, Examples, as_examples
from napari_histo.models.cellpose.folder import save_cellpose_folder
from napari_histo.models.cellpose.net import CellposeNet, CellposeShape
from napari_histo.models.cellpose.segmenter import CellposeSegmenter
from napari_histo.models.shelf.folder import CELLPOSE_WEIGHTS
from napari_histo.ops.metrics import Agreement

__all__ = ["DECAY", "CellposeRun", "FlowCourse"]

#: Of weights.
DECAY = 1e-5
#: Largest flow errors that are tried at the end; 1 keeps all.
_FLOW_ERRORS = (0.4, 0.6, 1.0)

Net = TypeVar("Net", bound=nn.Module)


class FlowCourse(ObjectCourse[Net, Patch, Batch, CellposeTraining], Generic[Net]):
    """One training of a network that tells flows; see `ObjectCourse`."""

    sheets, source = FlowSheets, FlowPatchSource
    # Another probability is another shape, and would want its own run of the dynamics.
    glances = (0.5,)
    # All objects: flows come right late, and would hide for long that outlines get better.
    glance_nms = 1.0
    most_judges = 8
    #: Makes what a training begins with, of a parent, examples and parameters.
    starts: ClassVar[type[Any]]

    @classmethod
    def of(
        cls,
        parent: Path | str | CellposeShape,
        regions: Examples,
        replay: Examples,
        validation: Examples,
        params: CellposeTraining,
    ) -> Self:
        """See `train_cellpose` and `train_sam`."""
        new, old, judge = split(regions, replay, validation, params)
        if not new:
            new, old = old, []
        start = cls.starts.of(parent, as_examples([*regions, *replay]), params)
        return cls(start, (new, old, judge), params)

    def _new_learner(self) -> CellposeLearner[Net]:
        return CellposeLearner(
            self.state,
            self.start.net if self.start.parent else None,
            device=self.device,
            precision=self.precision,
            distillation=self.params.distillation,
            steps=self.params.steps,
            tell=self.messages.append,
        )

    def _stack(self, patches: list[Patch]) -> Batch:
        return Batch.of(patches)

    def _try_thresholds(self, model: Segmenter) -> tuple[Thresholds, Agreement]:
        """Of flow errors; another probability would want the dynamics again."""
        usual = self.start.info.thresholds
        return best_thresholds(self.exams, model, [usual.prob], _FLOW_ERRORS, middle=usual.nms)

    def _worth(self, point: CurvePoint) -> float | None:
        """A new network finds nothing for long, and one look is then as good as another."""
        return super()._worth(point) or None


class CellposeRun(FlowCourse[CellposeNet]):
    """One training of a network of Cellpose 1 to 3."""

    rates = (2e-3, 5e-4)
    weights_file = CELLPOSE_WEIGHTS
    starts = Start

    def __init__(self, start: Start, data: Data, params: CellposeTraining) -> None:
        super().__init__(start, data, params)
        self.state = State.new(start.net.requires_grad_(True), self.device, DECAY)
        for kept in (self.state.net.diam_mean, self.state.net.diam_labels):
            kept.requires_grad_(False)
        self.learner = self._new_learner()

    def model(self, net: CellposeNet) -> CellposeSegmenter:
        """A network as a segmenter."""
        return CellposeSegmenter(copy.deepcopy(net).eval(), self.start.info, device=self.device)

    @property
    def divisor(self) -> int:
        """See `ObjectCourse.divisor`."""
        return self.start.net.divisor

    def _as_saved(self, net: CellposeNet) -> CellposeNet:
        net = copy.deepcopy(net).cpu().eval()
        with torch.no_grad():
            net.diam_labels.copy_(net.diam_mean)
        return net

    def _save(self, folder: Path, net: CellposeNet, thresholds: Thresholds) -> None:
        save_cellpose_folder(folder, net, thresholds)
