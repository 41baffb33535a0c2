"""Cellpose-SAM in two parts: layers that stay as they are, and the last ones, which may learn.

What the first part says of a window is the same as long as only the second one learns, so it is
computed once, and needs neither gradients nor copies.
"""

from __future__ import annotations

import copy
import hashlib
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from napari_histo.models.cellpose.sam import SamNet
from napari_histo.models.cellpose.windows import TRANSFORMER

__all__ = ["JoinedNet", "SamTail", "SamTrunk"]


class SamTrunk(nn.Module):
    """From windows (b, 1 to 3, 256, 256) to features (b, d, 32, 32), without gradients.

    The same as the first half of ``cellpose.vit.CPSAM.forward`` (version 4.2). A window that comes
    again, as those of a look at the same region do, is not computed again. Any thread may call.

    Parameters
    ----------
    net : SamNet
    n_blocks : int
        Last blocks of the transformer that are not part of it.
    keep_bytes : int
        Of features that are remembered. What came first stays: by last use, a round of windows
        that does not fit would leave nothing to remember.
    """

    def __init__(self, net: SamNet, n_blocks: int, *, keep_bytes: int = 0) -> None:
        super().__init__()
        encoder = net.net.encoder
        self.embed, self.place = encoder.patch_embed.proj, encoder.pos_embed
        self.blocks = encoder.blocks[: len(encoder.blocks) - n_blocks]
        self.diam_mean: Tensor = net.diam_mean
        self._keep_bytes = keep_bytes
        self._kept: dict[bytes, Tensor] = {}
        self.requires_grad_(False).eval()

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        precision: torch.dtype = self.embed.weight.dtype
        return precision

    def forward(self, windows: Tensor) -> Tensor:
        """Features, on the device of the windows; remembered where there is room."""
        return torch.cat([self._recall(window[None]) for window in windows]).to(windows.device)

    def _recall(self, window: Tensor) -> Tensor:
        pixels = window.float().cpu().contiguous().numpy()
        key = hashlib.blake2b(pixels.tobytes(), digest_size=16).digest()
        if key in self._kept:
            return self._kept[key]
        # Features of a look are those of training: no tensor of inference mode is kept.
        with torch.inference_mode(False):
            found = self.compute(torch.from_numpy(pixels)).cpu()
        if (len(self._kept) + 1) * found.nbytes <= self._keep_bytes:
            self._kept[key] = found
        return found

    @torch.no_grad()
    def compute(self, windows: Tensor) -> Tensor:
        """Features, on the trunk's device; channels that are missing count as dark."""
        weight = self.embed.weight[:, : windows.shape[1]]
        windows = windows.to(weight.device, weight.dtype, memory_format=torch.contiguous_format)
        x: Tensor = F.conv2d(windows, weight, self.embed.bias, stride=self.embed.stride)
        x = x.permute(0, 2, 3, 1) + self.place
        for block in self.blocks:
            x = block(x)
        # The package's order of memory, or rounding would be another.
        return x.permute(0, 3, 1, 2).contiguous()


class SamTail(nn.Module):
    """From features (b, d, 32, 32) to maps (b, 3, 256, 256): what learns, in float32.

    Its weights have the names that they have in a file of Cellpose-SAM.

    Parameters
    ----------
    net : SamNet
        Is copied.
    n_blocks : int
        Last blocks of the transformer that belong to it; the neck and the readout always do.
    """

    def __init__(self, net: SamNet, n_blocks: int) -> None:
        super().__init__()
        encoder = net.net.encoder
        first = len(encoder.blocks) - n_blocks
        last = {str(i): block for i, block in enumerate(encoder.blocks) if i >= first}
        self.encoder = nn.Module()
        self.encoder.blocks = nn.ModuleDict(copy.deepcopy(last))
        self.encoder.neck = copy.deepcopy(encoder.neck)
        self.out = copy.deepcopy(net.net.out)
        # Puts each patch's answers side by side; it never learns.
        self.register_buffer("unfold", net.net.W2.detach().clone(), persistent=False)
        self.float().requires_grad_(True)

    def forward(self, features: Tensor) -> tuple[Tensor, None]:
        """Maps, and no style."""
        unfold: Any = self.unfold
        parts: Any = self.encoder
        x = features.to(self.out.weight.dtype).permute(0, 2, 3, 1)
        for block in parts.blocks.values():
            x = block(x)
        x = self.out(parts.neck(x.permute(0, 3, 1, 2)))
        return F.conv_transpose2d(x, unfold, stride=unfold.shape[-1]), None


class JoinedNet(nn.Module):
    """Both parts, as a network that segments; see `FlowNet`.

    Parameters
    ----------
    trunk : SamTrunk
        Is shared.
    tail : SamTail
        Is copied, and rounded to what the trunk computes in, as it will be when it is loaded.
    """

    lattice = TRANSFORMER
    n_channels = 3

    def __init__(self, trunk: SamTrunk, tail: SamTail) -> None:
        super().__init__()
        self.trunk = trunk
        kept: Any = copy.deepcopy(tail).requires_grad_(False).eval()
        self.tail = kept.to(trunk.dtype).to(memory_format=torch.contiguous_format)

    @property
    def diam_mean(self) -> Tensor:
        """Diameter of objects that images are scaled to, px."""
        return self.trunk.diam_mean

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        return self.trunk.dtype

    def forward(self, windows: Tensor) -> tuple[Tensor, None]:
        """Maps, and no style."""
        maps: tuple[Tensor, None] = self.tail(self.trunk(windows))
        return maps
