"""The network of Cellpose 1 to 3 in torch, with the files that those versions wrote.

The graph is that of Stringer et al., Nature Methods 2021: a U-Net of residual blocks whose way up
is told the style of the image, the mean of its deepest features. The names of the parameters are
those of the published files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from napari_histo.errors import ModelError
from napari_histo.models._reasons import reason_of
from napari_histo.models.cellpose.reading import damaged, read_weights
from napari_histo.models.cellpose.windows import CONVOLUTION

__all__ = [
    "CellposeNet",
    "CellposeShape",
    "check_whole",
    "is_sam",
    "load_cellpose_net",
    "save_cellpose_net",
]

#: Diameter of objects, px, that the general networks were trained at; files say where it differs.
DIAM_MEAN_PX = 30.0
_FIRST = "downsample.down.res_down_0.conv.conv_0.2.weight"
_LAST = "output.2.weight"
_SAM_WORD = "W2"


@dataclass(frozen=True)
class CellposeShape:
    """What shapes the network, as read from its weights.

    Attributes
    ----------
    widths : tuple of int
        Channels of the image, then of each level on the way down.
    n_out : int
        Maps that come out: flow down, flow right, logit of there being a cell.
    kernel_px : int
    """

    widths: tuple[int, ...] = (2, 32, 64, 128, 256)
    n_out: int = 3
    kernel_px: int = 3

    @classmethod
    def of(cls, weights: Mapping[str, Tensor]) -> CellposeShape:
        """The shape that weights were made for; raises KeyError where they are others' weights."""
        first = weights[_FIRST]
        widths = [first.shape[1]]
        while (key := f"downsample.down.res_down_{len(widths) - 1}.proj.1.weight") in weights:
            widths.append(weights[key].shape[0])
        return cls(tuple(widths), weights[_LAST].shape[0], first.shape[-1])


class CellposeNet(nn.Module):
    """From images (b, channels, h, w) to flows and cell logits (b, 3, h, w).

    Height and width must be multiples of ``2 ** levels``. Flows are five times those of training.

    Parameters
    ----------
    shape : CellposeShape
    diam_mean_px : float
        Diameter of objects that the network was trained at.
    """

    lattice = CONVOLUTION

    def __init__(self, shape: CellposeShape, diam_mean_px: float = DIAM_MEAN_PX) -> None:
        super().__init__()
        self.shape = shape
        down, k = shape.widths, shape.kernel_px
        up = (*down[1:], down[-1])
        self.downsample, self.upsample = nn.Module(), nn.Module()
        self.downsample.down = nn.Sequential()
        for i in range(len(down) - 1):
            self.downsample.down.add_module(f"res_down_{i}", _Down(down[i], down[i + 1], k))
        self.upsample.up = nn.Sequential()
        for i in range(len(up) - 1):
            self.upsample.up.add_module(f"res_up_{i}", _Up(up[i + 1], up[i], up[-1], k))
        self.output = _layer(up[0], shape.n_out, 1)
        # Published files hold both among the weights; the second is what the user's objects have.
        self.diam_mean = nn.Parameter(torch.full((1,), diam_mean_px), requires_grad=False)
        self.diam_labels = nn.Parameter(torch.full((1,), diam_mean_px), requires_grad=False)

    @property
    def divisor(self) -> int:
        """Sides of images must be multiples of this, px."""
        return int(2 ** (len(self.shape.widths) - 2))

    @property
    def n_channels(self) -> int:
        """Channels of the image; those that are missing count as dark."""
        return self.shape.widths[0]

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        return self.diam_mean.dtype

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (b, 3, h, w) and styles (b, d), of length 1."""
        images = F.pad(images, (0, 0, 0, 0, 0, self.n_channels - images.shape[1]))
        down: Any = self.downsample.down
        up: Any = self.upsample.up
        levels: list[Tensor] = []
        for block in down:
            levels.append(block(F.max_pool2d(levels[-1], 2) if levels else images))
        style = F.avg_pool2d(levels[-1], levels[-1].shape[2:]).flatten(1)
        style = style / style.square().sum(dim=1, keepdim=True).sqrt()
        x = levels[-1]
        for depth in reversed(range(len(levels))):
            if depth < len(levels) - 1:
                x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = up[depth](x, levels[depth], style)
        return self.output(x), style


class _Down(nn.Module):
    """Two residual pairs of convolutions."""

    def __init__(self, n_in: int, n_out: int, kernel_px: int) -> None:
        super().__init__()
        self.proj = _projection(n_in, n_out)
        self.conv = nn.Sequential()
        for i in range(4):
            self.conv.add_module(f"conv_{i}", _layer(n_out if i else n_in, n_out, kernel_px))

    def forward(self, x: Tensor) -> Tensor:
        x = self.proj(x) + self.conv[1](self.conv[0](x))
        out: Tensor = x + self.conv[3](self.conv[2](x))
        return out


class _Up(nn.Module):
    """Two residual pairs, that are given the level's own features and the style."""

    def __init__(self, n_in: int, n_out: int, n_style: int, kernel_px: int) -> None:
        super().__init__()
        self.proj = _projection(n_in, n_out)
        self.conv = nn.Sequential()
        self.conv.add_module("conv_0", _layer(n_in, n_out, kernel_px))
        for i in range(1, 4):
            self.conv.add_module(f"conv_{i}", _Styled(n_out, n_style, kernel_px))

    def forward(self, x: Tensor, level: Tensor, style: Tensor) -> Tensor:
        x = self.proj(x) + self.conv[1](self.conv[0](x) + level, style)
        out: Tensor = x + self.conv[3](self.conv[2](x, style), style)
        return out


class _Styled(nn.Module):
    """A convolution whose input is shifted by the style."""

    def __init__(self, n: int, n_style: int, kernel_px: int) -> None:
        super().__init__()
        self.conv = _layer(n, n, kernel_px)
        self.full = nn.Linear(n_style, n)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        shifted: Tensor = self.conv(x + self.full(style)[:, :, None, None])
        return shifted


def _layer(n_in: int, n_out: int, kernel_px: int) -> nn.Sequential:
    return nn.Sequential(
        nn.BatchNorm2d(n_in, momentum=0.05),
        nn.ReLU(),
        nn.Conv2d(n_in, n_out, kernel_px, padding=kernel_px // 2),
    )


def _projection(n_in: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(n_in, momentum=0.05), nn.Conv2d(n_in, n_out, 1))


# -- files -----------------------------------------------------------------------------------------


def load_cellpose_net(path: Path, weights: Mapping[str, Tensor] | None = None) -> CellposeNet:
    """Read a file of Cellpose 1 to 3 (``cyto``, ``nuclei``, a user's own), torch or safetensors.

    Parameters
    ----------
    path : Path
    weights : mapping of str to Tensor, optional
        What was read of it before.

    Raises
    ------
    ModelError
        The file is missing, damaged, holds more than weights, or another network.
    """
    weights = weights or read_weights(path)
    try:
        shape = CellposeShape.of(weights)
        net = CellposeNet(shape)
        missing, unknown = net.load_state_dict(weights, strict=False)
    except KeyError as error:
        raise _another(path, weights) from error
    except (RuntimeError, ValueError, IndexError) as error:
        raise damaged(path, reason_of(error)) from error
    check_whole(path, weights, missing, unknown)
    if shape.n_out != 3:
        raise ModelError(
            f"{path} gives {shape.n_out} maps; a network that segments gives 3 (two flows and the "
            "cell probability). Choose a segmentation model, not one that restores images."
        )
    return net.eval()


def save_cellpose_net(path: Path, net: CellposeNet) -> None:
    """Write a file that Cellpose 1 to 3 load."""
    torch.save({key: value.detach().cpu() for key, value in net.state_dict().items()}, path)


def is_sam(weights: Mapping[str, Tensor]) -> bool:
    """True for weights of Cellpose 4."""
    return _SAM_WORD in weights


def check_whole(
    path: Path, weights: Mapping[str, Tensor], missing: Sequence[str], unknown: Sequence[str]
) -> None:
    """Raise ModelError where weights are missing, not understood, or not finite."""
    # Files of before Cellpose 2 do not say which diameter they were trained at.
    missing = [key for key in missing if not key.startswith("diam_")]
    if missing or unknown:
        raise damaged(path, f"missing {missing[:3]}, not understood {unknown[:3]}")
    if bad := [key for key, value in weights.items() if not bool(torch.isfinite(value).all())]:
        raise damaged(path, f"{bad[0]} holds values that are not finite")


def _another(path: Path, weights: Mapping[str, Tensor]) -> ModelError:
    if is_sam(weights):
        return ModelError(
            f"{path} holds a network of Cellpose 4; here one of Cellpose 1 to 3 is wanted (cyto, "
            "cyto2, cyto3, nuclei, or your own trained from them)."
        )
    names = ", ".join(list(weights)[:3]) or "nothing"
    return ModelError(
        f"{path} holds no Cellpose network (its weights begin with {names}). Choose a model file "
        "of Cellpose; of another model give its folder."
    )
