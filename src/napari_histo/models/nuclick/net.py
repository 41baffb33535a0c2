"""The click network: an image and what a person drew on it, to a mask.

A U-Net on six channels, in the manner of NuClick (Alemi Koohbanani et al., Medical Image Analysis
2020): RGB, an inclusion map, an exclusion map, and a map of the box. The maps are shown again at
every level of the decoder: without that, training took far longer to tell the object under the
click from its neighbours. The trunk works at half resolution and has the widths of our StarDist
networks, so that training can start from what those know about nuclei; a skip from the
full-resolution stem sharpens the outline. There is no normalisation: statistics of patches, most
of them background, are worth little for a single one.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

__all__ = ["CHANNELS", "DIVISOR", "ClickNet"]

#: red, green, blue, inclusion, exclusion, box
CHANNELS = 6
#: Height and width of a patch must be multiples of this.
DIVISOR = 16
_DEPTH = 3
_MAPS = 3
_STEM, _HEAD = 32, 16


class _Conv(nn.Module):
    """Convolution 3 × 3 and rectifier."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, 3, padding=1)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x))


def _chain(*widths: int) -> nn.Sequential:
    return nn.Sequential(*(_Conv(a, b) for a, b in pairwise(widths)))


class ClickNet(nn.Module):
    """See the module; 1.5 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        width = [_STEM * 2**d for d in range(_DEPTH + 1)]
        self.stem = _chain(CHANNELS, _STEM, _STEM)
        self.down = nn.ModuleList(
            _chain(width[max(0, d - 1)], width[d], width[d]) for d in (0, 1, 2)
        )
        self.middle = _chain(width[2] + _MAPS, width[3], width[2])
        self.up = nn.ModuleList(
            _chain(2 * width[d] + _MAPS, width[d], width[max(0, d - 1)]) for d in (0, 1, 2)
        )
        self.head = _chain(2 * _STEM + _MAPS, _HEAD)
        self.logit = nn.Conv2d(_HEAD, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``(b, 1, h, w)`` of a batch ``(b, 6, h, w)``; h and w multiples of 16."""
        maps = [x[:, -_MAPS:]]
        for _ in range(_DEPTH + 1):
            maps.append(F.avg_pool2d(maps[-1], 2))
        stem = self.stem(x)
        x = F.max_pool2d(stem, 2)
        skips = []
        for down in self.down:
            x = down(x)
            skips.append(x)
            x = F.max_pool2d(x, 2)
        x = self.middle(torch.cat([x, maps.pop()], dim=1))
        for up, skip in zip(reversed(self.up), reversed(skips), strict=True):
            x = up(torch.cat([F.interpolate(x, scale_factor=2.0), skip, maps.pop()], dim=1))
        x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        out: Tensor = self.logit(self.head(torch.cat([x, stem, maps.pop()], dim=1)))
        return out
