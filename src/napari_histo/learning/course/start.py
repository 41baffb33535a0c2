"""What a training of a model that finds objects begins with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from torch import nn

from napari_histo.core import ModelInfo

__all__ = ["ObjectStart"]

Net = TypeVar("Net", bound=nn.Module)


@dataclass(frozen=True, eq=False)
class ObjectStart(Generic[Net]):
    """The network that a training goes on from, or a new one.

    Attributes
    ----------
    net : Module
        In evaluation mode.
    info : ModelInfo
        Of the new model.
    percentiles : (float, float)
        Of an image, that become 0 and 1.
    parent, sha256 : str
        Name of the model whose weights these are, and hash of their file; "" for none.
    """

    net: Net
    info: ModelInfo
    percentiles: tuple[float, float]
    parent: str = ""
    sha256: str = ""
