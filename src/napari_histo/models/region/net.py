"""The region network: an image at low magnification to a class for every pixel.

A small U-Net (Ronneberger et al., MICCAI 2015) that works at half its input's resolution, as edges
of tissues are soft: 4 x 4 pixels with stride 2 first, four levels, and a linear interpolation of
the logits at the end. A guided network sees a coarser answer beside the image, as the refinement
stage of H2G-Net does (Pedersen et al., arXiv 2112.03455).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

__all__ = ["DIVISOR", "MARGIN", "RegionNet"]

#: Height and width must be multiples of this.
DIVISOR = 16
#: No input pixel farther away than this changes an output pixel; a multiple of `DIVISOR`.
MARGIN = 112
_STEPS = (1, 2, 4)


class _Conv(nn.Module):
    """Convolution 3 × 3, batch norm, rectifier."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(n_out)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


class RegionNet(nn.Module):
    """See the module.

    Parameters
    ----------
    n_in : int
        Channels of the image, and of the guide where there is one.
    n_out : int
        Classes, the background among them.
    width : int
        Channels of the finest level; 24 makes 0.7 million parameters.
    """

    def __init__(self, n_in: int, n_out: int, width: int = 24) -> None:
        super().__init__()
        self.stem = nn.Conv2d(n_in, width, 4, stride=2, padding=1)
        wide = [width * step for step in _STEPS]
        self.down = nn.ModuleList(
            nn.Sequential(_Conv(a, b), _Conv(b, b))
            for a, b in zip([width, *wide], wide, strict=False)
        )
        deepest = wide[-1]
        self.middle = nn.Sequential(_Conv(deepest, deepest), _Conv(deepest, deepest))
        self.up = nn.ModuleList(
            nn.Sequential(_Conv(2 * b, b), _Conv(b, a))
            for a, b in zip([width, *wide], wide, strict=False)
        )
        self.logit = nn.Conv2d(width, n_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``(b, n_out, h, w)`` of ``(b, n_in, h, w)``; h and w multiples of 16."""
        x, skips = self._encode(x)
        for up, skip in zip(reversed(self.up), reversed(skips), strict=True):
            x = up(torch.cat([F.interpolate(x, scale_factor=2.0), skip], dim=1))
        x = self.logit(x)
        return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)

    def embed(self, x: Tensor) -> Tensor:
        """What an image looks like to the encoder: mean and spread of its two deepest levels.

        Parameters
        ----------
        x
            As of `forward`.

        Returns
        -------
        ``(b, d)`` float32, of length 1.
        """
        deepest, skips = self._encode(x)
        levels = [level.float().flatten(2) for level in (skips[-1], deepest)]
        parts = [part for x in levels for part in (x.mean(2), x.std(2, correction=0))]
        # Each part has the same say, however large its values are.
        return F.normalize(torch.cat([F.normalize(part) for part in parts], dim=1))

    def _encode(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The deepest level, and those above it, the finest first."""
        x = F.relu(self.stem(x))
        skips = []
        for down in self.down:
            x = down(x)
            skips.append(x)
            x = F.max_pool2d(x, 2)
        return self.middle(x), skips
