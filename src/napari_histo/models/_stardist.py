"""StarDist 2D as a segmenter: the torch network, then StarDist's own choice among its polygons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Contours, ModelInfo, ObjectTable, Proposals, Thresholds
from napari_histo.errors import ModelError
from napari_histo.models._device import pick_device, pick_precision, room
from napari_histo.models._stardist_nms import star_polygons, suppress
from napari_histo.ops.finite import finite

if TYPE_CHECKING:
    import torch

    from napari_histo.models._stardist_net import StarDistConfig, StarDistNet

__all__ = ["StarDistSegmenter"]

#: Smallest distance, px, as in the stardist package (its polygons must have an area).
_LEAST_DIST = 1e-3
#: Grid cells along the image's edge whose polygons the stardist package leaves out.
_EDGE_CELLS = 2
#: Memory for a pixel on its way through the network; 320 in bfloat16 and 460 in float32 were
#: measured for a net of depth 3 with 32 filters.
_BYTES_A_PX = 500


class StarDistSegmenter:
    """Star-convex objects (Schmidt et al., MICCAI 2018; Weigert and Schmidt, ISBIC 2022).

    Parameters
    ----------
    net : StarDistNet
        With weights; batch normalisation is folded into a copy.
    info : ModelInfo
    percentiles : (float, float)
        Of the image, that become 0 and 1.
    device : {"auto", "cpu", "cuda", "mps"}
    precision : {"auto", "float32", "bfloat16"}
        ``auto`` computes the trunk in bfloat16 where the hardware does; the heads are float32.
    """

    def __init__(
        self,
        net: StarDistNet,
        info: ModelInfo,
        *,
        percentiles: tuple[float, float] = (1.0, 99.8),
        device: str = "auto",
        precision: str = "auto",
    ) -> None:
        import torch

        from napari_histo.models._stardist_net import fold_batch_norm

        self.device = pick_device(device)
        self.precision = pick_precision(precision, self.device)
        self._info = info
        self._percentiles = percentiles
        self._dtype = getattr(torch, self.precision)
        self._net = fold_batch_norm(net).set_trunk_dtype(self._dtype).to(self.device)
        self._net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __repr__(self) -> str:
        return f"<StarDistSegmenter {self._info.name} on {self.device}, {self.precision}>"

    @property
    def config(self) -> StarDistConfig:
        """Shape of the network."""
        return self._net.config

    @property
    def info(self) -> ModelInfo:
        """The model's card."""
        return self._info

    @property
    def percentiles(self) -> tuple[float, float] | None:
        """Percentiles of the image that become 0 and 1."""
        return self._percentiles

    @property
    def margin_px(self) -> int:
        """Radius of the receptive field, px."""
        return self.config.margin_px

    @property
    def align_px(self) -> int:
        """Side of the squares that the network halves down to one cell, px."""
        return max(self.config.divisor)

    @property
    def edge_px(self) -> int:
        """Width of the rim along the image's edge in which no object is anchored, px."""
        return _EDGE_CELLS * max(self.config.grid)

    @property
    def batch_size(self) -> int:
        """Images at once: a processor gains nothing from more than one."""
        return 16 if self.device == "cuda" else 1

    def room(self, side_px: int) -> int:
        """See `Segmenter.room`."""
        return room(self.device, side_px**2 * _BYTES_A_PX)

    def adapt(self, samples: NDArray[np.float32]) -> StarDistSegmenter:
        """See `Segmenter.adapt`; normalisation is all that depends on the image."""
        return self

    def on_cpu(self) -> StarDistSegmenter:
        """See `Segmenter.on_cpu`."""
        if self.device == "cpu":
            return self
        return StarDistSegmenter(self._net, self._info, percentiles=self._percentiles, device="cpu")

    def propose(self, images: NDArray[np.float32], min_prob: float) -> list[Proposals]:
        """See `Segmenter.propose`; `columns` holds ``dist`` and, with classes, ``class_prob``."""
        self._check_channels(images)
        if not images.size:
            return [self._nothing() for _ in images]
        height, width = images.shape[1:3]
        prob, dist, classes = self._forward(images)
        found = []
        for i in range(len(images)):
            cells = (prob[i] > min_prob).nonzero()
            points = cells.flip(1) * cells.new_tensor(self.config.grid[::-1])
            inside = (points[:, 0] < width) & (points[:, 1] < height)
            rows, columns = cells[inside].unbind(1)
            picked = {"dist": dist[i, :, rows, columns].T.clamp_min(_LEAST_DIST)}
            if classes is not None:
                picked["class_prob"] = classes[i, :, rows, columns].T
            found.append(
                Proposals(
                    points[inside].float().cpu().numpy(),
                    prob[i, rows, columns].cpu().numpy(),
                    {k: np.ascontiguousarray(v.cpu().numpy()) for k, v in picked.items()},
                )
            )
        return found

    def _nothing(self) -> Proposals:
        columns = {"dist": np.zeros((0, self.config.n_rays), np.float32)}
        if self.config.n_classes is not None:
            columns["class_prob"] = np.zeros((0, self.config.n_classes + 1), np.float32)
        return Proposals(np.zeros((0, 2), np.float32), np.zeros(0, np.float32), columns)

    @property
    def has_dropout(self) -> bool:
        """True where parts of the network can be left out at random."""
        return self.config.unet_dropout > 0

    def propose_dropped(
        self, images: NDArray[np.float32], min_prob: float, seed: int
    ) -> list[Proposals]:
        """As `propose`, with parts of the network left out (Gal and Ghahramani, ICML 2016).

        Batch normalisation is folded in, so that dropout is all that differs from prediction.
        """
        import torch

        devices = [self.device] if self.device == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            self._net.train()
            try:
                return self.propose(images, min_prob)
            finally:
                self._net.eval()

    def embed(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features (b, d) of length 1, from the encoder, of images as for `propose`."""
        import torch

        self._check_channels(images)
        with torch.inference_mode():
            features: NDArray[np.float32] = self._net.embed(self._batch(images)).cpu().numpy()
        return features

    def describe(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the heads see, (b, h/g, w/g, d), of images as for `propose`."""
        import torch

        self._check_channels(images)
        gy, gx = self.config.grid
        rows, columns = -(-images.shape[1] // gy), -(-images.shape[2] // gx)
        with torch.inference_mode():
            seen = self._net.describe(self._batch(images))[:, :, :rows, :columns]
        return np.ascontiguousarray(seen.permute(0, 2, 3, 1).cpu().numpy())

    def _batch(self, images: NDArray[np.float32]) -> torch.Tensor:
        """Images (b, h, w, c) as the network wants them, at least as large."""
        import torch

        batch = torch.from_numpy(_pad_to(finite(images), self.config.divisor)).permute(0, 3, 1, 2)
        return batch.to(self.device, self._dtype).contiguous(memory_format=torch.channels_last)

    def _forward(
        self, images: NDArray[np.float32]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Probabilities (b, gh, gw), distances (b, rays, gh, gw) and class shares, float32."""
        import torch

        with torch.inference_mode():
            logits, dist, classes = self._net(self._batch(images))
            shares = None if classes is None else classes.softmax(dim=1)
            return logits[:, 0].sigmoid(), dist, shares

    def _check_channels(self, images: NDArray[np.float32]) -> None:
        wanted = self.config.n_channel_in
        if images.shape[3] != wanted:
            raise ModelError(
                f"The model {self._info.name!r} wants {wanted} channel(s), the image has "
                f"{images.shape[3]}. Choose another model, or the channels to use."
            )

    def select(self, proposals: Proposals, thresholds: Thresholds) -> NDArray[np.int64]:
        """See `Segmenter.select`: StarDist's non-maximum suppression."""
        likely = np.flatnonzero(proposals.prob > thresholds.prob)
        best = proposals.take(likely)
        return likely[suppress(best.points, best.columns["dist"], best.prob, thresholds.nms)]

    def reach_px(self, proposals: Proposals) -> float:
        """See `Segmenter.reach_px`: twice the longest ray."""
        return float(2 * proposals.columns["dist"].max(initial=0.0))

    def draw(self, proposals: Proposals) -> ObjectTable:
        """See `Segmenter.draw`."""
        # The network counts pixel centres, geometry counts pixel corners: half a pixel between.
        corners = star_polygons(proposals.points, proposals.columns["dist"]) + np.float32(0.5)
        shares = proposals.columns.get("class_prob")
        class_id, class_prob = None, None
        if shares is not None:
            # Class 0 of the network is background: such an object stays unclassified (-1).
            class_id, class_prob = shares.argmax(axis=1) - 1, shares.max(axis=1)
        return ObjectTable.build(
            Contours.from_star(corners),
            class_id=class_id,
            class_prob=class_prob,
            det_prob=proposals.prob,
            classes=self._info.classes,
            source=self._info.name,
        )

    def segment(self, images: NDArray[np.float32]) -> list[ObjectTable]:
        """See `Segmenter.segment`."""
        thresholds = self._info.thresholds
        found = self.propose(images, thresholds.prob)
        return [self.draw(p.take(self.select(p, thresholds))) for p in found]


def _pad_to(images: NDArray[np.float32], divisor: tuple[int, int]) -> NDArray[np.float32]:
    """Mirror pixels at the lower and right edge until both sides are multiples of `divisor`."""
    below, beside = (-n % d for n, d in zip(images.shape[1:3], divisor, strict=True))
    if not below and not beside:
        return np.ascontiguousarray(images)
    return np.pad(images, ((0, 0), (0, below), (0, beside), (0, 0)), mode="reflect")
