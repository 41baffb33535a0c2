"""Networks for tests of the Cellpose family: one with random weights, one that finds spots."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from napari_histo.models.cellpose.net import CellposeNet, CellposeShape
from napari_histo.models.cellpose.windows import CONVOLUTION


def random_net(seed=0, *, widths=(2, 4, 8, 16, 16), diam_mean_px=17.0):
    """The real graph, small; its batch normalisation has seen something."""
    torch.manual_seed(seed)
    net = CellposeNet(CellposeShape(widths), diam_mean_px)
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 2)
    return net.eval()


def formula_weights(widths=(2, 8, 12, 16, 24), diam_mean_px=17.0):
    """Weights that anyone can make again without a file: sines, of the real names and shapes."""
    weights = CellposeNet(CellposeShape(widths), diam_mean_px).state_dict()
    for number, (key, value) in enumerate(sorted(weights.items())):
        if not value.is_floating_point() or key.startswith("diam_"):
            continue
        wave = torch.sin(torch.arange(value.numel(), dtype=torch.float64) * 0.73 + number)
        size = 1.5 / max(1, value[0].numel()) ** 0.5 if value.ndim > 1 else 0.1
        value.copy_((wave * size + (1 if key.endswith("running_var") else 0)).reshape(value.shape))
        if key.endswith("0.weight") and value.ndim == 1:
            value += 1
    return weights


class SpotNet(nn.Module):
    """Flows up the brightness, cells where it is bright: what a trained network would say of spots.

    Parameters
    ----------
    diam_mean_px : float
    sigma_px : float
        Of the blur before slopes are taken.
    lattice : Lattice
    """

    def __init__(self, diam_mean_px=17.0, sigma_px=1.5, lattice=CONVOLUTION):
        super().__init__()
        self.lattice, self.n_channels, self.dtype = lattice, 2, torch.float32
        self.diam_mean = torch.tensor([diam_mean_px])
        reach = round(4 * sigma_px)
        line = torch.exp(-(torch.arange(-reach, reach + 1.0) ** 2) / (2 * sigma_px**2))
        self.register_buffer("line", (line / line.sum())[None, None])
        self.reach = reach
        self.calls = 0

    def forward(self, images):
        self.calls += len(images)
        blurred = F.conv2d(images[:, :1], self.line[..., None], padding=(self.reach, 0))
        blurred = F.conv2d(blurred, self.line[:, :, None], padding=(0, self.reach))
        around = F.pad(blurred, (1, 1, 1, 1), mode="replicate")
        down = around[..., 2:, 1:-1] - around[..., :-2, 1:-1]
        right = around[..., 1:-1, 2:] - around[..., 1:-1, :-2]
        slope = torch.cat([down, right], dim=1)
        unit = 5 * slope / (slope.square().sum(dim=1, keepdim=True).sqrt() + 1e-4)
        return torch.cat([unit, 20 * (blurred - 0.25)], dim=1), None
