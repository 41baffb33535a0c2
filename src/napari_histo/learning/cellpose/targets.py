"""What a Cellpose network is to learn from a batch, and how far it is from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from napari_histo.learning.course.batches import PatchBatch
from napari_histo.models.cellpose.dynamics import FLOW_SCALE

__all__ = ["Batch", "Patch", "Totals", "distillation", "loss_terms"]


@dataclass(frozen=True, eq=False)
class Patch:
    """A square to learn from.

    Attributes
    ----------
    image : (c, s, s) float32
        Normalised.
    flow : (2, s, s) float32
        Down and right, of length 1 in objects, else 0.
    inside : (s, s) bool
        In an object.
    known : (s, s) bool
        False where nobody labelled: no loss there.
    shaped : (s, s) bool
        Known, and not in an object whose whole outline is unknown: its flow teaches nothing.
    is_replayed : bool
        From an earlier round.
    """

    image: Tensor
    flow: Tensor
    inside: NDArray[np.bool_]
    known: NDArray[np.bool_]
    shaped: NDArray[np.bool_]
    is_replayed: bool = False


@dataclass(frozen=True, eq=False)
class Batch(PatchBatch):
    """What is to be answered, and where.

    Attributes
    ----------
    flow : (b, 2, s, s) float32
    inside, known, shaped : (b, s, s) float32
        1 in objects; 1 where it is known; 1 where the flow is known.
    """

    flow: Tensor
    inside: Tensor
    known: Tensor
    shaped: Tensor

    @classmethod
    def of(cls, patches: Sequence[Patch]) -> Self:
        """Stacked; of images with fewer channels than others the missing ones are dark."""
        most = max(len(p.image) for p in patches)
        images = [F.pad(p.image, (0, 0, 0, 0, 0, most - len(p.image))) for p in patches]

        def masks(name: str) -> Tensor:
            return torch.from_numpy(np.stack([getattr(p, name) for p in patches])).float()

        return cls(
            torch.stack(images).contiguous(memory_format=torch.channels_last),
            torch.tensor([p.is_replayed for p in patches]),
            torch.stack([p.flow for p in patches]),
            masks("inside"),
            masks("known"),
            masks("shaped"),
        )


@dataclass(frozen=True)
class Totals:
    """By what the sums of a batch are divided, so that a batch in parts counts as one."""

    known: Tensor
    shaped: Tensor

    @classmethod
    def of(cls, batch: Batch) -> Totals:
        """Of a whole batch; at least 1 each, for a batch may hold nothing."""
        return cls(batch.known.sum().clamp(min=1), batch.shaped.sum().clamp(min=1))


def loss_terms(maps: Tensor, batch: Batch, totals: Totals | None = None) -> dict[str, Tensor]:
    """The package's losses: half the square distance of five times the flow, and cross entropy.

    As in Stringer et al., Nature Methods 2021, and ``cellpose.train`` 3.1, but means are of the
    pixels that are known.

    Parameters
    ----------
    maps : (b, 3, s, s)
        Flow down, flow right and logit.
    batch : Batch
    totals : Totals, optional
        Of the batch that this is a part of.
    """
    totals, maps = totals or Totals.of(batch), maps.float()
    far = (maps[:, :2] - FLOW_SCALE * batch.flow).square().mean(1)
    bce = F.binary_cross_entropy_with_logits(maps[:, 2], batch.inside, reduction="none")
    return {
        "flow": 0.5 * (far * batch.shaped).sum() / totals.shaped,
        "inside": (bce * batch.known).sum() / totals.known,
    }


def distillation(maps: Tensor, teacher: Tensor) -> Tensor:
    """(b,) how far maps are from a teacher's, in the measure of the other losses."""
    maps, teacher = maps.float(), teacher.float()
    prob = teacher[:, 2].sigmoid()
    # Less its own entropy, so that an equal answer costs nothing.
    bce = F.binary_cross_entropy_with_logits(maps[:, 2], prob, reduction="none")
    bce = bce - F.binary_cross_entropy_with_logits(teacher[:, 2], prob, reduction="none")
    far = (maps[:, :2] - teacher[:, :2]).square().mean(1)
    return (bce + 0.5 * far).mean((1, 2))
