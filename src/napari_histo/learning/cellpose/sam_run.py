"""One fine-tuning of Cellpose-SAM: its last layers learn from what the others say of patches."""

from __future__ import annotations

import copy
import hashlib
import math
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from napari_histo.core import Thresholds
from napari_histo.learning.cellpose.params import SamTraining
from napari_histo.learning.cellpose.run import DECAY, FlowCourse
from napari_histo.learning.cellpose.sam_start import REMEMBERED_BYTES, SamStart
from napari_histo.learning.cellpose.targets import Batch, Patch
from napari_histo.learning.course.run import Data, split
from napari_histo.learning.course.state import State
from napari_histo.learning.training import Examples, as_examples
from napari_histo.models.cellpose.sam_parts import JoinedNet, SamTail, SamTrunk
from napari_histo.models.cellpose.segmenter import CellposeSegmenter
from napari_histo.models.cellpose.tuned import save_tuned
from napari_histo.models.shelf.folder import SHIPPED_WEIGHTS

__all__ = ["SamRun"]

_HEAD_RATE, _BLOCKS_RATE = 1e-3, 5e-5


class RememberingTrunk(nn.Module):
    """A trunk that is asked once about each window; any thread may call.

    Windows of the regions that judge come again at each look, and so do patches that are drawn
    again. What came first is kept: kept by last use, a round that does not fit would keep nothing.

    Parameters
    ----------
    trunk : SamTrunk
    keep_bytes : int
    """

    def __init__(self, trunk: SamTrunk, keep_bytes: int) -> None:
        super().__init__()
        self.trunk, self._keep_bytes = trunk, keep_bytes
        self._kept: dict[bytes, Tensor] = {}

    @property
    def diam_mean(self) -> Tensor:
        """See `SamTrunk`."""
        return self.trunk.diam_mean

    @property
    def dtype(self) -> torch.dtype:
        """See `SamTrunk`."""
        return self.trunk.dtype

    def forward(self, windows: Tensor) -> Tensor:
        """Features, on the device of the windows."""
        return torch.cat([self._of(window[None]) for window in windows]).to(windows.device)

    def _of(self, window: Tensor) -> Tensor:
        pixels = window.float().cpu().contiguous().numpy()
        key = hashlib.blake2b(pixels.tobytes(), digest_size=16).digest()
        if key in self._kept:
            return self._kept[key]
        # Features of a look are those of training: no tensor of inference mode is kept.
        with torch.inference_mode(False):
            found: Tensor = self.trunk(torch.from_numpy(pixels)).cpu()
        if (len(self._kept) + 1) * found.nbytes <= self._keep_bytes:
            self._kept[key] = found
        return found


class SamRun(FlowCourse[SamTail]):
    """One fine-tuning."""

    weights_file = SHIPPED_WEIGHTS
    start: SamStart
    params: SamTraining

    def __init__(self, start: SamStart, data: Data, params: SamTraining) -> None:
        self.trunk = RememberingTrunk(start.trunk, REMEMBERED_BYTES)
        super().__init__(start, data, params)
        self.state = State.new(start.net, self.device, DECAY)
        self.learner = self._new_learner()

    @classmethod
    def of(
        cls,
        parent: Path | str,
        regions: Examples,
        replay: Examples,
        validation: Examples,
        params: SamTraining,
    ) -> SamRun:
        """See `train_sam`."""
        new, old, judge = split(regions, replay, validation, params)
        if not new:
            new, old = old, []
        start = SamStart.of(parent, as_examples([*regions, *replay]), params)
        return cls(start, (new, old, judge), params)

    def model(self, net: SamTail) -> CellposeSegmenter:
        """A network as a segmenter."""
        return CellposeSegmenter(JoinedNet(self.trunk, net), self.start.info, device=self.device)

    @property
    def divisor(self) -> int:
        """See `ObjectCourse.divisor`."""
        return self.params.patch_px

    @property
    def _peak_rate(self) -> float:
        return _BLOCKS_RATE if self.params.blocks else _HEAD_RATE

    @property
    def distinct(self) -> int | None:
        """See `ObjectCourse.distinct`."""
        params = self.params
        return None if params.patches is None else math.ceil(params.patches / params.batch)

    def memory_bytes(self, image: Tensor) -> int:
        """See `ObjectCourse.memory_bytes`; the layers that do not learn count too."""
        return self.start.needs_bytes

    def _stack(self, patches: list[Patch]) -> Batch:
        """With features in place of pixels."""
        batch = super()._stack(patches)
        trunk = self.trunk if self.params.patches else self.start.trunk
        return replace(batch, image=trunk(batch.image))

    def _as_saved(self, net: SamTail) -> SamTail:
        return copy.deepcopy(net).cpu().eval()

    def _save(self, folder: Path, net: SamTail, thresholds: Thresholds) -> None:
        save_tuned(folder, self.start.base, {**self.start.kept, **net.state_dict()}, thresholds)
