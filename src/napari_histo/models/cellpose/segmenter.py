"""Cellpose as a segmenter: the torch network in windows, then flows to masks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, ModelInfo, Proposals, Thresholds, Tile
from napari_histo.errors import ModelError
from napari_histo.models._device import pick_device, room
from napari_histo.models._proposing import OutlinedSegmenter, no_proposals
from napari_histo.models.cellpose.dynamics import find_masks
from napari_histo.models.cellpose.size import SizeModel
from napari_histo.models.cellpose.windows import Answers, Lattice, Windows, average, cut
from napari_histo.ops.finite import finite
from napari_histo.ops.trace import trace

__all__ = ["CellposeSegmenter", "FlowNet"]

#: The largest object that is whole in every tile, in diameters that the network was trained at.
_LARGEST_DIAMETERS = 4
#: Memory for a pixel of a tile while pixels follow the flow.
_BYTES_A_PX = 500
#: Windows that neighbouring tiles share are kept up to so many bytes: about 200 of 0.6 MB.
_KEEP_BYTES = 1 << 27
#: Logits beyond this are as good as certain; a probability of 0 or 1 has none.
_MOST_LOGIT = 12.0


class FlowNet(Protocol):
    """A torch network from windows (n, channels, h, w) to maps (n, 3, h, w), and something else.

    Attributes
    ----------
    lattice : Lattice
    n_channels : int
        That it can be shown; those that are missing count as dark.
    diam_mean : Tensor
        Diameter of objects that it was trained at, px.
    dtype : torch.dtype
    """

    @property
    def lattice(self) -> Lattice: ...

    @property
    def diam_mean(self) -> Any: ...

    @property
    def n_channels(self) -> int: ...

    @property
    def dtype(self) -> Any: ...

    def to(self, device: str, /) -> Any: ...

    def __call__(self, windows: Any, /) -> Any: ...


class CellposeSegmenter(OutlinedSegmenter):
    """Objects of any shape (Stringer et al., Nature Methods 2021; Pachitariu and Stringer, 2022).

    The probability threshold is that of a pixel: 0.5 is the package's ``cellprob_threshold`` 0, and
    in general its logit. The overlap threshold is the package's ``flow_threshold``: objects cannot
    overlap, and those whose flows are further off are left out; 1 leaves out none.

    Parameters
    ----------
    net : FlowNet
    info : ModelInfo
    device : {"auto", "cpu", "cuda", "mps"}
    size : SizeModel or float, optional
        What tells the diameter of an image's objects where nobody else does, or that diameter, px.
    """

    align_px = 1
    edge_px = 0

    def __init__(
        self,
        net: FlowNet,
        info: ModelInfo,
        *,
        device: str = "auto",
        size: SizeModel | float | None = None,
    ) -> None:
        super().__init__(info)
        self.device = pick_device(device)
        self._size = size
        self._net: FlowNet = net.to(self.device)
        self._answers = self._asking(keep_bytes=0)

    def __repr__(self) -> str:
        return f"<CellposeSegmenter {self._info.name} on {self.device}>"

    @property
    def precision(self) -> str:
        """What the network computes in."""
        return str(self._net.dtype).removeprefix("torch.")

    @property
    def percentiles(self) -> tuple[float, float] | None:
        """Percentiles of the image that become 0 and 1."""
        return 1.0, 99.0

    @property
    def halo_px(self) -> int:
        """How far from what a tile owns flows are needed, for objects that reach beyond it."""
        return math.ceil(_LARGEST_DIAMETERS * float(self._net.diam_mean))

    @property
    def margin_px(self) -> int:
        """The halo, and the windows that its pixels lie in."""
        return self.halo_px + self._net.lattice.window_px

    @property
    def patient_px(self) -> int:
        """See `FieldSegmenter.patient_px`; a transformer's window takes seconds on a processor."""
        slow = self._net.lattice.always_whole and self.device == "cpu"
        return 256 if slow else 1024

    @property
    def batch_size(self) -> int:
        """Tiles at once; a tile has many windows already."""
        return 1

    def room(self, side_px: int) -> int:
        """See `Segmenter.room`."""
        return room("cpu", side_px**2 * _BYTES_A_PX)

    def adapt(self, samples: NDArray[np.float32]) -> CellposeSegmenter:
        """See `Segmenter.adapt`; it remembers windows of the image, which tiles share."""
        fit = CellposeSegmenter(self._net, self._info, device=self.device, size=self._size)
        fit._answers = fit._asking(keep_bytes=_KEEP_BYTES)
        return fit

    def at_diameter(self, diameter_um: float) -> CellposeSegmenter:
        """See `ScaledSegmenter.at_diameter`."""
        if not diameter_um > 0:
            raise ModelError(f"The diameter of objects is {diameter_um} µm; it must be above 0.")
        size_um = diameter_um / float(self._net.diam_mean)
        info = replace(self._info, pixel_size_um=size_um, pixel_size_nominal=False)
        return CellposeSegmenter(self._net, info, device=self.device, size=self._size)

    def on_cpu(self) -> CellposeSegmenter:
        """See `Segmenter.on_cpu`."""
        if self.device == "cpu":
            return self
        return CellposeSegmenter(self._net, self._info, device="cpu", size=self._size)

    # -- what the network says -------------------------------------------------------------------

    def fields(
        self, images: NDArray[np.float32], tiles: Sequence[Tile], extent: Box
    ) -> list[NDArray[np.float32]]:
        """See `FieldSegmenter.fields`: flow down, flow right and logit, (3, h, w)."""
        # An image in one piece shares no windows with other tiles.
        once = self._asking(keep_bytes=0)
        return [
            average(
                image,
                tile.read,
                self._wanted(tile, extent),
                extent,
                once if tile.owned == extent else self._answers,
            )
            for image, tile in zip(self._checked(images), tiles, strict=True)
        ]

    def _wanted(self, tile: Tile, extent: Box) -> Box:
        return tile.owned.pad(self.halo_px).intersect(extent)

    def _checked(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        wanted, given = self._net.n_channels, images.shape[3]
        if given > wanted:
            raise ModelError(
                f"The model {self._info.name!r} wants {wanted} channel(s), the image has {given}. "
                "Choose another model, or the channels to use."
            )
        return finite(images)

    def _asking(self, *, keep_bytes: int) -> Answers:
        keep_bytes *= 4 if self._net.lattice.always_whole else 1  # dear windows
        batch = 8 if self.device == "cuda" else 1
        return Answers(self._maps, self._net.lattice, keep_bytes=keep_bytes, batch=batch)

    def _maps(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._ask(windows, 0)

    def _ask(self, windows: NDArray[np.float32], answer: int) -> NDArray[np.float32]:
        """Maps (0) or styles (1) of windows (n, h, w, c)."""
        import torch

        with torch.inference_mode():
            batch = torch.from_numpy(windows).permute(0, 3, 1, 2)
            batch = batch.to(self.device, self._net.dtype)
            found: NDArray[np.float32] = self._net(batch)[answer].float().cpu().numpy()
        return found

    def guess_diameter_px(self, images: Sequence[NDArray[np.float32]]) -> float | None:
        """See `SizingSegmenter.guess_diameter_px`; a network's own files have one for all."""
        if not isinstance(self._size, SizeModel):
            return self._size
        styles = []
        for image in images:
            image = self._checked(image[None])[0]
            extent = Box(0, 0, image.shape[1], image.shape[0])
            styles += [
                self._ask(cut(image, extent, box)[None], 1)[0]
                for box in Windows.of(extent, self._net.lattice).touching(extent)
            ]
        style = np.asarray(styles, np.float64).sum(axis=0)
        return self._size.diameter_px(style / np.linalg.norm(style))

    # -- objects ---------------------------------------------------------------------------------

    def propose_from(
        self, field: NDArray[np.float32], tile: Tile, extent: Box, min_prob: float
    ) -> Proposals:
        """See `FieldSegmenter.propose_from`; the outlines are finished."""
        box = self._wanted(tile, extent)
        threshold = _logit(min_prob)
        masks = find_masks(field, threshold, box, extent)
        contours, _ = trace(masks.labels)
        dx, dy = box.x - tile.read.x, box.y - tile.read.y
        return Proposals(
            _centres(masks.labels) + np.array([dx, dy], np.float32),
            _probabilities(masks.labels, field[2], threshold),
            {"flow_error": masks.errors.astype(np.float32)},
            contours.transform(1.0, (dx, dy)),
        )

    def propose(self, images: NDArray[np.float32], min_prob: float) -> list[Proposals]:
        """See `Segmenter.propose`; each image is a whole one."""
        extent = Box(0, 0, images.shape[2], images.shape[1])
        if extent.is_empty:
            nothing = replace(no_proposals(), columns={"flow_error": np.zeros(0, np.float32)})
            return [nothing for _ in images]
        tiles = [Tile(0, extent, extent)] * len(images)
        fields = self.fields(images, tiles, extent)
        return [self.propose_from(f, tiles[0], extent, min_prob) for f in fields]

    def select(self, proposals: Proposals, thresholds: Thresholds) -> NDArray[np.int64]:
        """See `Segmenter.select`; flows count too."""
        keep = proposals.prob > thresholds.prob
        if thresholds.nms < 1:
            keep &= proposals.columns["flow_error"] <= thresholds.nms
        return np.flatnonzero(keep)


def _logit(prob: float) -> float:
    if not 0 < prob < 1:
        return _MOST_LOGIT if prob >= 1 else -_MOST_LOGIT
    return math.log(prob / (1 - prob))


def _probabilities(
    labels: NDArray[np.int32], logit: NDArray[np.float32], threshold: float
) -> NDArray[np.float32]:
    """Mean of the cell probability over each object's own pixels; filled holes do not count."""
    own = (labels > 0) & (logit > threshold)
    prob = 1 / (1 + np.exp(-logit[own].astype(np.float64)))
    n = int(labels.max(initial=0)) + 1
    total, count = (np.bincount(labels[own], w, n)[1:] for w in (prob, None))
    return np.asarray(total / np.maximum(count, 1), np.float32)


def _centres(labels: NDArray[np.int32]) -> NDArray[np.float32]:
    """Centroids of labels 1..n, x before y, to 1/16 px, which every tile rounds alike."""
    n = int(labels.max(initial=0)) + 1
    y, x = np.nonzero(labels)
    number = labels[y, x]
    area = np.bincount(number, minlength=n)[1:]
    sums = np.stack([np.bincount(number, v, n)[1:] for v in (x, y)], axis=1)
    return np.asarray(np.round((sums / area[:, None] + 0.5) * 16) / 16, np.float32)
