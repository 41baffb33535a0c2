"""Cellpose-SAM (Cellpose 4) through the ``cellpose`` package; the only file that imports it.

The package gives the network alone (Pachitariu, Rariden and Stringer, 2025): windows, flows and
masks are ours, so that no object is cut where tiles meet. Names are never given to the package,
which would take another model for one that it does not know, and download it.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from napari_histo.errors import MissingDependencyError, ModelError
from napari_histo.models._reasons import reason_of
from napari_histo.models.cellpose.net import check_whole
from napari_histo.models.cellpose.reading import damaged
from napari_histo.models.cellpose.windows import TRANSFORMER

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SamNet", "check_package", "load_sam_net"]

#: Among the weights of Cellpose 4's networks on DINOv3.
_DINO_WORD = "encoder.cls_token"


class SamNet(nn.Module):
    """From windows (b, 1 to 3, 256, 256) to flows and cell logits (b, 3, 256, 256).

    Parameters
    ----------
    net : cellpose.vit.CPSAM
    """

    lattice = TRANSFORMER
    n_channels = 3

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net

    @property
    def diam_mean(self) -> Tensor:
        """Diameter of objects that images are scaled to, px; it finds others, too."""
        diameter: Tensor = self.net.diam_mean
        return diameter

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        precision: torch.dtype = self.net.dtype
        return precision

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Maps, and a style that means nothing."""
        # In this order of memory rounding is that of the package, too.
        maps, style = self.net(windows.clone(memory_format=torch.contiguous_format))
        return maps, style


def load_sam_net(path: Path, weights: Mapping[str, Tensor], *, precision: str) -> SamNet:
    """Read a file of Cellpose-SAM, published or fine-tuned.

    Parameters
    ----------
    path : Path
    weights : mapping of str to Tensor
        What it holds, as `read_weights` gives it.
    precision : {"float32", "bfloat16"}

    Raises
    ------
    ModelError
        The file is damaged, or holds another network.
    MissingDependencyError
    """
    if _DINO_WORD in weights:
        raise ModelError(
            f"{path} holds a network of Cellpose 4 on DINOv3 (cpdino), which cannot be used here. "
            "Choose a file of Cellpose-SAM (cpsam), or of Cellpose 1 to 3."
        )
    net = _network()(dtype=getattr(torch, precision))
    try:
        missing, unknown = net.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise damaged(path, reason_of(error)) from error
    # The package's own loader leaves what is missing at random.
    check_whole(path, weights, missing, unknown)
    return SamNet(net.to(net.dtype)).eval()


def check_package() -> None:
    """Raise MissingDependencyError where Cellpose-SAM cannot run here."""
    _network()


def _network() -> Any:
    """The package's class, imported without its side effects."""
    allowed = torch.backends.cuda.matmul.allow_tf32
    # It warns of DINOv3, which nobody asked for.
    logging.getLogger("cellpose.vit").setLevel(logging.ERROR)
    try:
        from cellpose.vit import CPSAM
    except ImportError as error:
        raise MissingDependencyError(
            f"Cellpose-SAM needs the package cellpose 4, which cannot be imported ({error}). "
            "Install it with: pip install 'napari-histo[cellpose]'"
        ) from error
    except RuntimeError as error:  # "operator torchvision::nms does not exist"
        raise MissingDependencyError(
            f"Cellpose-SAM needs torchvision, and the one here was built for another torch than "
            f"{torch.__version__} ({error}). Install the torchvision that belongs to this torch, "
            "from where torch came (https://pytorch.org/get-started lists the commands)."
        ) from error
    finally:
        torch.backends.cuda.matmul.allow_tf32 = allowed
    return CPSAM
