"""A region network with more classes than before: what it knows stays as it was."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from napari_histo.errors import ModelError
from napari_histo.models.region.net import RegionNet
from napari_histo.models.region.segmenter import NetShape

__all__ = ["grown"]

_MOST_CLASSES = 255


def grown(net: RegionNet, shape: NetShape, more: int, seed: int) -> tuple[RegionNet, NetShape]:
    """A copy that tells `more` classes apart beside the old ones, which keep their places.

    Rows of new classes are random; a guide's answers about them begin with no say.

    Parameters
    ----------
    net : RegionNet
    shape : NetShape
        Of `net`.
    more : int
        0 for a mere copy.
    seed : int

    Raises
    ------
    ModelError
        A model cannot hold as many classes.
    """
    wider = replace(shape, classes=shape.classes + more)
    if wider.classes > _MOST_CLASSES:
        raise ModelError(
            f"With the newly painted classes there would be {wider.classes}, the background among "
            f"them; a region model holds {_MOST_CLASSES}. Paint fewer."
        )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = wider.build()
    old, new = net.state_dict(), made.state_dict()
    made.load_state_dict({name: _over(old[name], new[name], name) for name in new})
    return made, wider


def _over(old: Tensor, new: Tensor, name: str) -> Tensor:
    """`old`, with what `new` has beyond it; new channels of the input are heard as nothing."""
    if old.shape == new.shape:
        return old
    out = torch.zeros_like(new) if name.startswith("stem") else new.clone()
    out[tuple(slice(n) for n in old.shape)] = old.to(out.device)
    return out
