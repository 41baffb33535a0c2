"""One fine-tuning of Cellpose-SAM: its last layers learn from what the others say of patches."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path

from napari_histo.core import Thresholds
from napari_histo.learning.cellpose.params import SamTraining
from napari_histo.learning.cellpose.run import DECAY, FlowCourse
from napari_histo.learning.cellpose.sam_start import SamStart
from napari_histo.learning.cellpose.targets import Batch, Patch
from napari_histo.learning.course.run import Data
from napari_histo.learning.course.state import State
from napari_histo.models.cellpose.sam_parts import JoinedNet, SamTail
from napari_histo.models.cellpose.segmenter import CellposeSegmenter
from napari_histo.models.cellpose.tuned import save_tuned
from napari_histo.models.shelf.folder import SHIPPED_WEIGHTS

__all__ = ["SamRun"]

_HEAD_RATE, _BLOCKS_RATE = 1e-3, 5e-5


class SamRun(FlowCourse[SamTail]):
    """One fine-tuning."""

    weights_file = SHIPPED_WEIGHTS
    starts = SamStart
    start: SamStart
    params: SamTraining

    def __init__(self, start: SamStart, data: Data, params: SamTraining) -> None:
        super().__init__(start, data, params)
        self.state = State.new(start.net, self.device, DECAY)
        self.learner = self._new_learner()

    def model(self, net: SamTail) -> CellposeSegmenter:
        """A network as a segmenter."""
        return CellposeSegmenter(
            JoinedNet(self.start.trunk, net), self.start.info, device=self.device
        )

    @property
    def divisor(self) -> int:
        """See `ObjectCourse.divisor`."""
        return self.params.patch_px

    @property
    def _peak_rate(self) -> float:
        return _BLOCKS_RATE if self.params.blocks else _HEAD_RATE

    @property
    def distinct(self) -> int | None:
        """See `Course.distinct`."""
        params = self.params
        return None if params.patches is None else math.ceil(params.patches / params.batch)

    def memory_bytes(self) -> int:
        """See `Course.memory_bytes`; the layers that do not learn count too."""
        return self.start.needs_bytes + self.batches.nbytes

    def _stack(self, patches: list[Patch]) -> Batch:
        """With features in place of pixels."""
        batch, trunk = super()._stack(patches), self.start.trunk
        # What never comes again need not be remembered.
        features = trunk.compute if self.params.patches is None else trunk
        return replace(batch, image=features(batch.image))

    def _as_saved(self, net: SamTail) -> SamTail:
        return copy.deepcopy(net).cpu().eval()

    def _save(self, folder: Path, net: SamTail, thresholds: Thresholds) -> None:
        save_tuned(folder, self.start.base, {**self.start.kept, **net.state_dict()}, thresholds)
