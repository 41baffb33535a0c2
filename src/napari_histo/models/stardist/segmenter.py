"""StarDist 2D as a segmenter: the torch network, then StarDist's own choice among its polygons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import ModelInfo, Proposals
from napari_histo.models._device import pick_device, pick_precision, room
from napari_histo.models.stardist.polygons import StarPolygons, pad_to
from napari_histo.ops.finite import finite

if TYPE_CHECKING:
    import torch

    from napari_histo.models.stardist.config import StarDistConfig
    from napari_histo.models.stardist.net import StarDistNet

__all__ = ["StarDistSegmenter"]

#: Memory for a pixel on its way through the network; 320 in bfloat16 and 460 in float32 were
#: measured for a net of depth 3 with 32 filters.
_BYTES_A_PX = 500


class StarDistSegmenter(StarPolygons):
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

        from napari_histo.models.stardist.net import fold_batch_norm

        self.device = pick_device(device)
        self.precision = pick_precision(precision, self.device)
        super().__init__(info)
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
    def grid(self) -> tuple[int, int]:
        """Pixels (y, x) of the image for one cell of the answer."""
        return self.config.grid

    @property
    def n_channels(self) -> int:
        """Of the images."""
        return self.config.n_channel_in

    @property
    def n_rays(self) -> int:
        """Of a polygon."""
        return self.config.n_rays

    @property
    def n_classes(self) -> int | None:
        """Beside the background; None where there is no such answer."""
        return self.config.n_classes

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
    def batch_size(self) -> int:
        """Images at once: a processor gains nothing from more than one."""
        return 16 if self.device == "cuda" else 1

    def room(self, side_px: int) -> int:
        """See `Segmenter.room`."""
        return room(self.device, side_px**2 * _BYTES_A_PX)

    def on_cpu(self) -> StarDistSegmenter:
        """See `Segmenter.on_cpu`."""
        if self.device == "cpu":
            return self
        return StarDistSegmenter(self._net, self._info, percentiles=self._percentiles, device="cpu")

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

        batch = torch.from_numpy(pad_to(finite(images), self.config.divisor)).permute(0, 3, 1, 2)
        return batch.to(self.device, self._dtype).contiguous(memory_format=torch.channels_last)

    def _forward(
        self, images: NDArray[np.float32]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        import torch

        with torch.inference_mode():
            logits, dist, classes = self._net(self._batch(images))
            shares = None if classes is None else classes.softmax(dim=1)
            return logits[:, 0].sigmoid(), dist, shares
